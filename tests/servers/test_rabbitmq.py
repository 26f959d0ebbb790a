"""RabbitMQ: nothing is lost with acknowledgements after the work, whatever is killed, and much without."""

import time

import pytest

from interplay import ArgumentError
from interplay.servers import ServerError, executable, listening, process, rabbitmq, rabbitmq_worker, workers

pika = pytest.importorskip("pika")
pytestmark = pytest.mark.servers
ORDERS = [f"order-{n}" for n in range(40)]


@pytest.fixture
def consume(mq):
    started = []

    def start(*arguments, **settings):
        started.append(rabbitmq_worker.start(mq, *arguments, **settings))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


def test_it_is_a_real_one_on_loopback_only_in_a_folder_of_its_own(mq):
    assert executable(mq.pid).name == "beam.smp"
    assert mq.address in listening(mq.pid)
    everywhere = listening(mq.pid) + listening(mq._names.pid)
    assert len(everywhere) >= 3  # clients, other Erlang nodes, epmd
    assert all(place.startswith(("127.0.0.1:", "::1:")) for place in everywhere)
    assert mq.folder.stat().st_mode & 0o077 == 0o011
    assert not mq.given
    assert mq.url.endswith(mq.address)


def test_messages_wait_in_order_until_they_are_taken(mq):
    queue = mq.queue("packing")
    assert mq.send(queue, ORDERS) > 0
    assert workers.wait_for(lambda: mq.depth(queue) == 40)
    assert [m.body for m in mq.drain(queue)] == ORDERS
    mq.send(queue, ["order-1"])
    assert mq.depth(mq.queue("packing")) == 0  # a queue begins empty


def test_acknowledged_after_the_work_a_killed_worker_loses_nothing(mq, consume):
    queue = mq.queue("packing")
    first, second = (consume(queue, prefetch=5, seconds=0.02) for _ in range(2))
    mq.send(queue, ORDERS)
    assert workers.wait_for(lambda: len(first.report().done) >= 3)
    first.kill()
    assert workers.settled([first, second], 40)
    again = [row["message"] for row in second.report().rows if row.get("redelivered")]
    assert 1 <= len(again) <= 5  # what was with the first one and not acknowledged
    assert set(first.report().got) - set(first.report().done) <= set(again)


def test_automatically_acknowledged_it_takes_along_what_it_was_sent(mq, consume):
    queue = mq.queue("packing")
    mq.send(queue, ORDERS)
    worker = consume(queue, "automatic", prefetch=5, seconds=0.02, dies=("after work", 6))
    assert worker.wait()
    assert worker.report().done == ORDERS[:6]
    time.sleep(0.1)
    assert mq.drain(queue) == []  # 34 orders that nobody will ever pack


@pytest.mark.parametrize(
    ("ack", "point", "done_then", "left"),
    [
        ("after work", "after work", 3, 38),  # done, and delivered again: the effect doubles
        ("after work", "after ack", 3, 37),
        ("after work", "before work", 2, 38),
        ("before work", "before work", 2, 37),  # not done, and never delivered again: lost
        ("before work", "after work", 3, 37),
    ],
)
def test_what_a_crash_leaves_at_each_point(mq, consume, ack, point, done_then, left):
    queue = mq.queue("packing")
    mq.send(queue, ORDERS)
    worker = consume(queue, ack, dies=(point, 3))
    assert worker.wait()
    assert worker.report().done == ORDERS[:done_then]
    assert workers.wait_for(lambda: mq.depth(queue) == left)
    assert [m.body for m in mq.drain(queue)] == ORDERS[40 - left :]  # in their old places
    pid = worker.pid
    worker.start()  # a new process, which does not die
    mq.send(queue, ORDERS)
    assert workers.wait_for(lambda: len(worker.report().done) == done_then + 40)
    assert worker.pid != pid


def test_prefetch_decides_who_gets_the_work(mq, consume):
    shares = {}
    for prefetch in (40, 1):
        queue = mq.queue("packing")
        slow = consume(queue, prefetch=prefetch, seconds=0.1)
        fast = consume(queue, prefetch=prefetch, seconds=0.005)
        mq.send(queue, ORDERS[:20])
        assert workers.settled([slow, fast], 20)
        shares[prefetch] = len(slow.report().done)
        slow.kill()
        fast.kill()
    assert shares[40] == 10  # dealt out at once, one for you and one for me
    assert shares[1] <= 4


def test_poison_goes_round_until_the_delivery_limit_and_then_to_the_dead_letters(mq, consume):
    dead = mq.queue("packing.dead")
    limited = {"x-queue-type": "quorum", "x-delivery-limit": 3}
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    queue = mq.queue("packing", limited | letters)
    worker = consume(queue, poison=["order-1"])
    mq.send(queue, ORDERS[:5])
    assert workers.wait_for(lambda: mq.depth(dead) == 1)
    assert worker.report().got.count("order-1") == 4  # the first delivery is no redelivery
    assert sorted(worker.report().done) == ["order-0", "order-2", "order-3", "order-4"]
    (letter,) = mq.drain(dead)
    assert letter.body == "order-1"
    why = letter.headers["x-death"][0]
    assert (why["reason"], why["queue"], why["count"]) == ("delivery_limit", "packing", 1)


def test_refused_for_good_it_is_a_dead_letter_at_once_and_a_queue_with_a_time_to_live_sends_it_back(
    mq, consume
):
    wait = mq.queue(
        "wait", {"x-message-ttl": 200, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "packing"}
    )
    queue = mq.queue("packing", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait})
    worker = consume(queue, poison=["order-1"], requeue=False)
    mq.send(queue, ["order-1"])
    assert workers.wait_for(lambda: len(worker.report().got) == 3)
    times = [row["at"] for row in worker.report().rows if row["what"] == "got"]
    assert 0.19 < times[1] - times[0] < 1


def test_with_confirms_the_sender_knows(mq):
    with pytest.raises(pika.exceptions.UnroutableError):
        mq.send("no-such-queue", ["order-1"], confirm=True)
    mq.send("no-such-queue", ["order-1"])  # nobody says a word
    small = mq.queue("small", {"x-max-length": 10, "x-overflow": "reject-publish"})
    mq.send(small, ORDERS[:10], confirm=True)
    with pytest.raises(pika.exceptions.NackError):
        mq.send(small, ["order-10"], confirm=True)
    mq.send(small, ["order-10"])
    assert workers.wait_for(lambda: mq.depth(small) == 10)


def test_higher_priorities_come_first(mq):
    queue = mq.queue("packing", {"x-max-priority": 10})
    mq.send(queue, ["a", "b"])
    mq.send(queue, ["express"], priority=9, confirm=True)
    found = mq.drain(queue)
    assert [m.body for m in found] == ["express", "a", "b"]
    assert found[0].priority == 9


def test_replies_find_their_requests_though_they_come_out_of_order(mq, consume):
    queue = mq.queue("ask")
    consume(queue, seconds=0.3)
    consume(queue, seconds=0.01)
    assert mq.ask(queue, ORDERS[:6]) == {order: f"{order} done" for order in ORDERS[:6]}
    assert [m.body for m in mq.answers] != [f"{order} done" for order in ORDERS[:6]]
    assert mq.ask(mq.queue("nobody"), ["order-1"], timeout=0.1) == {}


def test_after_kill_minus_nine_what_was_durable_is_there(capsys):
    if sentence := rabbitmq.missing():
        pytest.skip(sentence)
    broker = rabbitmq.start()
    names, folder, pid = broker._names, broker.folder, broker.pid
    said = capsys.readouterr().out
    assert said.startswith("RabbitMQ starts … ready in ")
    assert said.endswith(f" s at {broker.address}\n")
    queue = broker.queue("packing")
    broker.send(queue, ["kept"], confirm=True)
    broker.send(queue, ["lost"], confirm=True, persistent=False)
    broker.kill()
    assert broker.start() is broker
    assert [m.body for m in broker.drain(queue)] == ["kept"]
    assert broker.pid != pid
    broker.stop()
    assert not folder.exists()
    assert not names.alive
    assert process._running == [] or broker not in process._running


def test_an_address_in_the_environment_is_used_instead(mq, monkeypatch, capsys):
    monkeypatch.setenv("RABBITMQ_URL", mq.url)
    broker = rabbitmq.start()
    assert broker.given
    assert broker.alive
    assert capsys.readouterr().out == f"RabbitMQ: the one at {mq.address}, as RABBITMQ_URL says.\n"
    broker.send(broker.queue("given"), ["order-1"])
    assert [m.body for m in mq.drain("given")] == ["order-1"]
    with pytest.raises(
        ServerError, match="cannot be killed from here: it is the one that RABBITMQ_URL names"
    ):
        broker.kill()
    with pytest.raises(ServerError, match="has no process here"):
        _ = broker.pid
    broker.stop()
    assert mq.alive
    assert mq.depth("given") == 0
    monkeypatch.setenv("RABBITMQ_URL", "amqp://127.0.0.1:9")
    with pytest.raises(ServerError, match=r"RABBITMQ_URL is set, but 127.0.0.1:9 does not answer"):
        rabbitmq.start()


def test_without_it_there_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(rabbitmq, "BIN", tmp_path)
    monkeypatch.setattr(rabbitmq.shutil, "which", lambda name: None)
    monkeypatch.delenv("RABBITMQ_URL", raising=False)
    assert not rabbitmq.require()
    said = capsys.readouterr().out
    assert "`sudo apt-get install rabbitmq-server`" in said
    assert said.count("\n") == 1
    with pytest.raises(ServerError, match="RabbitMQ is not installed here"):
        rabbitmq.start()


def test_what_cannot_be_is_refused(mq):
    with pytest.raises(ArgumentError, match="ack"):
        rabbitmq_worker.start(mq, "packing", "sometimes")
    with pytest.raises(ArgumentError, match="dies"):
        rabbitmq_worker.start(mq, "packing", dies=("at lunch", 1))

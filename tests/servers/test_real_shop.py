"""The real shop: the capstone's designs as processes keep the promises that they keep in the simulator."""

import json
import os
import signal
import urllib.error
import urllib.request

import psutil
import pytest

from interplay import ArgumentError
from interplay.actions import step
from interplay.capstone import Design, Score, changed, designs
from interplay.capstone.designs import MIX, consumer, saga
from interplay.servers import ServerError, envoy, listening, real_shop, step_worker_rows, workers
from interplay.servers.real_shop_beside import beside
from interplay.servers.real_shop_door import envoy as door
from interplay.servers.real_shop_door import patience
from interplay.servers.step_worker_rows import packed, unpacked

if sentence := real_shop.missing():
    pytest.skip(sentence, allow_module_level=True)
pytestmark = pytest.mark.servers
SHORT = {"pages": 5.0, "orders": 3.0, "busy": 4.0, "until": 34.0}


def schedule(*faults, **more):
    return {**real_shop.NOTHING, "crowd": SHORT, "faults": list(faults), **more}


def crash(name, start=1.0, end=1.5):
    return {"kind": "crash", "service": name, "start": start, "end": end}


@pytest.fixture(scope="module")
def mix():
    with real_shop.start(quiet=True) as shop:
        yield shop


@pytest.fixture
def run():
    """A shop of one's own, run once."""
    shops = []

    def start(design="a good mix", given=None, calm=20.0, **how):
        shops.append(real_shop.start(design, quiet=True, **how))
        return shops[-1], shops[-1].run(given or schedule(), calm=calm)

    yield start
    for shop in shops:
        shop.stop()


def test_a_calm_day_is_as_simulated(mix):
    found = mix.beside(schedule(), runs=10)
    assert found.broken == []
    assert found.real.soon("page") > 0.9
    assert found.real.soon("order") > 0.9
    lines = {line["what"]: line for line in found.lines()}
    messages = lines["messages for each request"]
    assert 0.75 * messages["simulated"] < messages["real"] < 1.25 * messages["simulated"]
    assert 0.1 < found.real.stale < 5
    assert len(mix.servers) == 10 + (not envoy.missing())
    assert "messages for each request" in str(found)
    assert "<table>" in found._repr_html_()


def test_everything_listens_on_loopback_only(mix):
    for server in mix.servers.values():
        if not getattr(server, "given", False):
            assert all(where.startswith("127.0.0.1:") for where in listening(server.pid)), server.name


def test_kill_9_of_any_process_breaks_no_promise(mix):
    """All of them, one after the other, in two seconds, and a message that nobody can read."""
    names = ["orders", "payments", "inventory", "shipping", "notifications", "analytics", "relay"]
    faults = [crash(name, 0.5 + 0.3 * n, 1.0 + 0.3 * n) for n, name in enumerate(names)]
    before = {name: mix.servers[name].pid for name in names}
    outcome = mix.run(schedule(*faults, poison=[2.0]))
    assert (outcome.books, outcome.letters) == (None, None)
    assert all(mix.servers[name].pid != before[name] for name in names)
    dead = mix.streams.dead_letters("letters queue")
    assert [(body["id"][:6], why) for body, why in dead] == [("poison", "rejected")]
    assert mix.streams.left("letters queue") == 0


def test_kill_9_of_the_broker_the_database_and_the_gateway_breaks_no_promise(mix):
    if mix.nats.given or mix.database.given:
        pytest.skip("they are not ours to kill")
    names = ["NATS", "PostgreSQL", "gateway"]
    outcome = mix.run(schedule(*(crash(name, 0.5 + n, 0.6 + n) for n, name in enumerate(names))))
    assert (outcome.books, outcome.letters) == (None, None)


def test_a_crash_between_two_actions_breaks_no_promise(run):
    dies = {"orders": ("before send", 4), "payments": ("before send", 2)}
    dies |= {"notifications": ("before ack", 3), "relay": ("before commit", 2)}
    shop, outcome = run(dies=dies)
    assert sorted(shop.restarts) == sorted(dies)
    assert (outcome.books, outcome.letters) == (None, None)


def test_what_breaks_in_the_simulator_breaks_here(run):
    dies = {"orders": ("before commit", 2)}  # in the middle of an order
    shop, outcome = run("all synchronous", schedule(poison=[1.0]), calm=2.0, dies=dies)
    assert outcome.books
    assert "nobody can read" in outcome.letters
    assert shop.model.letters is None


def test_a_letter_twice_is_found(run):
    def twice(state, event):
        answer = consumer(state, event)
        if event["deliveries"] == 1 and event["order"]:
            return step(state, {"do": "write"})  # and no acknowledgement: it comes again
        return answer

    config = changed(MIX, queues={"visibility": 0.5})
    _, outcome = run(Design(config, saga(), twice), calm=3.0)
    assert "was written 2 times" in outcome.letters


def test_what_nobody_acknowledges_is_a_dead_letter_in_the_end(run):
    config = changed(MIX, queues={"visibility": 0.2, "deliveries": 2})
    shop, outcome = run(Design(config, saga(), lambda state, event: step(state)), calm=2.0)
    assert "never written" in outcome.letters
    dead = shop.streams.dead_letters("letters queue")
    assert {why for _, why in dead} == {"deliveries"}


def test_commands_and_news_by_queue_and_an_answer_at_the_end(run):
    config = changed(MIX, commands={"by": "queue"}, orders={"answer": "when done", "timeout": 2.0})
    config = changed(config, news={"notifications": "message", "analytics": "message", "every": 0.1})
    shop, outcome = run(Design(config, saga(), consumer))
    assert (outcome.books, outcome.letters) == (None, None)
    assert min(outcome.answers["order"]) > 0.03  # reserve, charge and ship took their time
    assert shop.streams.left("payments queue") == 0


def test_a_slow_and_cut_off_inventory_shows_old_pages(run):
    slow = {"kind": "slow", "service": "inventory", "start": 0.5, "end": 2.0, "factor": 50.0}
    cut = {"between": ("gateway", "inventory"), "start": 2.0, "end": 3.5}
    _, outcome = run(given=schedule(slow, cut, spikes=[{"start": 1.0, "end": 2.0, "rate": 10.0}]))
    assert (outcome.books, outcome.letters) == (None, None)
    assert outcome.old_pages > 0
    assert len(outcome.answers["order"]) > 12


def test_envoy_refuses_more_than_the_configuration_lets_in(run):
    if envoy.missing():
        pytest.skip(envoy.missing())
    config = changed(MIX, gateway={"pages_per_second": 1.5, "orders_per_second": 30})
    shop, outcome = run(Design(config, saga(), consumer))
    good = sum(seconds < 5 for seconds in outcome.answers["page"])
    assert 3 <= good <= 9  # of about 20
    assert sum(seconds < 5 for seconds in outcome.answers["order"]) > 6
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{shop.url}/else/1", timeout=5)


def test_envoys_patience_is_that_of_all_attempts():
    assert patience({"timeout": 0.25, "attempts": 4, "first_wait": 0.1}) == pytest.approx(1 + 1 + 0.7)
    if not envoy.missing():
        config = changed(MIX, gateway={"pages_per_second": 300})
        text = json.dumps(door(config, 1).config)
        assert '"max_tokens": 300, "tokens_per_fill": 15, "fill_interval": "0.050000s"' in text


def test_a_step_that_raises_is_told_with_its_words(run):
    def wrong(state, event):
        raise ZeroDivisionError("a mistake in the saga")

    with pytest.raises(ServerError, match="a mistake in the saga"):
        run(Design(MIX, wrong, consumer))


def test_nothing_is_left():
    shop = real_shop.start(quiet=True)
    family = [psutil.Process(server.pid) for server in shop.servers.values()]
    family += [child for one in family for child in one.children(recursive=True)]
    shop.stop()
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)
    assert not shop.folder.exists()


def test_a_supervisor_starts_what_is_killed_from_outside(mix):
    server = mix.servers["shipping"]
    os.kill(server.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert workers.wait_for(lambda: not server.alive)
    mix.tend()
    assert server.alive
    assert mix.restarts[-1] == "shipping"


def test_rows_are_the_database_of_the_simulator(db):
    url, sql = db.url, db.sql
    step_worker_rows.create(sql, "test", {"inventory": {"stock": {"book": 3}}})
    rows = step_worker_rows.Rows(url, "test", "inventory")
    rows.write([("answers", ("reserve", "o1"), True), ("letters", None, "a"), ("letters", None, "a")])
    rows.write([("stock", "book", 2), ("seen", "x", ("done", 0.5)), ("answers", ("ship", "o1"), False)])
    rows.write([("answers", ("ship", "o1"), None)])
    there = {
        "stock": {"book": 2},
        "answers": {("reserve", "o1"): True},
        "letters": ["a", "a"],
        "seen": {"x": ("done", 0.5)},
    }
    assert rows.stored == there
    assert step_worker_rows.Rows(url, "test", "inventory").stored == there
    assert step_worker_rows.Rows(url, "test", "inventory", ["seen"]).stored == {"seen": there["seen"]}
    with pytest.raises(TypeError):
        rows.write([("stock", "book", 1), ("stock", "pen", object())])
    assert step_worker_rows.read(sql, "test") == {"inventory": there}  # all of a commit, or nothing
    assert rows.stored == there
    step_worker_rows.drop(sql, "test")
    assert step_worker_rows.read(sql, "test") == {}
    value = {"a": [(1, ("b", None)), {"c": ()}]}
    assert unpacked(json.loads(json.dumps(packed(value)))) == value


def test_what_cannot_be_is_refused(mix):
    with pytest.raises(ArgumentError, match="design"):
        real_shop.start("all at once", quiet=True)
    with pytest.raises(ArgumentError, match="name"):
        mix.kill("weather")
    with pytest.raises(ArgumentError, match="dies"):
        real_shop.start(quiet=True, dies={"orders": ("at lunch", 1)})
    with pytest.raises(ValueError, match="no fault 'flood'"):
        mix.run(schedule({"kind": "flood", "start": 0.0, "end": 0.1}, crowd={**SHORT, "busy": 0.2}))


def test_beside_says_what_is_usual():
    from interplay.capstone import play

    given = schedule()
    found = beside(designs()["a good mix"], play(designs()["a good mix"], given), given, runs=8)
    assert sum(line["usual"] for line in found.lines()) >= 6
    assert len(found.simulated.outcomes) == 8
    assert isinstance(found.real, Score)

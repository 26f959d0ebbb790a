"""Kafka's protocol: keys keep to their partition, a group divides them, offsets say where it goes on from."""

import time

import pytest

from interplay import ArgumentError
from interplay.servers import ServerError, kafka, kafka_topics, kafka_worker, listening, tansu, workers

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.servers
SALES = [(f"customer-{n % 8}", str(n)) for n in range(40)]
SIX = range(6)


def murmur2(data: bytes) -> int:
    """As in Apache Kafka's Utils.murmur2."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    for i in range(0, len(data) // 4 * 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = h * m & mask ^ ((k ^ k >> 24) * m & mask)
    if tail := data[len(data) // 4 * 4 :]:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@pytest.fixture
def join(cluster):
    started = []

    def start(*arguments, **settings):
        started.append(kafka_worker.start(cluster, *arguments, **settings))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def changes(worker):
    return [(r["what"], r["partitions"]) for r in worker.report().rows if "partitions" in r]


def test_it_listens_on_loopback_only(cluster):
    places = listening(cluster.pid)
    assert cluster.address in places
    assert len(places) == 2
    assert all(place.startswith("127.0.0.1:") for place in places)


def test_a_key_keeps_to_its_partition_in_order_and_stays_when_it_was_read(cluster):
    topic = cluster.topic("orders", partitions=6)
    places = cluster.send(topic, SALES)
    expected = [(murmur2(key.encode()) & 0x7FFFFFFF) % 6 for key, _ in SALES]
    assert [partition for partition, _ in places] == expected
    for _ in range(2):
        records = cluster.read(topic)
        assert sorted((r.key, r.value) for r in records) == sorted(SALES)
        assert [(r.partition, r.offset) for r in records] == sorted(places)
        of_one = [int(r.value) for r in records if r.key == "customer-3"]
        assert of_one == sorted(of_one)
    assert cluster.topic("orders") == f"{topic.partition('-')[0]}-{int(topic.partition('-')[2] or 1) + 1}"
    assert cluster.read(cluster.topic("empty")) == []


def test_a_group_divides_the_partitions_and_a_killed_member_s_go_to_the_others(cluster, join):
    topic = cluster.topic("orders", partitions=6)
    first, second = join(topic, "packing", seconds=0.01), join(topic, "packing", seconds=0.01)
    assert workers.wait_for(lambda: len(changes(first)) == 3)
    assert changes(first)[:2] == [("assigned", [*SIX]), ("revoked", [*SIX])]  # eager: all are given up first
    halves = changes(first)[2:] + changes(second)
    assert sorted(halves) == [("assigned", [0, 1, 2]), ("assigned", [3, 4, 5])]  # it draws the ids
    cluster.send(topic, SALES)
    assert workers.settled([first, second], 40)
    own = changes(first)[2][1]
    assert {r["partition"] for r in first.report().rows if r["what"] == "done"} <= {*own}
    assert workers.wait_for(lambda: sum(cluster.lag("packing", topic).values()) == 0)
    first.kill()
    killed = time.monotonic()
    cluster.send(topic, [(key, f"again {value}") for key, value in SALES])
    assert workers.wait_for(lambda: changes(second)[-1] == ("assigned", [*SIX]), 10)
    assert 0.8 < time.monotonic() - killed < 6  # its session has to run out first
    assert workers.settled([first, second], 80)
    assert len(second.report().done) + len(first.report().done) == 80
    assert cluster.lag("packing", topic) == dict.fromkeys(SIX, 0)
    assert sum(cluster.lag("others", topic).values()) == 80


def test_cooperative_members_keep_what_need_not_move(cluster, join):
    topic = cluster.topic("orders", partitions=6)
    first, second = (join(topic, "mail", strategy="cooperative-sticky") for _ in range(2))
    assert workers.wait_for(
        lambda: changes(second)[-1] == ("assigned", [0, 1, 2]) or len(changes(second)) > 1
    )
    revoked = [partitions for what, partitions in changes(first) if what == "revoked"]
    assert [len(p) for p in revoked] == [3]
    assert changes(second)[-1] == ("assigned", revoked[0])
    first.stop()
    assert first._process.returncode == 0  # it has said goodbye: nobody waits for its session
    left = time.monotonic()
    assert workers.wait_for(lambda: sum(len(p) for what, p in changes(second) if what == "assigned") == 6)
    assert time.monotonic() - left < 5


@pytest.mark.parametrize(
    ("commit", "point", "done_then", "offset", "twice"),
    [
        ("after work", "after work", 3, 2, 1),  # done, and not committed: once more
        ("after work", "after commit", 3, 3, 0),
        ("before work", "before work", 2, 3, 0),  # committed, and not done: lost
        ("before work", "after work", 3, 3, 0),
    ],
)
def test_what_a_crash_leaves_at_each_point(cluster, join, commit, point, done_then, offset, twice):
    topic = cluster.topic("single")
    cluster.send(topic, SALES[:10])
    member = join(topic, topic, commit, dies=(point, 3), session=1.0)
    assert member.wait()
    assert member.report().done == [str(n) for n in range(done_then)]
    assert cluster.committed(topic, topic) == {0: offset}
    assert cluster.lag(topic, topic) == {0: 10 - offset}
    member.start()
    assert workers.wait_for(lambda: cluster.lag(topic, topic) == {0: 0})
    done = member.report().done
    assert len(done) == done_then + 10 - offset
    assert len(done) - len(set(done)) == twice


def test_before_anything_is_committed_there_is_no_offset(cluster):
    topic = cluster.topic("orders", partitions=2)
    cluster.send(topic, [(None, "1")])
    assert cluster.committed("nobody", topic) == {0: None, 1: None}
    assert sum(cluster.lag("nobody", topic).values()) == 1


def test_a_broker_that_is_down_does_not_acknowledge_until_another_leads(monkeypatch, capsys):
    monkeypatch.setattr(kafka_topics, "PATIENCE", 2.0)
    with kafka.start(brokers=2) as cluster:
        assert capsys.readouterr().out.startswith("Kafka starts … ready in ")
        topic = cluster.topic("orders", replication=2)
        cluster.lead(topic, 0, 1)
        cluster.send(topic, [("a", "1")])
        cluster.down(1)
        with pytest.raises(ServerError, match="has acknowledged 0 of 1 records"):
            cluster.send(topic, [("a", "2")])
        cluster.lead(topic, 0, 2)
        assert cluster.send(topic, [("a", "3")]) == [(0, 1)]
        cluster.up(1)
        cluster.delay(2, 0.5)
        began = time.monotonic()
        cluster.send(topic, [("a", "4")])
        assert time.monotonic() - began > 0.5
        with pytest.raises(ServerError, match=r"Broker: |Local: "):
            cluster.down(7)


def test_an_address_in_the_environment_is_used_instead(cluster, monkeypatch, capsys):
    monkeypatch.setenv("KAFKA_BOOTSTRAP", cluster.address)
    given = kafka.start()
    assert capsys.readouterr().out == f"Kafka: the one at {cluster.address}, as KAFKA_BOOTSTRAP says.\n"
    topic = cluster.topic("given")
    given.send(topic, [("a", "1")])
    assert [r.value for r in cluster.read(topic)] == ["1"]
    with pytest.raises(ServerError, match="has no control called down: it is the one that KAFKA_BOOTSTRAP"):
        given.down(1)
    given.stop()
    assert cluster.alive


def test_what_cannot_be_is_refused_and_what_is_missing_is_said(cluster, monkeypatch, capsys):
    with pytest.raises(ArgumentError, match="strategy"):
        kafka_worker.start(cluster, "orders", "packing", strategy="sticky")
    with pytest.raises(ArgumentError, match="commit"):
        kafka_worker.start(cluster, "orders", "packing", "never")
    monkeypatch.setattr(kafka, "library", raise_nothing_there)
    assert not kafka.require()
    assert (
        capsys.readouterr().out
        == "This section is skipped: confluent-kafka has no librdkafka of its own here.\n"
    )
    with pytest.raises(ServerError, match="no librdkafka"):
        kafka.start()


def raise_nothing_there():
    raise OSError("confluent-kafka has no librdkafka of its own here")


# ---------------------------------------------------------------- Tansu


def test_an_idempotent_producer_s_copy_is_dropped_by_a_real_broker():
    if sentence := tansu.missing():
        pytest.skip(sentence)
    with tansu.start(quiet=True) as broker:
        assert listening(broker.pid) == [f"127.0.0.1:{broker.port}"]
        assert broker.lost_answer(idempotent=False) == ["order-1 paid", "order-2 paid", "order-2 paid"]
        assert broker.lost_answer(idempotent=True) == ["order-1 paid", "order-2 paid"]
        proxy = broker.proxy
    assert not proxy.alive


def test_the_mock_keeps_the_copy_of_an_idempotent_producer(cluster):
    """Why Tansu is here."""
    from confluent_kafka import Producer

    topic = cluster.topic("copies")
    quick = {"linger.ms": 0, "retry.backoff.ms": 50, "socket.timeout.ms": 1000, "request.timeout.ms": 1000}
    producer = Producer(
        {"bootstrap.servers": cluster.address, "enable.idempotence": True, "log_level": 0} | quick
    )
    producer.produce(topic, "1")
    assert producer.flush(5) == 0
    cluster.delay(1, 3.5)
    producer.produce(topic, "2")
    producer.flush(2.6)
    cluster.delay(1, 0)
    assert producer.flush(10) == 0
    assert [r.value for r in cluster.read(topic)].count("2") > 1

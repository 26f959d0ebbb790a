"""The log and its groups: by themselves against brute force, and in the shop against what they promise."""

import itertools
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import (
    ArgumentError,
    Constant,
    ConsumerGroup,
    Exponential,
    PartitionedLog,
    Simulation,
    assign,
    partition_of,
    theory,
)
from interplay.actions import commit, commit_offset, put, step
from interplay.after import After

# The log by itself


def test_a_key_has_one_partition_in_every_process_and_on_every_machine():
    assert partition_of("123456789", 2**32) == 0xCBF43926  # the check value of CRC-32 in every catalogue
    assert [partition_of(key, 12) for key in ("customer 1", "customer 2", "é", "")] == [0, 10, 2, 0]
    for key in map(str, range(200)):
        assert partition_of(key, 7) == zlib.crc32(key.encode()) % 7


def test_records_stay_and_are_read_by_offset():
    log = PartitionedLog(2)
    where = [log.append(n, now=n, key="a") for n in range(5)]
    partition = partition_of("a", 2)
    assert where == [(partition, n) for n in range(5)]
    for _ in range(2):  # reading takes nothing away
        assert [record.message for record in log.read(partition, 1, most=3)] == [1, 2, 3]
    assert log.read(partition, 5) == log.read(1 - partition, 0) == []
    assert (log.start(partition), log.end(partition)) == (0, 5)
    with pytest.raises(ArgumentError, match="partition is 2, but must be one of 0 to 1"):
        log.read(2, 0)


def test_without_a_key_the_partitions_take_turns():
    log = PartitionedLog(3)
    assert [log.append(n, now=0) for n in range(6)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]


def test_retention_forgets_the_oldest_and_offsets_stay():
    log = PartitionedLog(1, retention=10)
    for n in range(20):
        log.append(n, now=n)
    assert log.expire(now=20) == 10
    assert (log.start(0), log.end(0)) == (10, 20)
    assert [record.offset for record in log.read(0, 3, most=2)] == [10, 11]  # what is left
    assert log.append("new", now=20) == (0, 20)
    assert log.find(0, 15) == 15
    assert log.find(0, 99) == 21
    assert log.find(0, 1) == 10


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"partitions": 0}, "partitions is 0"),
        ({"retention": 0}, "retention is 0, but must be a number above 0"),
    ],
)
def test_wrong_logs_are_refused(wrong, words):
    with pytest.raises(ArgumentError, match=words):
        Simulation().log("orders", **wrong)


# Theory


@pytest.mark.parametrize("more", [0, 1])
def test_empty_partitions(more):
    """20 keys on 12 partitions leave 2.106 empty on average, by crc32 as by a die; on 13 it would be 2.62."""
    expected = theory.empty_partitions(12, 20)
    assert expected == pytest.approx(2.106, abs=5e-4)
    empty = [
        12 + more - len({partition_of(key.tobytes().hex(), 12 + more) for key in keys})
        for keys in np.random.default_rng(1).integers(0, 256, (4000, 20, 8)).astype(np.uint8)
    ]
    z = (np.mean(empty) - expected) / (np.std(empty, ddof=1) / len(empty) ** 0.5)
    assert (abs(z) < 4) == (more == 0)
    one_key_more = (np.mean(empty) - theory.empty_partitions(12, 21)) / (np.std(empty, ddof=1) / 4000**0.5)
    assert abs(one_key_more) > 4


@pytest.mark.parametrize(("consumers", "faster"), [(1, 1), (5, 4), (7, 6), (11, 6), (12, 12), (16, 12)])
def test_the_speed_up_of_a_group_is_exact(consumers, faster):
    """12 partitions of 10 records of 1 s each."""
    assert theory.group_speedup(12, consumers) == faster
    book = {}
    shop = Simulation(seed=1, delay=Constant(0.0), record="spans")
    log = shop.log("orders", partitions=12)
    for n in range(120):
        log.log.append((1, 0, {"kind": "order", "n": n}), now=0.0)
    for i in range(consumers):
        log.subscribe(shop.process(f"billing {i}", noting, stored=book, time=Constant(1.0)), group="billing")
    shop.run(until=200)
    assert 120 / max(book["at"]) == pytest.approx(faster, rel=1e-9)


# The group by itself


@given(st.integers(1, 5), st.integers(1, 3), st.lists(st.integers(0, 4), max_size=5))
def test_assigning_is_even_and_moves_as_little_as_possible(partitions, members, before):
    names = [f"m{i}" for i in range(members)]
    previous = {p: f"m{owner}" for p, owner in enumerate(before[:partitions])}
    owners = assign(names, partitions, previous)
    assert list(owners) == list(range(partitions))
    shares = Counter(owners.values())
    assert max(shares.values()) - min(shares[name] for name in names) <= 1

    def moves(choice):
        return sum(previous.get(p) != owner for p, owner in enumerate(choice))

    even = [
        choice
        for choice in itertools.product(names, repeat=partitions)
        if max(Counter(choice).values()) - min(Counter(choice)[name] for name in names) <= 1
    ]
    assert moves(owners.values()) == min(map(moves, even))
    assert assign(names, partitions, owners) == owners


def test_assigning_in_blocks_and_to_nobody():
    assert assign(["b", "a"], 5) == {0: "a", 1: "a", 2: "a", 3: "b", 4: "b"}
    assert assign([], 3) == {}


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "give up", "beat", "wait", "commit", "old commit", "seek"]),
        st.integers(0, 3),
        st.integers(0, 6),
    ),
    max_size=40,
)


@given(CHANGES, st.sampled_from(["eager", "cooperative"]), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_each_partition_has_one_owner_and_only_that_one_commits(changes, protocol, partitions):
    group, now = ConsumerGroup(partitions, protocol=protocol, session=3, poll_within=20), 0.0
    told: list[tuple[str, int, int]] = []  # (member, generation, partition) that was ever true
    for what, who, which in changes:
        member, partition = f"m{who}", which % partitions
        if what == "join":
            group.join(member, now)
        elif what == "leave":
            group.leave(member)
        elif what == "give up" and member in group.giving_up:
            group.gave_up(member)
        elif what == "beat":
            assert group.heartbeat(member, now) is group.poll(member, now) is (member in group.members)
        elif what == "wait":
            now += 1
            group.advance(now)
        elif what == "seek":
            group.seek(partition, which)
        elif what == "old commit" and told:
            member, generation, partition = told[which % len(told)]
            today = group.owners.get(partition) == member and group.since[partition] == generation
            assert group.commit(member, generation, partition, 5) is today
        elif what == "commit":
            generation = group.owned(member).get(partition)
            if generation is not None:
                assert group.commit(member, generation, partition, which)
                assert group.committed[partition] == which
        reads = {m: set(group.owned(m)) for m in group.members}
        assert sum(map(len, reads.values())) == len(set().union(*reads.values()))
        assert set(group.owners.values()) <= set(group.members)
        if protocol == "eager" and group.giving_up:
            assert not any(reads.values())
        told += [(m, g, p) for m in group.members for p, g in group.owned(m).items()]
    for _ in range(10):
        for member in list(group.giving_up):
            group.gave_up(member)
    assert not group.giving_up
    if group.members:
        shares = Counter(group.owners.values())
        assert sum(shares.values()) == partitions
        assert max(shares.values()) - min(shares[m] for m in group.members) <= 1


@pytest.mark.parametrize(
    ("protocol", "stops", "moved"), [("eager", {0, 1, 2, 3}, 4), ("cooperative", {2, 3}, 2)]
)
def test_what_has_to_be_given_up_when_a_member_comes(protocol, stops, moved):
    group = ConsumerGroup(4, protocol=protocol)
    group.join("a", 0)
    before = group.owned("a")
    group.join("b", 1)
    assert group.giving_up == {"a": stops}
    assert set(group.owned("a")) == {0, 1, 2, 3} - stops
    assert group.owned("b") == {}
    group.gave_up("a")
    assert set(group.owned("a")) == {0, 1}
    assert set(group.owned("b")) == {2, 3}
    assert sum(group.since[p] != before[p] for p in range(4)) == moved


def test_a_silent_member_and_one_that_does_not_come_for_more_are_taken_for_dead():
    group = ConsumerGroup(2, session=10, poll_within=30)
    group.join("silent", 0)
    group.join("slow", 0)
    for now in range(1, 40):
        group.heartbeat("slow", now)
        dead = group.advance(now)
        assert dead == {10: ["silent"], 30: ["slow"]}.get(now, [])
    assert not group.heartbeat("slow", 40)
    assert group.owners == {}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"protocol": "lazy"}, "protocol is 'lazy', but must be one of 'eager', 'cooperative'"),
        ({"session": 0}, "session is 0"),
        ({"poll_within": 0}, "poll_within is 0"),
        ({"start": "newest"}, "start is 'newest', but must be one of 'earliest', 'latest'"),
    ],
)
def test_wrong_groups_are_refused(wrong, words):
    with pytest.raises(ArgumentError, match=words):
        Simulation().log("orders").group("billing", **wrong)


def test_wrong_uses_are_refused():
    shop = Simulation()
    log = shop.log("orders")
    log.group("billing")
    with pytest.raises(ArgumentError, match="group is 'billing'"):
        log.group("billing")
    with pytest.raises(ArgumentError, match="batch is 0"):
        log.subscribe(shop.process("p", noting), group="billing", batch=0)
    with pytest.raises(ArgumentError, match="partition is 1"):
        log.groups["billing"].commit("p", 1, 1, 0)
    shop.process("q", lambda state, event: step(state, {"do": "ack", "to": "orders"}))
    with pytest.raises(ArgumentError, match='for orders is \'ack\', but must be "send" or "offset"'):
        shop.run(until=1)


# In the shop


def noting(state, event):
    """Notes each record with its time, then commits the offset."""
    if event["kind"] != "records":
        return step(state)
    notes = [("done", None, record["body"]["n"]) for record in event["records"]]
    return step(state, commit(("at", None, event["now"]), *notes), commit_offset(event))


def ordering(shop, log, keys=10):
    """A journey for users who place numbered orders, one customer after the other."""
    numbers = itertools.count()

    def journey(request):
        n = next(numbers)
        shop.post(request, log, {"kind": "order", "n": n, "customer": n % keys}, key=f"customer {n % keys}")
        yield from ()

    return journey


def shop_with(
    members=2, seed=1, partitions=4, keys=40, a_step=noting, delay=0.01, batch=1, policy=None, **process
):
    shop = Simulation(seed=seed, delay=Constant(delay))
    log, book = shop.log("orders", partitions=partitions), {}
    log.group("billing", **({"session": 3} | (policy or {})))
    shop.order = ordering(shop, log, keys)
    for i in range(members):
        part = shop.process(f"billing {i}", a_step, stored=book, **process)
        log.subscribe(part, group="billing", batch=batch)
    return shop, log, book


def later(shop, at, what, *arguments, **options):
    After(shop.env, at, lambda _: what(*arguments, **options))


@pytest.mark.parametrize("batch", [1, 5])
def test_order_holds_for_a_key_and_not_for_the_log(batch):
    shop, log, book = shop_with(time=Exponential(0.1), batch=batch)
    shop.users(shop.order, rate=15, end=10)
    shop.run(until=40)
    assert sorted(book["done"]) == list(range(len(book["done"])))
    assert book["done"] != sorted(book["done"])
    for customer in range(10):
        own = [n for n in book["done"] if n % 40 == customer]
        assert own == sorted(own)
        assert len(own) > 2
    assert sum(log.lag("billing").values()) == 0


def test_a_batch_comes_whole_and_its_offset_is_the_end_of_it():
    batches = []

    def watching(state, event):
        if event["kind"] == "records":
            batches.append((event["offset"], event["next"], [r["body"]["n"] for r in event["records"]]))
        return noting(state, event)

    shop, log, _ = shop_with(1, partitions=1, a_step=watching, batch=3, time=Constant(0.1))
    later(shop, 0.5, lambda: [shop.arrive(shop.order) for _ in range(7)])
    shop.run(until=5)
    assert [(first, following) for first, following, _ in batches] == [(0, 1), (1, 4), (4, 7)]
    assert log.groups["billing"].committed == {0: 7}


def test_groups_do_not_know_of_each_other_and_replay_builds_a_view_again():
    shop, log, book = shop_with()
    views = {}
    shop.users(shop.order, rate=10, end=10)
    late = shop.process("analytics", noting, stored=views)
    newest = shop.process("alerts", noting)
    later(shop, 20, log.subscribe, late, group="analytics")
    later(shop, 5, lambda: (log.group("alerts", start="latest"), log.subscribe(newest, group="alerts")))
    shop.run(until=30)
    assert sorted(views["done"]) == sorted(book["done"])
    assert min(views["at"]) > 20
    assert 0 < len(newest.stored["done"]) < len(views["done"])
    assert min(newest.stored["at"]) > 5


def test_replay_from_a_time():
    shop, log, book = shop_with(1, partitions=1)
    shop.users(shop.order, rate=10, end=10)
    later(shop, 15, log.replay, "billing", time=5.0)
    shop.run(until=20)
    again = [n for n, times in Counter(book["done"]).items() if times == 2]
    lags = shop.trace.gauge("orders", "queue")[1]
    assert max(lags) >= len(again) > 20
    assert lags[-1] == 0
    assert again == [r.message[2]["n"] for r in log.log.read(0, 0, most=1000) if r.time >= 5]
    assert log.lag("billing") == {0: 0}
    assert shop.trace.gauge("orders", "queue")[1][-1] == 0


def test_a_hot_key_makes_one_partition_lag_behind():
    shop, log, _ = shop_with(4, keys=1, delay=0.0, time=Constant(0.1))
    shop.users(shop.order, rate=20, end=20)
    shop.run(until=20)
    lags = log.lag("billing")
    hot = partition_of("customer 0", 4)
    assert lags[hot] == pytest.approx(200, rel=0.1)  # 20/s come, one reader does 10/s, three have nothing
    assert sum(lags.values()) == lags[hot]
    assert shop.trace.gauge("orders", "queue")[1][-1] == pytest.approx(lags[hot], abs=1)


def test_retention_takes_records_from_a_group_that_is_too_slow():
    shop = Simulation(seed=1, delay=Constant(0.0))
    log, book = shop.log("orders", retention=5.0), {}
    shop.order = ordering(shop, log)
    log.group("billing", session=3)
    log.subscribe(shop.process("billing", noting, stored=book, time=Constant(0.2)), group="billing")
    shop.users(shop.order, rate=10, end=20)
    shop.run(until=60)
    n = log.log.end(0)
    assert log.skipped > 20
    assert len(book["done"]) + log.skipped == n
    assert log.lag("billing") == {0: 0}


@pytest.mark.parametrize(("protocol", "while_it_waits"), [("eager", 0), ("cooperative", 20)])
def test_a_rebalance_stops_everybody_or_only_what_moves(protocol, while_it_waits):
    """A third member comes at 5 s, while one is busy until 10 s: what does the other one do meanwhile?"""
    shop, log, book = shop_with(2, policy={"protocol": protocol, "session": 30})
    slow = shop.parts["billing 0"]
    slow._time = iter([10.0] + [0.001] * 1000).__next__
    shop.parts["billing 1"]._time = lambda: 0.2
    third = shop.process("billing 2", noting, stored=book)
    later(shop, 0.1, lambda: [shop.arrive(shop.order) for _ in range(200)])
    later(shop, 5, log.subscribe, third, group="billing")
    shop.run(until=30)
    window = [at for at in book["at"] if 5.3 < at < 10]
    assert len(window) >= while_it_waits
    assert (len(window) == 0) is (while_it_waits == 0)
    assert sorted(set(book["done"])) == sorted(book["done"])
    assert sum(log.lag("billing").values()) == 0
    assert set(log.groups["billing"].owners.values()) == {"billing 0", "billing 1", "billing 2"}


def zombie(fencing):
    """A member takes 20 s over one batch, is taken for dead after 5 s, and commits when another went on."""
    shop, log, book = shop_with(2, partitions=1, policy={"session": 3, "poll_within": 5.0})
    group = log.groups["billing"]
    slow = shop.parts[group.owners[0]]
    slow._time = iter([20.0] + [0.01] * 1000).__next__
    if not fencing:
        accept = group.commit

        def anybody(member, generation, partition, offset):
            return accept(group.owners[partition], group.since[partition], partition, offset)

        group.commit = anybody
    low = []
    later(shop, 0.1, lambda: [shop.arrive(shop.order) for _ in range(50)])
    later(shop, 20.2, lambda: low.append(group.committed[0]))
    shop.run(until=20.3)
    return low[0], group.fenced, book


def test_a_zombies_late_commit_is_refused():
    assert zombie(fencing=True)[:2] == (50, 1)
    assert zombie(fencing=False)[0] == 1  # the offset of the whole group went back


def test_the_zombie_is_told_and_joins_again():
    told = []

    def listening(state, event):
        if event["kind"] in ("fenced", "assigned", "revoked"):
            told.append((event["kind"], round(event["now"], 1)))
        return noting(state, event)

    shop, log, _ = shop_with(1, partitions=1, a_step=listening, policy={"poll_within": 5.0})
    shop.parts["billing 0"]._time = iter([20.0] + [0.01] * 1000).__next__
    later(shop, 0.1, lambda: [shop.arrive(shop.order) for _ in range(3)])
    shop.run(until=40)
    assert [kind for kind, _ in told] == ["assigned", "fenced", "assigned"]
    assert told[1][1] == told[2][1] == pytest.approx(20.2)
    assert log.lag("billing") == {0: 0}


def test_a_member_behind_a_cut_link_is_replaced_and_comes_back():
    shop, log, book = shop_with(2, policy={"session": 3})
    shop.users(shop.order, rate=10, end=40)
    shop.partition("orders", "billing 0", start=10, end=25)
    owners = []
    for at in (9, 14, 35):
        later(shop, at, lambda: owners.append(set(log.groups["billing"].owners.values())))
    shop.run(until=60)
    assert owners == [{"billing 0", "billing 1"}, {"billing 1"}, {"billing 0", "billing 1"}]
    assert set(book["done"]) == set(range(len(set(book["done"]))))
    assert sum(log.lag("billing").values()) == 0


def test_who_is_back_within_the_session_keeps_its_partitions():
    shop, log, book = shop_with(2, policy={"session": 10}, time=Constant(0.05))
    group = log.groups["billing"]
    shop.users(shop.order, rate=10, end=20)
    before = []
    later(shop, 4, lambda: before.append((dict(group.owners), group.rebalances)))
    shop.fault("crash", "billing 0", start=5, end=8)
    shop.run(until=40)
    assert before == [(group.owners, group.rebalances)]
    assert len(set(group.owners.values())) == 2
    assert set(book["done"]) == set(range(len(set(book["done"]))))


def test_a_member_reads_its_partitions_in_turn():
    shop, log, book = shop_with(1, partitions=2, time=Constant(1.0))
    for n in range(20):
        log.log.append((1, 0, {"kind": "order", "n": n}), now=0.0)
    shop.run(until=10.5)
    assert len(book["done"]) == 10
    assert log.groups["billing"].committed == {0: 5, 1: 5}


def test_a_log_that_is_back_goes_on_at_once():
    shop, log, book = shop_with(1, partitions=1, policy={"session": 300}, time=Constant(1.0))
    for n in range(20):
        log.log.append((1, 0, {"kind": "order", "n": n}), now=0.0)
    shop.fault("crash", "billing 0", start=4.5, end=7)
    shop.fault("crash", "orders", start=5, end=9)
    shop.run(until=30)
    assert min(at for at in book["at"] if at > 5) == pytest.approx(10, abs=0.1)


def test_a_log_that_was_down_has_what_it_had():
    shop, log, book = shop_with(time=Constant(0.05))
    shop.users(shop.order, rate=10, end=20)
    shop.fault("crash", "orders", start=5, end=9)
    shop.run(until=60)
    assert 0 < min(n for n in range(200) if n not in book["done"]) < 100  # sent while it was down
    assert log.log.end(0) + log.log.end(1) + log.log.end(2) + log.log.end(3) == len(set(book["done"]))
    assert sum(log.lag("billing").values()) == 0
    assert set(log.groups["billing"].members) == {"billing 0", "billing 1"}


def test_a_publisher_hears_that_its_record_is_safe():
    heard = []

    def publisher(state, event):
        if event["kind"] == "order":
            return step(
                state, put("orders", {"kind": "order", "n": 1, "customer": 1}, key="a", confirm="tag")
            )
        if event["kind"] == "confirmed":
            heard.append(event["tag"])
        return step(state)

    shop, _, book = shop_with()
    shop.process("web shop", publisher)
    shop.arrive(ordering(shop, "web shop"))
    shop.run(until=5)
    assert heard == ["tag"]
    assert book["done"] == [1]


@pytest.mark.parametrize("protocol", ["eager", "cooperative"])
@pytest.mark.parametrize("fault", ["crash", "outage", "errors", "slow", "cut", None])
@pytest.mark.parametrize(("batch", "loss", "poll_within"), [(1, 0.0, float("inf")), (4, 0.05, 4.0)])
def test_every_record_is_handled_and_committed(protocol, fault, batch, loss, poll_within):
    policy = {"protocol": protocol, "session": 3, "poll_within": poll_within}
    shop, log, book = shop_with(3, seed=7, batch=batch, policy=policy, time=Exponential(0.1))
    shop.users(shop.order, rate=15, end=20)
    shop.network.loss = loss
    if fault == "cut":
        shop.partition("orders", "billing 1", start=5, end=12)
    elif fault:
        shop.fault(fault, "billing 1", start=5, end=12, factor=50)
        shop.fault(fault, "billing 2", start=11, end=13, factor=50)
    newcomer = shop.process("billing 3", noting, stored=book, time=Exponential(0.1))
    later(shop, 15, log.subscribe, newcomer, group="billing")
    later(shop, 60, setattr, shop.network, "loss", 0.0)
    later(shop, 70, lambda: [shop.arrive(shop.order) for _ in range(200)])
    shop.run(until=150)
    appended = {r.message[2]["n"] for p in range(4) for r in log.log.read(p, 0, most=10_000)}
    assert set(book["done"]) == appended
    assert len(appended) > 190
    assert log.lag("billing") == dict.fromkeys(range(4), 0)
    assert len(set(log.groups["billing"].owners.values())) == 4
    if fault is None and not loss:
        assert len(book["done"]) == log.log.end(0) + log.log.end(1) + log.log.end(2) + log.log.end(3)

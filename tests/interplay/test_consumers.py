"""Consumers: what becomes of what fails, and a search for the fault that loses or doubles an effect.

Each search finds nothing in the right consumer, and the planted bug in each of the wrong ones.
"""

import math
from collections import Counter

import pytest

from interplay import ArgumentError, Constant, Simulation, consumer, fate, long_consumer, reader
from interplay.actions import ack, commit, commit_offset, nack, put, step
from interplay.after import After
from interplay.points import KINDS
from interplay.search import play, search


def test_fate():
    assert [fate(n, 6, 1.0, 5.0) for n in (1, 2, 3, 4, 5, 6, 7)] == [1, 2, 4, 5, 5, "dead", "dead"]
    assert fate(1, 1, 1.0, 1.0) == "dead"
    assert fate(10_000, 10_001, 1.0, 60.0) == 60


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((0, 5, 1, 2), "deliveries is 0"),
        ((1, 0, 1, 2), "limit is 0"),
        ((1, 5, 0, 2), "base is 0"),
        ((1, 5, 2, 1), "cap is 1, but must be a number at least 2"),
    ],
)
def test_a_wrong_fate_is_refused(wrong, words):
    with pytest.raises(ArgumentError, match=words):
        fate(*wrong)
    if wrong[0]:
        with pytest.raises(ArgumentError, match=words):
            consumer(once, limit=wrong[1], base=wrong[2], cap=wrong[3])


def once(stored, message):
    """Charge an order: once, not when it is poison, and never when it is invalid."""
    if message.get("n") is None:
        return "invalid"
    if message.get("poison"):
        return None
    if message["n"] in stored.get("seen", {}):
        return []
    return [("seen", message["n"], True), ("charged", None, message["n"])]


def shop_of(a_step, *messages, visibility=5.0, limit=math.inf, **process):
    shop = Simulation(seed=1, delay=Constant(0.01))
    graves = shop.queue("dead letters")
    orders = shop.queue("orders", visibility=visibility, limit=limit, dead_letters="dead letters")
    orders.subscribe(shop.process("payments", a_step, time=Constant(0.1), **process))

    def journey(request):
        for message in messages:
            shop.post(request, orders, {"kind": "order", **message})
        yield from ()

    shop.arrive(journey)
    return shop, orders, graves


def charged(shop):
    return shop.parts["payments"].stored.get("charged", [])


def test_what_fails_comes_again_after_longer_and_longer_waits_and_is_dead_in_the_end():
    handled = []

    def poisoned(stored, message):
        handled.append(message["n"])
        return once(stored, message)

    right = consumer(poisoned, limit=4, base=1.0, cap=3.0)
    shop, orders, graves = shop_of(right, {"n": 1, "poison": True}, {"n": 2})
    run = shop.run(until=30)
    assert handled == [1, 2, 1, 1, 1]
    starts = [span[5] for span in run.trace.spans if span[0]]
    waits = [b - a for a, b in zip(starts[:1] + starts[2:], starts[2:], strict=False)]
    assert waits == pytest.approx([1.12, 2.12, 3.12])  # 1, 2 and 3 s, the work, and two ways
    assert [(body["n"], why) for body, why in orders.dead] == [(1, "rejected")]
    assert graves.queue.ready == 1
    assert charged(shop) == [2]


def test_what_is_invalid_is_dead_at_once():
    shop, orders, _ = shop_of(consumer(once), {"n": None}, {"n": 2})
    shop.run(until=1)
    assert len(orders.dead) == 1
    assert orders.queue.counts["deliveries"] == 2
    assert charged(shop) == [2]


def test_long_work_keeps_its_lease_and_loses_it_with_its_life():
    """A bank that takes 4 s, under a lease of 2 s."""

    def built(a_step, **fault):
        shop = Simulation(seed=1, delay=Constant(0.01))
        bank = shop.service("bank", workers=5, time=Constant(4.0))
        orders = shop.queue("orders", visibility=2.0)
        orders.subscribe(shop.process("payments", a_step, clients={"bank": shop.client(bank)}), prefetch=3)

        def journey(request):
            shop.post(request, orders, {"kind": "order", "n": 1})
            yield from ()

        shop.arrive(journey)
        if fault:
            shop.fault("crash", "payments", **fault)
        return shop, orders, shop.run(until=30)

    right = long_consumer("bank", once, every=0.8, lease=2.0)
    shop, orders, run = built(right)
    assert (run.arrivals("bank"), orders.queue.counts["deliveries"], charged(shop)) == (1, 1, [1])
    shop, orders, run = built(right, start=1.0, end=1.5)
    assert (run.arrivals("bank"), orders.queue.counts["deliveries"], charged(shop)) == (2, 2, [1])
    spans = [span[4] for span in run.trace.spans if span[3] == run.trace.node("bank")]
    assert spans[1] == pytest.approx(0.84 + 2.0, abs=0.05)  # two seconds after the last heartbeat
    deaf = long_consumer("bank", once, every=8, lease=9)  # too late for the lease that the queue gives
    _, orders, run = built(deaf)
    assert orders.queue.counts["deliveries"] > 2
    with pytest.raises(ArgumentError, match="lease is 1, but must be a number above 2"):
        long_consumer("bank", once, every=2, lease=1)


def test_long_work_that_fails_has_the_same_fate():
    shop = Simulation(seed=1, delay=Constant(0.01))
    bank = shop.service("bank", workers=5, time=Constant(0.1))
    shop.fault("errors", "bank", start=0.0, end=100.0, share=1.0)
    orders = shop.queue("orders", visibility=2.0)
    a_step = long_consumer("bank", once, every=1.0, lease=2.0, limit=3, base=0.5)
    orders.subscribe(shop.process("payments", a_step, clients={"bank": shop.client(bank)}))
    shop.arrive(lambda request: (yield from _posting(shop, request, {"kind": "order", "n": 1})))
    run = shop.run(until=30)
    assert run.arrivals("bank") == 3
    assert [why for _, why in orders.dead] == ["rejected"]


def _posting(shop, request, message):
    shop.post(request, "orders", message)
    yield from ()


# Searches: a queue


def acks_first(state, event):
    if event["kind"] != "delivery":
        return step(state)
    writes = once(state["stored"], event["body"])
    return step(state, ack(event), commit(*writes) if writes else None)


def counts_in_memory(state, event):
    if event["kind"] != "delivery":
        return step(state)
    n, seen = event["body"]["n"], state.get("seen", ())
    if n in seen:
        return step(state, ack(event))
    return step({**state, "seen": (*seen, n)}, commit(("charged", None, n)), ack(event))


def marks_before_the_effect(state, event):
    if event["kind"] != "delivery":
        return step(state)
    n = event["body"]["n"]
    if n in state["stored"].get("seen", {}):
        return step(state, ack(event))
    return step(state, commit(("seen", n, True)), commit(("charged", None, n)), ack(event))


def effect_before_the_mark(state, event):
    if event["kind"] != "delivery":
        return step(state)
    n = event["body"]["n"]
    if n in state["stored"].get("seen", {}):
        return step(state, ack(event))
    return step(state, commit(("charged", None, n)), commit(("seen", n, True)), ack(event))


def requeues_poison(state, event):
    if event["kind"] != "delivery":
        return step(state)
    writes = once(state["stored"], event["body"])
    return step(state, nack(event, delay=1.0)) if writes is None else consumer(once)(state, event)


ORDERS = ({"n": 1}, {"n": 2, "poison": True}, {"n": 3})


def building(a_step):
    return lambda: shop_of(a_step, *ORDERS, visibility=2.0)[0]


def nothing_lost_or_doubled(shop):
    queue = shop.parts["orders"].queue
    assert queue.sent == queue.acked + queue.ready + queue.delayed + queue.leased + len(queue.dead)
    if sorted(charged(shop)) != [1, 3]:
        return f"charged: {charged(shop)}"
    if queue.ready or queue.delayed or queue.leased:
        return "a message is still in the queue"
    if [body["n"] for body, _ in shop.parts["orders"].dead] != [2]:
        return "the poison is no dead letter"
    return None


def test_no_fault_at_any_point_makes_the_consumer_lose_or_double_an_effect():
    right = consumer(once, limit=3, base=0.5)
    found = search(building(right), nothing_lost_or_doubled, until=60, tries=150)
    assert found.broken is None, found.happened
    assert found.places == {
        ("payments", "started", 0, "end"),
        ("payments", "delivery", 0, "commit"),
        ("payments", "delivery", 1, "ack"),
        ("payments", "delivery", 2, "end"),
        ("payments", "delivery", 0, "ack"),
        ("payments", "delivery", 1, "end"),
        ("payments", "delivery", 0, "nack"),
    }
    assert found.schedules == 1 + 4 * 13 + 150
    assert found.points > 13 * found.schedules


@pytest.mark.parametrize(
    ("wrong", "broken", "faults"),
    [
        (acks_first, "charged", 1),
        (counts_in_memory, "charged", 1),
        (marks_before_the_effect, "charged", 1),
        (effect_before_the_mark, "charged", 1),
        (requeues_poison, "still in the queue", 0),
    ],
)
def test_a_search_finds_what_is_wrong_with_a_consumer(wrong, broken, faults):
    if wrong is not requeues_poison:
        build = lambda: shop_of(wrong, {"n": 1}, {"n": 3}, visibility=2.0)[0]  # noqa: E731

        def judge(shop):
            return None if sorted(charged(shop)) == [1, 3] else f"charged: {charged(shop)}"
    else:
        build, judge = building(wrong), nothing_lost_or_doubled
    found = search(build, judge, until=60)
    assert broken in found.broken
    assert len(found.faults) == faults
    shop, _, run = play(build, found.faults, 60)
    assert judge(shop) == found.broken
    assert run.trace.digest() == found.run.trace.digest()  # the schedule replays


def test_a_bug_that_takes_two_faults_is_found_and_made_as_short_as_it_is():
    """It charges again when a delivery is the third: for that, two acknowledgements must be lost."""

    def third_time(state, event):
        if event["kind"] == "delivery" and event["deliveries"] == 3:
            return step(state, commit(("charged", None, event["body"]["n"])), ack(event))
        return consumer(once)(state, event)

    build = lambda: shop_of(third_time, {"n": 1}, visibility=2.0)[0]  # noqa: E731

    def judge(shop):
        return None if charged(shop) in ([], [1]) else f"charged: {charged(shop)}"

    found = search(build, judge, until=60, kinds=["lose", "crash"], tries=1000)
    assert found.broken == "charged: [1, 1]"
    assert len(found.faults) == 2


# Searches: a group


def built(a_step, batch=1, fails=()):
    """Two members with one database read a log of two partitions; what fails is tried again from a queue."""

    def build():
        shop = Simulation(seed=1, delay=Constant(0.01))
        log, retries, book = shop.log("orders", partitions=2), shop.queue("retries", visibility=3.0), {}
        log.group("billing", session=3)
        for name in ("billing a", "billing b"):
            part = shop.process(name, a_step, stored=book, time=Constant(0.1))
            log.subscribe(part, group="billing", batch=batch)
        retries.subscribe(shop.process("retrying", consumer(once, base=0.5, limit=3), stored=book))

        def journey(request):
            for n in range(6):
                body = {"kind": "order", "n": n, **({"poison": True} if n in fails else {})}
                shop.post(request, log, body, key=("ana", "bo")[n % 2])
            yield from ()

        After(shop.env, 0.5, lambda _: shop.arrive(journey))
        return shop

    return build


def each_charged_once(shop):
    book = shop.parts["billing a"].stored
    dead = {body["n"] for body, _ in shop.parts["retries"].dead}
    if sorted({*book.get("charged", []), *dead}) != list(range(6)) or len(book["charged"]) + len(dead) > 6:
        return f"charged: {sorted(book.get('charged', []))}, dead: {sorted(dead)}"
    owners = shop.parts["orders"].groups["billing"].owners
    return None if set(owners.values()) == {"billing a", "billing b"} else f"owners: {owners}"


RIGHT = reader(once, "retries")


@pytest.mark.parametrize(("batch", "fails", "places"), [(1, (), 16), (3, (2,), 28)])
def test_no_fault_at_any_point_makes_a_group_lose_or_double_an_effect(batch, fails, places):
    found = search(built(RIGHT, batch, fails), each_charged_once, until=40, tries=150)
    assert found.broken is None, found.happened
    assert len(found.places) == places, sorted(found.places)
    assert {process for process, *_ in found.places} == {"billing a", "billing b", "retrying"}
    assert found.points > 15 * found.schedules


def commits_before_the_effect(state, event):
    answer = reader(once, "retries")(state, event)
    return {**answer, "actions": answer["actions"][::-1]}


def does_not_wait_for_the_confirmation(state, event):
    if event["kind"] != "records":
        return step(state)
    bodies = [record["body"] for record in event["records"]]
    results = [(body, once(state["stored"], body)) for body in bodies]
    aside = [put("retries", body) for body, writes in results if writes is None]
    writes = [write for _, writes in results for write in writes or ()]
    return step(state, commit(*writes) if writes else None, *aside, commit_offset(event))


def does_not_look_whether_it_was_done(state, event):
    if event["kind"] != "records":
        return step(state)
    notes = [("charged", None, record["body"]["n"]) for record in event["records"]]
    return step(state, commit(*notes), commit_offset(event))


def commits_past_a_gap(state, event):
    """It skips what fails, hoping for a later time."""
    if event["kind"] != "records":
        return step(state)
    writes = [w for record in event["records"] for w in once(state["stored"], record["body"]) or ()]
    return step(state, commit(*writes) if writes else None, commit_offset(event))


def commits_a_batch_after_its_first_record(state, event):
    if event["kind"] != "records":
        return step(state)
    actions = [commit(*once(state["stored"], record["body"])) for record in event["records"]]
    return step(state, actions[0], commit_offset(event), *actions[1:])


@pytest.mark.parametrize(
    ("wrong", "batch", "fails", "faults"),
    [
        (commits_before_the_effect, 1, (), 1),
        (does_not_look_whether_it_was_done, 1, (), 1),
        (commits_past_a_gap, 1, (2,), 0),
        (does_not_wait_for_the_confirmation, 1, (2,), 1),
        (commits_a_batch_after_its_first_record, 3, (), 1),
    ],
)
def test_a_search_finds_what_is_wrong_with_a_member(wrong, batch, fails, faults):
    build = built(wrong, batch, fails)
    found = search(build, each_charged_once, until=40)
    assert found.broken.startswith("charged")
    assert len(found.faults) == faults
    assert len(found.happened) == faults
    assert each_charged_once(play(build, found.faults, 40)[0]) == found.broken


def test_the_retries_of_a_log_do_not_hold_up_the_partition_and_lose_the_order():
    shop = built(RIGHT, fails=())()
    tried = Counter()

    def later_only(stored, message):
        tried[message["n"]] += 1
        return None if message["n"] == 0 and tried[0] < 3 else once(stored, message)

    for name in ("billing a", "billing b"):
        shop.parts[name].step = reader(later_only, "retries")
    shop.parts["retrying"].step = consumer(later_only, base=0.5)
    shop.run(until=20)
    assert shop.parts["billing a"].stored["charged"][-1] == 0
    assert each_charged_once(shop) is None
    assert tried[0] == 3


def test_what_a_search_may_do_to_messages_is_what_points_say():
    assert list(KINDS) == ["crash", "lose", "twice", "late"]
    assert put("q", {"kind": "a"}, key="k")["options"] == {"key": "k"}

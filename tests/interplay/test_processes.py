"""A process: events in, actions out, memory lost and the database kept, and a fault at every point."""

import pytest

from interplay import ArgumentError, Client, Constant, Simulation
from interplay.actions import ack, call, commit, nack, put, reply, send, step, timer
from interplay.points import Points
from interplay.search import play, search
from interplay.trace import ERROR, OK


def counter(state, event):
    """Counts orders in memory and in its database, and answers."""
    if event["kind"] != "order":
        return step(state)
    stored = state["stored"].get("orders", {}).get("all", 0)
    state["seen"] += 1
    return step(state, commit(("orders", "all", stored + 1)), reply())


def shop_of(a_step, **arguments):
    shop = Simulation(seed=1, delay=Constant(0.01))
    shop.process("orders", a_step, **arguments)
    return shop


def place(shop, deadline=None):
    return lambda request: shop.ask(request, "orders", {"kind": "order"}, deadline=deadline)


def test_users_ask_a_process_and_wait_for_its_reply():
    shop = shop_of(counter, memory={"seen": 0}, time=Constant(0.1))
    for _ in range(3):
        shop.arrive(place(shop))
    run = shop.run(until=2)
    assert run.ok == 3
    assert list(run.latency.seconds) == pytest.approx([0.12, 0.22, 0.32])  # one worker: they stand in line
    assert shop.parts["orders"].stored == {"orders": {"all": 3}}


def test_nobody_replies_before_the_deadline():
    shop = shop_of(counter, memory={"seen": 0}, time=Constant(0.5))
    shop.arrive(place(shop, deadline=0.2))
    run = shop.run(until=2)
    assert run.statuses["timeout"] == 1
    assert shop.parts["orders"].stored == {"orders": {"all": 1}}  # the work is done all the same


def test_a_crash_loses_the_memory_and_keeps_what_was_committed():
    shop = shop_of(counter, memory={"seen": 0})
    orders = shop.parts["orders"]
    shop.arrive(place(shop))
    shop.fault("crash", "orders", start=1.0, end=2.0)
    shop.run(until=3)
    assert orders.stored == {"orders": {"all": 1}}
    assert orders.state == {"seen": 0, "stored": orders.stored}


def test_a_crash_loses_what_was_in_work_and_what_waited():
    shop = shop_of(counter, memory={"seen": 0}, time=Constant(0.5))
    for _ in range(3):
        shop.arrive(place(shop))
    shop.fault("crash", "orders", start=0.6, end=0.7)
    run = shop.run(until=5)
    assert shop.parts["orders"].stored == {"orders": {"all": 1}}
    assert run.ok == 1
    assert [row[7] for row in run.trace.spans] == [OK, ERROR]  # the third had not begun


def test_a_process_that_is_down_gets_nothing_and_one_that_is_held_lets_it_wait():
    for kind, ok in (("crash", 0), ("outage", 1)):
        shop = shop_of(counter, memory={"seen": 0})
        shop.fault(kind, "orders", start=0.5, end=2.0)
        shop.env.process(at(shop, 1.0, place(shop)))
        run = shop.run(until=5)
        assert run.ok == ok, kind


def at(shop, when, journey):
    yield shop.env.timeout(when)
    shop.arrive(journey)


def test_timers_end_with_the_process_and_a_start_is_told():
    def ticking(state, event):
        if event["kind"] == "order":
            return step(state)
        state["events"].append((event["kind"], round(event["now"], 3)))
        return step(state, timer(1.0, {"kind": "tick"}))

    seen = []
    shop = shop_of(ticking, memory={"events": []})
    shop.fault("crash", "orders", start=2.5, end=2.7)
    shop.env.process(look(shop, 2.4, seen))
    shop.run(until=5)
    assert seen == [("started", 0), ("tick", 1), ("tick", 2)]
    assert shop.parts["orders"].state["events"] == [("started", 2.7), ("tick", 3.7), ("tick", 4.7)]


def look(shop, when, seen):
    yield shop.env.timeout(when)
    seen.extend(shop.parts["orders"].state["events"])


def test_with_a_pause_a_crash_at_a_time_falls_between_two_actions():
    def two(state, event):
        if event["kind"] != "order":
            return step(state)
        return step(state, commit(("done", 1, "first")), commit(("done", 2, "second")))

    shop = shop_of(two, pause=0.2)
    shop.arrive(place(shop, deadline=1.0))
    shop.fault("crash", "orders", start=0.1, end=0.5)
    shop.run(until=2)
    assert shop.parts["orders"].stored == {"done": {1: "first"}}


def test_a_process_calls_a_service_and_gets_the_status_back():
    def asks(state, event):
        if event["kind"] == "order":
            return step(state, call("payments", then={"kind": "paid"}))
        return step(state, reply(event["status"]) if event["kind"] == "paid" else None)

    shop = Simulation(seed=1, delay=Constant(0.01))
    payments = shop.service("payments", workers=1, time=Constant(0.1))
    orders = shop.process("orders", asks)
    orders.clients["payments"] = shop.client(payments, deadline=1.0)
    assert isinstance(orders.clients["payments"], Client)
    shop.arrive(place(shop))
    run = shop.run(until=2)
    assert run.latency.p50 == pytest.approx(0.14)


def test_spans_follow_the_message():
    def passes_on(state, event):
        return step(state, send("mail", {"kind": "mail"}) if event["kind"] == "order" else None, reply())

    shop = shop_of(passes_on)
    shop.process("mail", lambda state, event: step(state))
    shop.arrive(place(shop))
    run = shop.run(until=1)
    spans = {shop.trace.nodes[s[3]].name: s for s in run.trace.spans}
    assert spans["orders"][2] == 0
    assert spans["mail"][2] == spans["orders"][1]
    assert list(run.trace.message_names().values()) == ["order", "mail", "ok"]


def test_what_a_step_returns_and_asks_for_is_checked_in_words():
    cases = {
        "returned": lambda state, event: None,
        "messages: orders": lambda state, event: step(state, send("nobody", {"kind": "x"})),
        "clients": lambda state, event: step(state, call("nobody", {"kind": "x"})),
    }
    for words, a_step in cases.items():
        with pytest.raises(ArgumentError, match=words):
            shop_of(a_step).run(until=1)
    with pytest.raises(ArgumentError, match="step"):
        shop_of("no function")


# ---- a fault at every point


def consumer(ack_first=False, forgets=False):
    def a_step(state, event):
        if event["kind"] != "delivery":
            return step(state)
        order, done = event["body"]["order"], state["stored"].get("done", {})
        if order in done and not forgets:
            return step(state, ack(event))
        work = commit(("done", order, done.get(order, 0) + 1))
        return step(state, *((ack(event), work) if ack_first else (work, ack(event))))

    return a_step


def mail(a_step, orders=(1, 2, 3)):
    def build():
        shop = Simulation(seed=1)
        queue = shop.queue("mail", visibility=5.0)
        queue.subscribe(shop.process("notifications", a_step, time=Constant(0.1)))

        def journey(request):
            for order in orders:
                shop.post(request, queue, {"kind": "mail", "order": order})
            return
            yield

        shop.arrive(journey)
        return shop

    return build


def every_order_once(shop):
    done = shop.parts["notifications"].stored.get("done", {})
    return None if done == {1: 1, 2: 1, 3: 1} else f"mails sent for each order: {done}"


def test_a_search_finds_nothing_where_nothing_is_wrong_and_says_where_it_has_been():
    found = search(mail(consumer()), every_order_once, until=60)
    assert found.broken is None
    assert found.places == {
        ("notifications", "started", 0, "end"),
        ("notifications", "delivery", 0, "commit"),
        ("notifications", "delivery", 1, "ack"),
        ("notifications", "delivery", 2, "end"),
        ("notifications", "delivery", 0, "ack"),  # of an order that is done already
        ("notifications", "delivery", 1, "end"),
    }


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"ack_first": True}, "crashes before commit"), ({"forgets": True}, "ack from notifications: lost")],
)
def test_a_planted_mistake_is_found_with_one_fault(wrong, words):
    kinds = ("crash",) if "ack_first" in wrong else ("lose",)
    found = search(mail(consumer(**wrong)), every_order_once, until=60, kinds=kinds)
    assert found.broken
    assert len(found.faults) == 1
    assert words in found.happened[0]
    assert found.run.trace.markers


def test_a_mistake_that_takes_two_faults_is_made_no_longer_than_that():
    def impatient(state, event):
        """Gives a message up that has come for the third time."""
        if event["kind"] == "delivery" and event["deliveries"] > 2:
            return step(state, nack(event, requeue=False))
        return consumer()(state, event)

    found = search(mail(impatient), every_order_once, until=60, kinds=("crash",))
    assert len(found.faults) == 2
    shop, _, _ = play(mail(impatient), found.faults, until=60)
    assert every_order_once(shop) == found.broken
    assert len(shop.parts["mail"].dead) == 1


def test_the_same_search_finds_the_same():
    a, b = (search(mail(consumer(ack_first=True)), every_order_once, until=60) for _ in range(2))
    assert (a.faults, a.broken, a.points) == (b.faults, b.broken, b.points)
    assert a.run.trace.digest() == b.run.trace.digest()


def test_a_message_can_be_lost_doubled_or_late():
    def three(state, event):
        if event["kind"] != "order":
            return step(state)
        return step(state, *(send("mail", {"kind": f"m{i}"}) for i in (1, 2, 3)))

    def kept(state, event):
        state["got"].append(event["kind"])
        return step(state)

    def build():
        shop = shop_of(three)
        shop.process("mail", kept, memory={"got": []})
        shop.arrive(place(shop, deadline=1.0))
        return shop

    def got(faults):
        shop, _, _ = play(build, faults, until=20)
        return shop.parts["mail"].state["got"][1:]  # without "started"

    assert got({}) == ["m1", "m2", "m3"]
    assert got({2: "lose"}) == ["m2", "m3"]
    assert got({3: "twice"}) == ["m1", "m2", "m2", "m3"]
    assert got({2: "late"}) == ["m2", "m3", "m1"]
    with pytest.raises(ArgumentError, match="fault"):
        Points({1: "explode"})


def test_a_broker_confirms_what_it_has():
    def publisher(state, event):
        state["got"].append(event["kind"])
        return step(state, put("mail", {"kind": "mail"}, confirm=7) if event["kind"] == "order" else None)

    shop = shop_of(publisher, memory={"got": []})
    shop.queue("mail")
    shop.arrive(place(shop, deadline=1.0))
    shop.run(until=2)
    assert shop.parts["orders"].state["got"] == ["started", "order", "confirmed"]

"""An order and its event: both or neither, whatever breaks between the two."""

import pytest

from interplay import ArgumentError, Constant, Exponential, Simulation, theory
from interplay.actions import ack, commit, put, step, timer
from interplay.idempotency import fresh, idempotent, remember
from interplay.outbox import dual_write, polling_relay, tailing_relay, with_outbox
from interplay.search import search

ORDERS = (1, 2, 3)


def rows(stored, event):
    return [("orders", event["order"], "placed")]


def placed(event):
    return {"kind": "order placed", "id": event["order"]}


def mailed(stored, body):
    return [("mails", body["id"], stored.get("mails", {}).get(body["id"], 0) + 1)]


def shop_of(orders, relay=None, consumer=None, memory=None, visibility=5.0):
    """orders → (relay →) the queue "mail" → notifications; three orders, placed half a second apart."""

    def build():
        shop = Simulation(seed=1, delay=Constant(0.001))
        queue = shop.queue("mail", visibility=visibility)
        service = shop.process("orders", orders, time=Constant(0.01))
        if relay is not None:
            shop.process("relay", relay, memory={"out": {}, "sent": 0, "since": 0.0}, stored=service.stored)
        queue.subscribe(shop.process("notifications", consumer or idempotent(mailed)))
        for order in ORDERS:
            shop.env.process(order_at(shop, order))
        return shop

    return build


def order_at(shop, order):
    yield shop.env.timeout(order / 2)
    while True:  # the user orders until there is an answer
        reply = yield from shop.ask(
            Numbered(order), "orders", {"kind": "order", "order": order}, deadline=2.0
        )
        if reply.ok:
            return


class Numbered:
    """A user's request, as far as asking needs it."""

    def __init__(self, number):
        self.number, self.span = number, 0


def each_order_has_its_mail(shop):
    orders = shop.parts["orders"].stored.get("orders", {})
    mails = shop.parts["notifications"].stored.get("mails", {})
    if orders != dict.fromkeys(ORDERS, "placed"):
        return f"orders: {orders}"
    return None if mails == dict.fromkeys(ORDERS, 1) else f"orders 1, 2, 3 have so many mails: {mails}"


def no_mail_without_an_order(shop):
    orders = shop.parts["orders"].stored.get("orders", {})
    extra = shop.parts["notifications"].stored.get("mails", {}).keys() - orders.keys()
    return f"mails about orders that do not exist: {extra}" if extra else None


RELAYS = {"polling": polling_relay("mail", every=0.5), "tailing": tailing_relay("mail", every=0.25)}


@pytest.mark.parametrize("relay", RELAYS)
def test_the_outbox_loses_and_doubles_nothing(relay):
    build = shop_of(with_outbox(rows, placed), RELAYS[relay])
    found = search(build, each_order_has_its_mail, until=20, tries=60, kinds=("crash", "lose", "twice"))
    assert found.broken is None
    visited = {(process, event, action) for process, event, _, action in found.places}
    assert {
        ("relay", "confirmed", "commit"),
        ("relay", "poll", "timer"),
        ("orders", "order", "commit"),
    } <= visited
    assert len(found.places) >= 15


@pytest.mark.parametrize(
    ("first", "judge", "words"),
    [
        ("commit", each_order_has_its_mail, "orders crashes before send order placed"),
        ("publish", no_mail_without_an_order, "orders crashes before commit"),
    ],
)
def test_the_dual_write_does_one_of_both(first, judge, words):
    def build():
        shop = Simulation(seed=1)
        queue = shop.queue("mail", visibility=5.0)
        shop.process("orders", dual_write("mail", rows, placed, first=first))
        queue.subscribe(shop.process("notifications", idempotent(mailed)))
        for order in ORDERS:
            shop.arrive(
                lambda request, o=order: shop.ask(
                    request, "orders", {"kind": "order", "order": o}, deadline=0.5
                )
            )
        return shop

    def consistent(shop):
        if judge is no_mail_without_an_order:
            return judge(shop)
        orders = shop.parts["orders"].stored.get("orders", {})
        mails = shop.parts["notifications"].stored.get("mails", {})
        return None if orders.keys() == mails.keys() else f"orders {list(orders)}, mails {list(mails)}"

    found = search(build, consistent, until=30, kinds=("crash",))
    assert found.broken
    assert found.happened[0].startswith(words)
    assert len(found.faults) == 1


def marks_first(state, event):
    """A relay that takes the row out before it is sure that the broker has the event."""
    if event["kind"] == "confirmed":
        return step(state)
    actions = []
    for id, row in state["stored"].get("outbox", {}).items():
        actions += [commit(("outbox", id, None)), put("mail", row)]
    return step(state, *actions, timer(0.5, {"kind": "poll"}))


def position_before_sending(state, event):
    """A relay that remembers its position in the log before it publishes."""
    changes, relay = state["stored"].get("changes", []), state["stored"].get("relay", {})
    actions = []
    for position in range(relay.get("position", 0), len(changes)):
        actions += [commit(("relay", "position", position + 1)), put("mail", changes[position])]
    return step(state, *actions, timer(0.5, {"kind": "poll"}) if event["kind"] != "confirmed" else None)


@pytest.mark.parametrize("relay", [marks_first, position_before_sending])
def test_a_relay_that_marks_before_it_publishes_is_found_with_one_fault(relay):
    build = shop_of(with_outbox(rows, placed), relay)
    found = search(build, each_order_has_its_mail, until=60)
    assert found.broken.startswith("orders 1, 2, 3 have so many mails")
    assert len(found.faults) == 1


def test_without_an_inbox_the_relay_s_crash_sends_a_mail_twice():
    def forgetful(state, event):
        if event["kind"] != "delivery":
            return step(state)
        return step(state, commit(*mailed(state["stored"], event["body"])), ack(event))

    build = shop_of(with_outbox(rows, placed), RELAYS["polling"], forgetful)
    found = search(build, each_order_has_its_mail, until=60, kinds=("crash",))
    assert ": 2" in found.broken
    assert len(found.faults) == 1


# ---- the idempotent consumer


def test_a_mark_is_fresh_again_after_the_window():
    inbox = {"a": 10.0}
    assert not fresh(inbox, "a", 1000.0)
    assert not fresh(inbox, "a", 15.0, window=5)
    assert fresh(inbox, "a", 15.1, window=5)
    assert fresh(inbox, "b", 10.0)


def test_the_inbox_forgets_what_is_older_than_the_window_a_few_at_a_time():
    inbox = {mark: float(mark) for mark in range(10)}
    writes = remember(inbox, "new", 100.0, window=50)
    assert [write for write in writes if write[2] is None] == [
        ("inbox", 0, None),
        ("inbox", 1, None),
        ("inbox", "new", None),
    ]
    assert writes[-1] == ("inbox", "new", 100.0)
    assert ("inbox", 0, None) not in remember({0: 60.0}, "new", 100.0, window=50)


def test_a_window_that_is_shorter_than_the_redelivery_sends_twice():
    for window, broken in ((1.0, True), (30.0, False)):
        build = shop_of(
            with_outbox(rows, placed), RELAYS["polling"], idempotent(mailed, window=window), visibility=5.0
        )
        found = search(build, each_order_has_its_mail, until=60, kinds=("lose",), tries=20)
        assert (found.broken is not None) == broken, window


def test_a_key_that_is_not_unique_swallows_orders():
    def by_kind(body):
        return body["kind"]

    build = shop_of(with_outbox(rows, placed), RELAYS["polling"], idempotent(mailed, key=by_kind))
    found = search(build, each_order_has_its_mail, until=60)
    assert found.faults == {}
    assert found.broken == "orders 1, 2, 3 have so many mails: {1: 1}"


def test_wrong_arguments_are_refused_in_words():
    for make in (
        lambda: dual_write("mail", rows, placed, first="both"),
        lambda: polling_relay("mail", every=0),
        lambda: polling_relay("mail", batch=0),
        lambda: tailing_relay("mail", patience=0),
        lambda: idempotent(mailed, window=0),
    ):
        with pytest.raises(ArgumentError):
            make()


# ---- theory


def lags(every, rate, until=400.0, seed=3):
    """How long events wait in the outbox for a relay that looks every so many seconds."""
    shop = Simulation(seed=seed, delay=Constant(0.0), record="spans")
    waited = []

    def notify(state, event):
        if event["kind"] == "delivery":
            waited.append(event["now"] - event["body"]["at"])
            return step(state, ack(event))
        return step(state)

    queue = shop.queue("mail")
    queue.subscribe(shop.process("notifications", notify, workers=100), prefetch=100)
    orders = shop.process(
        "orders",
        with_outbox(rows, lambda event: {"kind": "order placed", "at": event["now"]}),
        workers=100,
    )
    shop.process("relay", polling_relay("mail", every=every), memory={"out": {}}, stored=orders.stored)
    numbers = iter(range(10**6))
    shop.users(lambda request: shop.ask(request, "orders", {"kind": "order", "order": next(numbers)}), rate)
    shop.run(until=until)
    return waited


def test_polling_waits_half_its_interval():
    waited = lags(every=0.5, rate=20)
    n = len(waited)
    sd = 0.5 / 12**0.5
    assert abs(sum(waited) / n - theory.poll_lag(0.5)) < 4 * sd / n**0.5
    assert abs(sum(waited) / n - 1.05 * theory.poll_lag(0.5)) > 4 * sd / n**0.5  # 5 % off would be noticed


def test_a_batch_waits_for_its_last():
    """Orders arrive at random and leave in batches of B: they wait (B - 1) / 2λ on average."""
    rng_arrivals = Simulation(seed=5).streams.draws("arrivals", Exponential(1.0))
    now, batch, waits = 0.0, [], []
    for _ in range(100_000):
        now += rng_arrivals()
        batch.append(now)
        if len(batch) == 10:
            waits += [now - then for then in batch]
            batch.clear()
    mean = sum(waits) / len(waits)
    assert mean == pytest.approx(theory.batch_wait(10, 1.0), rel=0.02)
    assert theory.batch_wait(10, 1.0) == 4.5

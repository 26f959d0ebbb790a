"""Reliable events on PostgreSQL and NATS: what is lost, invented or doubled, whatever is killed where."""

import asyncio
import json
import time
from collections import Counter

import pytest

from interplay import ArgumentError
from interplay.servers import event_consumer, order_service, outbox_relay, outbox_table, workers

pytest.importorskip("psycopg")
pytest.importorskip("nats")
pytestmark = pytest.mark.servers
TWENTY = [f"order-{n}" for n in range(20)]


@pytest.fixture
def shop(db, nats):
    asyncio.run(nats.stream("SHOP", ["shop.>"], duplicate_window=60))
    return outbox_table.create(db)


@pytest.fixture
def run(shop, nats):
    started = []

    def start(module, *arguments, **settings):
        started.append(module.start(shop, nats, *arguments, **settings))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def events(nats):
    """The orders that the stream tells of, in its order."""
    return [json.loads(m.text)["order"] for m in asyncio.run(nats.read("SHOP"))]


@pytest.mark.parametrize(
    ("how", "orders", "published", "waiting"),
    [
        ("outbox", 19, 0, 19),  # neither the order nor its event
        ("dual: commit first", 20, 19, 0),  # an order that nobody hears of
        ("dual: publish first", 19, 20, 0),  # news of an order that never was
    ],
)
def test_what_a_service_that_dies_between_its_writes_leaves(shop, nats, run, how, orders, published, waiting):
    service = run(order_service, how, count=20, dies=("between", 7))
    assert service.wait()
    assert service.report().got[-1] == "order-6"
    service.start()
    assert service.wait()
    assert service.report().got == TWENTY  # it goes on with the next one
    assert (len(shop.orders()), len(events(nats)), len(shop.unsent())) == (orders, published, waiting)


def test_both_rows_or_none(shop):
    shop.place("order-1", 10)
    shop.place("order-2", 20, crash=True)
    assert shop.orders() == ["order-1"]
    assert shop.unsent() == [1]


@pytest.mark.parametrize("how", outbox_relay.HOWS)
def test_a_relay_killed_before_it_marks_publishes_again_and_the_message_id_drops_that(shop, nats, run, how):
    for dedup, copies in ((False, 7), (True, 0)):
        outbox_table.create(shop.database)
        asyncio.run(nats.stream("SHOP", ["shop.>"], duplicate_window=60))
        for order in TWENTY[:0] if how == "tailing" else TWENTY:
            shop.place(order, 10)
        relay = run(outbox_relay, how, dies=("after publish", 17), dedup=dedup)
        for order in TWENTY if how == "tailing" else []:
            shop.place(order, 10)
        assert relay.wait()
        assert relay.report().of("published") == list(range(1, 18))
        marked = [n for batch in relay.report().of("marked") for n in batch]
        assert len(shop.unsent()) == (20 if how == "tailing" else 20 - len(marked))
        relay.start()
        assert shop.settled(relay)
        relay.kill()
        found = events(nats)
        assert set(found) == set(TWENTY)
        assert len(found) - 20 == (17 - len(marked) if copies else 0)
        if how != "tailing":
            assert len(marked) == 10  # a batch


def test_texts_with_quotes_pass_through_the_log(shop, nats, run):
    relay = run(outbox_relay, "tailing")
    shop.place("o'brien's 'order' id[bigint]:7", 10)
    assert shop.settled(relay)
    assert events(nats) == ["o'brien's 'order' id[bigint]:7"]


def test_polling_is_late_by_half_its_interval_the_others_are_not(shop, run):
    for how, least, most in (("polling", 0.06, 0.3), ("notify", 0, 0.06)):
        relay = run(outbox_relay, how, every=0.2, name=how)
        first = len(shop.orders())
        for n in range(first, first + 12):
            shop.place(f"order-{n}", 10)
            time.sleep(0.053)
        assert shop.settled(relay) or how == "notify"
        assert workers.wait_for(lambda: len(shop.lags(relay)) == 12)  # noqa: B023
        lags = shop.lags(relay)
        relay.kill()
        assert all(lag > 0 for lag in lags)
        assert least < sum(lags) / 12 < most
        shop = outbox_table.create(shop.database)


def test_a_relay_leaves_alone_what_another_one_has(shop, nats, run):
    for order in TWENTY:
        shop.place(order, 10)
    with shop.database.connect() as other:
        with other.transaction():
            held = other.execute(outbox_relay.UNSENT, (3,)).fetchall()
            relay = run(outbox_relay)
            assert workers.wait_for(lambda: len(shop.unsent()) == 3)
            assert events(nats) == TWENTY[3:]
        assert [row[0] for row in held] == [1, 2, 3]
    assert shop.settled(relay)
    assert events(nats) == TWENTY[3:] + TWENTY[:3]  # none twice, and not in the order of the orders


@pytest.mark.parametrize(
    ("inbox", "point", "parcels"),
    [(True, "after effect", 20), (False, "after effect", 21), (True, "after ack", 20), (True, "between", 20)],
)
def test_an_inbox_makes_the_effect_happen_once(shop, nats, run, inbox, point, parcels):
    for order in TWENTY:
        shop.place(order, 10)
    relay = run(outbox_relay)
    consumer = run(event_consumer, "SHOP", inbox=inbox, lease=0.5, dies=(point, 6))
    assert shop.settled(relay)
    assert consumer.wait()
    consumer.start()
    assert workers.wait_for(lambda: set(shop.parcels()) == set(TWENTY) and len(shop.parcels()) >= parcels)
    assert len(shop.parcels()) == parcels
    twice = [order for order, times in Counter(shop.parcels()).items() if times > 1]
    assert len(twice) == parcels - 20
    dropped = ["order-5"] if inbox and point == "after effect" else []  # it comes when its lease has run out
    assert workers.wait_for(lambda: consumer.report().of("dropped") == dropped)


def test_what_makes_two_events_the_same_is_a_choice(shop, nats, run):
    """The relay published twice, without message ids: only the order tells that it was the same."""
    for order in TWENTY[:5]:
        shop.place(order, 10)
    relay = run(outbox_relay, batch=5, dies=("after publish", 5))
    assert relay.wait()
    relay.start()
    assert shop.settled(relay)
    by_order = run(event_consumer, "SHOP", name="by-order")
    assert workers.wait_for(lambda: len(by_order.report().got) == 10)
    assert workers.wait_for(lambda: len(by_order.report().of("dropped")) == 5)
    assert sorted(shop.parcels()) == TWENTY[:5]
    by_order.kill()
    shop.database.sql.execute("TRUNCATE parcels, inbox")
    by_id = run(event_consumer, "SHOP", key="message id", name="by-id")
    assert workers.wait_for(lambda: len(by_id.report().done) == 10)
    assert len(shop.parcels()) == 10


def test_what_cannot_be_is_refused(run):
    with pytest.raises(ArgumentError, match="how"):
        run(outbox_relay, "guessing")
    with pytest.raises(ArgumentError, match="how"):
        run(order_service, "dual")
    with pytest.raises(ArgumentError, match="key"):
        run(event_consumer, "SHOP", key="total")

"""Publish and subscribe: keys as AMQP matches them, patterns as EventBridge does, and who gets a copy."""

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import ArgumentError, Constant, Simulation, key_matches, matches
from interplay.actions import ack, commit, commit_offset, put, step
from interplay.after import After

WORDS = st.lists(st.sampled_from(["order", "eu", "paid", ""]), min_size=1, max_size=4).map(".".join)
BINDINGS = st.lists(st.sampled_from(["order", "eu", "*", "#"]), min_size=1, max_size=5).map(".".join)


@given(BINDINGS, WORDS)
@settings(max_examples=500, deadline=None)
def test_keys_match_as_a_regular_expression_says(binding, key):
    """Each word takes its own dot with it: `*` is one such piece, `#` any number of them."""
    pieces = {"*": r"[^.]*\.", "#": r"([^.]*\.)*"}
    expression = "".join(pieces.get(part, re.escape(part) + r"\.") for part in binding.split("."))
    assert key_matches(binding, key) is bool(re.fullmatch(expression, key + "." if key else ""))


@pytest.mark.parametrize(
    ("binding", "key", "matched"),
    [
        ("*.orange.*", "quick.orange.rabbit", True),
        ("*.*.rabbit", "quick.orange.rabbit", True),
        ("lazy.#", "lazy.brown.fox", True),
        ("lazy.#", "lazy", True),
        ("*.orange.*", "orange", False),
        ("*.*.rabbit", "quick.orange.new.rabbit", False),
        ("#", "", True),
        ("#.#", "a", True),
        ("", "", True),
        ("", "a", False),
        ("*", "", False),
    ],
)
def test_keys_of_the_brokers_own_tutorial(binding, key, matched):
    assert key_matches(binding, key) is matched


EVENT = {
    "source": "shop.orders",
    "detail-type": "order placed",
    "detail": {"total": 120.5, "country": "PT", "tags": ["gift", "eu"], "coupon": None, "paid": True, "n": 3},
}


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ({"source": ["shop.orders"]}, True),
        ({"source": ["shop.payments", "shop.orders"]}, True),
        ({"source": ["shop.payments"]}, False),
        ({"source": ["shop.orders"], "detail": {"country": ["PT"]}}, True),
        ({"source": ["shop.orders"], "detail": {"country": ["ES"]}}, False),
        ({"detail": {"total": [{"numeric": [">", 100]}]}}, True),
        ({"detail": {"total": [{"numeric": [">", 0, "<=", 120]}]}}, False),
        ({"detail": {"total": [{"numeric": ["=", 120.5]}]}}, True),
        ({"detail": {"country": [{"numeric": [">", 0]}]}}, False),
        ({"detail": {"paid": [{"numeric": ["=", 1]}]}}, False),
        ({"source": [{"prefix": "shop."}]}, True),
        ({"source": [{"suffix": ".orders"}]}, True),
        ({"source": [{"prefix": "web."}]}, False),
        ({"source": [{"wildcard": "*.ord*s"}]}, True),
        ({"source": [{"wildcard": "shop.[o]rders"}]}, False),
        ({"source": [{"wildcard": "shop?orders"}]}, False),
        ({"source": [{"equals-ignore-case": "SHOP.orders"}]}, True),
        ({"source": [{"anything-but": ["shop.payments"]}]}, True),
        ({"source": [{"anything-but": "shop.orders"}]}, False),
        ({"source": [{"anything-but": {"prefix": "shop"}}]}, False),
        ({"nothing": [{"anything-but": "a"}]}, False),
        ({"detail": {"tags": ["eu"]}}, True),
        ({"detail": {"tags": ["us"]}}, False),
        ({"detail": {"tags": [{"prefix": "gi"}]}}, True),
        ({"detail": {"coupon": [None]}}, True),
        ({"detail": {"coupon": [{"exists": True}]}}, True),
        ({"detail": {"colour": [{"exists": False}]}}, True),
        ({"detail": {"colour": [None]}}, False),
        ({"nothing": {"colour": [{"exists": False}]}}, True),
        ({"nothing": {"colour": ["red"]}}, False),
        ({"detail": {"paid": [True]}}, True),
        ({"detail": {"paid": [1]}}, False),
        ({"detail": {"n": [3]}}, True),
        ({"$or": [{"source": ["a"]}, {"detail": {"n": [3]}}]}, True),
        ({"$or": [{"source": ["a"]}, {"detail": {"n": [4]}}]}, False),
        ({"$or": [{"detail": {"n": [3]}}], "source": ["a"]}, False),
        ({}, True),
    ],
)
def test_patterns(pattern, matched):
    assert matches(pattern, EVENT) is matched


VALUES = st.one_of(st.integers(-2, 2), st.sampled_from(["a", "ab", "b"]), st.booleans(), st.none())
EVENTS = st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3)


@given(EVENTS, st.lists(VALUES, min_size=1, max_size=3), st.sampled_from("xyz"))
def test_a_value_matches_or_is_something_else_or_is_not_there(event, values, field):
    """`anything-but` is the opposite of the list, for a field that exists."""
    is_one = matches({field: values}, event)
    is_other = matches({field: [{"anything-but": values}]}, event)
    is_missing = matches({field: [{"exists": False}]}, event)
    assert is_one + is_other + is_missing == 1


@given(st.text("ab*", max_size=4), st.text("ab", max_size=4))
def test_wildcards_are_those_of_the_shell(wanted, value):
    assert matches({"x": [{"wildcard": wanted}]}, {"x": value}) is fnmatch.fnmatchcase(value, wanted)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ({"source": "shop"}, "the pattern's 'source' is 'shop', but must be a list of what is allowed"),
        ({"a": ["b"], "source": "shop"}, "the pattern's 'source'"),
        ({"detail": {"n": [{"like": "a"}]}}, "a pattern's rule is 'like', but must be one of equals, exists"),
        ({"$or": [{"a": [{"like": "a"}]}]}, "a pattern's rule is 'like'"),
        (7, "pattern is 7, but must be None, a text such as"),
    ],
)
def test_wrong_patterns_are_refused_at_once(pattern, words):
    shop = Simulation()
    with pytest.raises(ArgumentError, match=words):
        shop.topic("events").subscribe(shop.queue("mail"), pattern)


# In the shop


def noting(state, event):
    if event["kind"] == "records":
        notes = [("seen", None, record["body"]["kind"]) for record in event["records"]]
        return step(state, commit(*notes), commit_offset(event))
    if event["kind"] == "delivery":
        return step(state, commit(("seen", None, event["body"]["kind"])), ack(event))
    if event["kind"] in ("started", "assigned"):
        return step(state)
    return step(state, commit(("seen", None, event["kind"])))


def shop_of(**patterns):
    shop = Simulation(seed=1, delay=Constant(0.01))
    events = shop.topic("events")
    for name, pattern in patterns.items():
        events.subscribe(shop.process(name, noting), pattern)
    return shop, events


def publish(shop, to, *messages, at=0.0, **options):
    def journey(request):
        for message in messages:
            shop.post(request, to, message, **options)
        yield from ()

    After(shop.env, at, lambda _: shop.arrive(journey))


def seen(shop, name):
    return shop.parts[name].stored.get("seen", [])


def test_everybody_whose_pattern_matches_gets_one_copy():
    shop, events = shop_of(
        analytics=None, notifications="order.*", fraud={"total": [{"numeric": [">", 100]}]}
    )
    events.subscribe(shop.parts["analytics"], "order.#")
    publish(shop, events, {"kind": "order.placed", "total": 50}, {"kind": "order.paid", "total": 500})
    publish(shop, events, {"kind": "stock.low"}, {"kind": "order.eu.paid"})
    run = shop.run(until=1)
    assert seen(shop, "analytics") == ["order.placed", "order.paid", "stock.low", "order.eu.paid"]
    assert seen(shop, "notifications") == ["order.placed", "order.paid"]
    assert seen(shop, "fraud") == ["order.paid"]
    assert events.counts == {"published": 4, "copies": 7, "unrouted": 0}
    assert len(run.trace.messages) == 4 + 7


def test_the_key_it_was_sent_with_comes_before_its_kind():
    shop, events = shop_of(eu="*.eu", us="*.us")
    publish(shop, events, {"kind": "order.us"}, key="order.eu")
    publish(shop, events, {"kind": "order.asia"})
    shop.run(until=1)
    assert (seen(shop, "eu"), seen(shop, "us")) == (["order.us"], [])
    assert events.counts["unrouted"] == 1


def test_who_is_away_misses_it_unless_a_queue_or_a_log_stands_in_between():
    shop = Simulation(seed=1, delay=Constant(0.01))
    events = shop.topic("events")
    queue, log = shop.queue("mail"), shop.log("history", partitions=2)
    for part in (shop.process("direct", noting), queue, log):
        events.subscribe(part)
    queue.subscribe(shop.process("by queue", noting))
    log.group("analytics", session=3)
    log.subscribe(shop.process("by log", noting), group="analytics")
    for name in ("direct", "by queue", "by log"):
        shop.fault("crash", name, start=1, end=3)
    publish(shop, events, {"kind": "early"})
    publish(shop, events, {"kind": "missed"}, at=2, key="customer 1")
    publish(shop, events, {"kind": "late"}, at=4)
    shop.run(until=20)
    assert seen(shop, "direct") == ["early", "late"]
    assert seen(shop, "by queue") == ["early", "missed", "late"]
    assert sorted(seen(shop, "by log")) == ["early", "late", "missed"]


def test_a_topic_that_is_down_publishes_nothing_and_does_not_remember():
    shop, events = shop_of(analytics=None)
    shop.fault("crash", events, start=1, end=3)
    publish(shop, events, {"kind": "lost"}, at=2)
    publish(shop, events, {"kind": "kept"}, at=4)
    shop.run(until=5)
    assert seen(shop, "analytics") == ["kept"]


def test_processes_publish_and_topics_can_follow_each_other():
    def orders(state, event):
        return step(state, put("events", {"kind": "order.placed"}) if event["kind"] == "order" else None)

    shop, events = shop_of(analytics=None)
    archive = shop.topic("archive")
    events.subscribe(archive, "order.#")
    archive.subscribe(shop.process("audit", noting))
    shop.process("orders", orders)
    publish(shop, "orders", {"kind": "order"})
    shop.run(until=1)
    assert seen(shop, "analytics") == seen(shop, "audit") == ["order.placed"]


def test_a_topic_takes_messages_only():
    shop, _ = shop_of()
    shop.process("orders", lambda state, event: step(state, {"do": "ack", "to": "events"}))
    with pytest.raises(ArgumentError, match="for events is 'ack', but must be \"send\": it is a topic"):
        shop.run(until=1)

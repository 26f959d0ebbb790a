"""The gateway's decisions: coalescing, caching, partial pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from interplay import ArgumentError
from interplay.gateway import Aggregate, Cache, Coalesce, expires


def test_one_call_for_many_askers():
    flight = Coalesce()
    assert [flight.join("offers", who) for who in "abc"] == ["leader", "follower", "follower"]
    assert flight.finish("offers") == ["a", "b", "c"]
    assert flight.join("offers", "d") == "leader", "the next call is a new one"


def test_the_leaders_failure_does_not_strand_the_followers():
    flight = Coalesce()
    for who in "abc":
        flight.join("offers", who)
    told = dict.fromkeys(flight.finish("offers"), "error")
    assert told == {"a": "error", "b": "error", "c": "error"}
    assert flight.finish("offers") == []


def test_when_the_leader_leaves_a_follower_leads():
    flight = Coalesce()
    for who in "abc":
        flight.join("offers", who)
    assert flight.leave("offers", "b") is None
    assert flight.leave("offers", "a") == "c"
    assert flight.finish("offers") == ["c"]


def test_when_the_last_leaves_nothing_is_in_flight():
    flight = Coalesce()
    flight.join("offers", "a")
    assert flight.leave("offers", "a") is None
    assert flight.leave("offers", "nobody") is None
    assert flight.join("offers", "b") == "leader"


def test_the_key_keeps_users_apart():
    flight = Coalesce()
    assert flight.join(("orders", "ann"), 1) == "leader"
    assert flight.join(("orders", "bob"), 2) == "leader"
    assert flight.finish(("orders", "ann")) == [1]


class Flights(RuleBasedStateMachine):
    """Whoever has joined is told once, or has left; and somebody leads as long as anybody waits."""

    def __init__(self):
        super().__init__()
        self.flight, self.waiting, self.leader, self.next = Coalesce(), set(), None, 0

    @rule()
    def join(self):
        role = self.flight.join("key", self.next)
        assert (role == "leader") is (self.leader is None)
        if role == "leader":
            self.leader = self.next
        self.waiting.add(self.next)
        self.next += 1

    @rule()
    def finish(self):
        told = self.flight.finish("key")
        assert sorted(told) == sorted(self.waiting)
        self.waiting, self.leader = set(), None

    @rule(data=st.data())
    def leave(self, data):
        who = data.draw(st.integers(0, self.next))
        promoted = self.flight.leave("key", who)
        self.waiting.discard(who)
        if who == self.leader:
            self.leader = promoted
        else:
            assert promoted is None

    @invariant()
    def somebody_leads(self):
        assert (self.leader in self.waiting) if self.waiting else self.leader is None


TestFlights = Flights.TestCase


def test_fresh_stale_missing():
    cache = Cache(ttl=10, stale_for=5)
    assert cache.get("offers", 0) == (None, "missing")
    cache.put("offers", "page", now=0)
    assert cache.get("offers", 9.9) == ("page", "fresh")
    assert cache.get("offers", 10) == ("page", "stale")
    assert cache.get("offers", 14.9) == ("page", "stale")
    assert cache.get("offers", 15) == (None, "missing")


def test_an_empty_answer_is_an_answer():
    cache = Cache(ttl=10)
    cache.put("offers", None, now=0)
    assert cache.get("offers", 1) == (None, "fresh")


def test_reading_does_not_prolong():
    cache = Cache(ttl=10)
    cache.put("offers", 1, now=0)
    for now in range(10):
        assert cache.get("offers", now)[1] == "fresh"
    assert cache.get("offers", 10)[1] == "missing"


def test_entries_of_one_moment_expire_apart():
    cache = Cache(ttl=10, spread=0.2)
    for u in (0.0, 0.5, 0.99):
        cache.put(u, "page", now=0, u=u)
    fresh = [[cache.get(u, now)[1] == "fresh" for u in (0.0, 0.5, 0.99)] for now in (7.9, 8.5, 9.5, 10)]
    assert fresh == [[True] * 3, [True, True, False], [True, False, False], [False] * 3]


@given(st.floats(0, 1e6), st.floats(0.1, 1e3), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_an_entry_is_never_fresh_for_longer_than_its_ttl(now, ttl, spread, u):
    assert now + ttl * (1 - spread) - 1e-9 <= expires(now, ttl, spread, u) <= now + ttl


PAGE = {"product": "mandatory", "price": "mandatory", "reviews": "optional", "offers": "optional"}


def test_a_complete_page():
    replies = {"price": 3, "product": "tea", "reviews": [], "offers": None}
    page = Aggregate(PAGE).decide(replies)
    assert page.status == "complete"
    assert page.body == replies
    assert page.missing == []


def test_an_optional_part_does_not_fail_the_page_and_is_not_shown_as_empty():
    page = Aggregate(PAGE).decide({"product": "tea", "price": 3, "offers": []})
    assert page == ("partial", {"product": "tea", "price": 3, "offers": []}, ["reviews"])
    assert "reviews" not in page.body


def test_a_mandatory_part_fails_it():
    page = Aggregate(PAGE).decide({"product": "tea", "reviews": [], "offers": []})
    assert page == ("failed", {}, ["price"])


def test_when_the_page_can_be_answered():
    page = Aggregate(PAGE)
    assert not page.ready({"product", "price"})
    assert not page.ready({"product", "price"}, failed={"reviews"})
    assert page.ready({"product", "price"}, failed={"reviews", "offers"})
    assert page.ready({"product"}, failed={"price"}), "it has failed: why wait"


@given(st.sets(st.sampled_from(sorted(PAGE))))
def test_every_part_is_either_shown_or_missing(came):
    page = Aggregate(PAGE).decide(dict.fromkeys(came, 1))
    assert set(page.missing) == set(PAGE) - came
    assert set(page.body) == (set() if page.status == "failed" else came)
    assert (page.status == "complete") is (came == set(PAGE))


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("ttl is 0", lambda: Cache(0)),
        ("stale_for is -1", lambda: Cache(1, -1)),
        ("spread is 1.5", lambda: Cache(1, 0, 1.5)),
        ("parts is {}", lambda: Aggregate({})),
        ("price is 'needed'.*'mandatory'", lambda: Aggregate({"price": "needed"})),
        ("replies is 'prize'.*'price'", lambda: Aggregate(PAGE).decide({"prize": 3})),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

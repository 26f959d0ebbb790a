"""Deadlines: arithmetic down a chain of calls."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import ArgumentError
from interplay.deadline import child_deadline, expired, from_wire, remaining, split, to_wire

moment = st.floats(0, 1e6)
length = st.floats(0, 1e3)


def test_what_is_left():
    assert remaining(10.0, 9.75) == 0.25
    assert remaining(10.0, 11.0) == 0.0
    assert remaining(math.inf, 11.0) == math.inf
    assert [expired(10.0, now) for now in (9.99, 10.0, 10.01)] == [False, True, True]


def test_the_timeout_does_not_start_again_at_each_hop():
    expires, now = 1.0, 0.0
    for _ in range(5):
        now += 0.3
        expires = child_deadline(expires, now, own=1.0)
    assert expires <= 1.5
    assert remaining(expires, now) == 0
    assert child_deadline(1.0, 0.3, own=1.0) == 1.0


def test_a_child_may_have_less():
    assert child_deadline(1.0, 0.3, own=0.2) == 0.5
    assert child_deadline(1.0, 0.3, own=1.0, reserve=0.1) == 0.9
    assert child_deadline(1.0, 0.3) == 1.0
    assert child_deadline(math.inf, 0.3) == math.inf
    assert child_deadline(1.0, 0.95, reserve=0.1) == 0.95, "no time for the call"


@given(moment, moment, length, length)
def test_a_child_never_outlives_its_caller(expires, now, own, reserve):
    child = child_deadline(expires, now, own, reserve)
    assert now <= child <= max(now, expires)
    assert child <= now + own


def test_the_wire_carries_what_is_left_and_not_a_moment():
    """The callee's clock is an hour ahead; it does not matter."""
    sent = to_wire(expires=100.25, now=100.0)
    assert sent == 250
    assert from_wire(sent, now=3700.0) == 3700.25


def test_nothing_negative_goes_on_the_wire():
    assert to_wire(expires=10.0, now=10.5) == 0
    assert to_wire(expires=10.0004, now=10.0) == 0


def test_whole_milliseconds_despite_binary_fractions():
    assert to_wire(10.1, 10.0) == 100
    assert to_wire(0.3, 0.1) == 200


@given(moment, length)
def test_the_wire_never_gives_more_time(now, left):
    there = remaining(from_wire(to_wire(now + left, now), now), now)
    assert there <= remaining(now + left, now) + 1e-6
    assert there > remaining(now + left, now) - 0.0011


def test_split_by_weights():
    assert split(1.0, [0.3, 0.1], reserve=0.2) == pytest.approx([0.6, 0.2])
    assert split(0.1, [0.3, 0.1], reserve=0.2) == [0.0, 0.0], "nothing is left, and nothing negative"
    assert split(1.0, [5]) == [1.0]


@given(length, st.lists(st.floats(0.001, 10), min_size=1, max_size=6), length)
def test_a_split_gives_out_what_is_left(left, weights, reserve):
    shares = split(left, weights, reserve)
    assert min(shares) >= 0
    assert sum(shares) == pytest.approx(max(0.0, left - reserve), abs=1e-9)


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("own is -1", lambda: child_deadline(1, 0, own=-1)),
        ("reserve is -1", lambda: child_deadline(1, 0, reserve=-1)),
        ("expires is inf", lambda: to_wire(math.inf, 0)),
        ("milliseconds is -1", lambda: from_wire(-1, 0)),
        (r"weights is \[\]", lambda: split(1, [])),
        (r"weights is \[0, 0\]", lambda: split(1, [0, 0])),
        (r"weights is \[1, -1\]", lambda: split(1, [1, -1])),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

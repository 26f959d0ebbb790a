"""Rate limits: what passes, and the bounds that hold whatever comes."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import ArgumentError, theory
from interplay.rate_limit import FixedWindow, LeakyBucket, TokenBucket


def passed(limit, times):
    return [now for now in times if limit.allow(now)]


def test_a_full_bucket_and_what_drips_in():
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.allow(0.0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.allow(0.1), bucket.allow(0.1)] == [True, False]
    assert [bucket.allow(0.25), bucket.allow(0.29), bucket.allow(0.3)] == [True, False, True]


def test_tokens_have_a_cap():
    bucket = TokenBucket(rate=10, burst=5)
    assert len(passed(bucket, [86_400.0] * 100)) == 5, "a quiet day saves up no more than the burst"


def test_refused_requests_take_nothing():
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.allow(0)
    assert not any(bucket.allow(i / 1000) for i in range(1, 999))
    assert bucket.allow(1.0)


def test_wait_says_when_to_come_back():
    bucket = TokenBucket(rate=10, burst=5)
    assert bucket.wait(0.0) == 0
    for _ in range(5):
        bucket.allow(0.0)
    assert bucket.wait(0.0) == pytest.approx(0.1)
    assert bucket.wait(0.0, cost=3) == pytest.approx(0.3)
    assert not bucket.allow(0.29, cost=3)
    assert bucket.allow(0.3, cost=3)
    assert TokenBucket(0, 1).wait(0) == 0
    empty = TokenBucket(0, 1)
    empty.allow(0)
    assert empty.wait(1e9) == math.inf


def test_bound_over_five_seconds():
    """r = 10/s, b = 50, offered far more: 100 in 5 s, exactly the bound."""
    bucket = TokenBucket(rate=10, burst=50)
    got = len(passed(bucket, [i / 1000 for i in range(5001)]))
    assert got == 100 == theory.token_bucket_bound(10, 50, 5)


def test_burst_length_at_the_peak_rate():
    """r = 10/s, b = 50, peak 100/s: .556 s without a refusal."""
    bucket = TokenBucket(rate=10, burst=50)
    first_refused = next(i for i in range(10_000) if not bucket.allow(i / 100)) / 100
    assert theory.burst_length(10, 50, 100) == pytest.approx(0.556, abs=0.001)
    assert first_refused == pytest.approx(theory.burst_length(10, 50, 100), abs=0.011)
    assert theory.burst_length(10, 50, 10) == math.inf


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=200),
    st.floats(0.1, 50),
    st.floats(1, 20),
)
def test_no_interval_lets_more_through_than_the_bound(gaps, rate, burst):
    now, times = 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)
    got = passed(TokenBucket(rate, burst), times)
    for i, start in enumerate(got):
        for count, end in enumerate(got[i:], start=1):
            assert count <= theory.token_bucket_bound(rate, burst, end - start) + 1e-6


def test_leaky_bucket_spaces_its_requests():
    bucket = LeakyBucket(rate=10, depth=3)
    waits = [bucket.enter(0.0) for _ in range(6)]
    assert waits[:4] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert waits[4:] == [None, None]
    assert bucket.enter(0.1) == pytest.approx(0.3), "one has leaked out"
    assert bucket.enter(99) == 0


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=100), st.integers(0, 5))
def test_leaky_bucket_never_releases_faster_than_its_rate(gaps, depth):
    bucket, now, released = LeakyBucket(10, depth), 0.0, []
    for gap in gaps:
        now += gap
        wait = bucket.enter(now)
        if wait is not None:
            assert wait <= depth / 10 + 1e-6
            released.append(now + wait)
    assert all(b - a >= 0.1 - 1e-9 for a, b in itertools.pairwise(released))


def test_leaky_bucket_for_callers_that_cannot_wait():
    bucket = LeakyBucket(rate=10, depth=0)
    assert [bucket.allow(0), bucket.allow(0.05), bucket.allow(0.1)] == [True, False, True]


def test_fixed_window_lets_twice_the_rate_through_at_its_edge():
    edge = [0.99 + i / 10_000 for i in range(100)] + [1.0 + i / 10_000 for i in range(100)]
    assert len(passed(FixedWindow(100, window=1.0), edge)) == 200
    assert len(passed(TokenBucket(rate=100, burst=100), edge)) <= theory.token_bucket_bound(100, 100, 0.02)


def test_fixed_window_counts_by_the_clock():
    window = FixedWindow(2, window=10)
    assert [window.allow(t) for t in (0, 1, 2, 9.99, 10, 25, 26, 27)] == [1, 1, 0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("rate is -1", lambda: TokenBucket(-1, 5)),
        ("burst is 0.5", lambda: TokenBucket(1, 0.5)),
        ("cost is 6.*at most 5", lambda: TokenBucket(1, 5).allow(0, cost=6)),
        ("cost is 0", lambda: TokenBucket(1, 5).allow(0, cost=0)),
        ("rate is 0", lambda: LeakyBucket(0, 5)),
        ("depth is 2.5", lambda: LeakyBucket(1, 2.5)),
        ("limit is 0", lambda: FixedWindow(0)),
        ("window is 0", lambda: FixedWindow(1, 0)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

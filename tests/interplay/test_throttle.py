"""Client-side throttling and the adaptive concurrency limit."""

import numpy as np
import pytest

from interplay import ArgumentError, theory
from interplay.throttle import AdaptiveThrottle, ConcurrencyLimit


def test_the_published_formula():
    throttle = AdaptiveThrottle(k=2)
    assert throttle.reject_probability(0) == 0
    for i in range(100):
        throttle.allow(0, 0.999)
        throttle.record(i < 30, 0)
    assert throttle.reject_probability(0) == pytest.approx((100 - 2 * 30) / 101)
    assert AdaptiveThrottle(k=2).allow(0, 0.0)
    assert [throttle.allow(0, 0.39), throttle.allow(0, 0.41)] == [False, True]


def test_a_healthy_server_is_never_throttled():
    throttle = AdaptiveThrottle()
    for i in range(1000):
        assert throttle.allow(i / 100, 0.0)
        throttle.record(i % 2 == 0, i / 100)
        assert throttle.reject_probability(i / 100) <= 1 / (i + 2), "k = 2: half of them may fail"


def test_rejects_do_not_count_as_accepts():
    throttle = AdaptiveThrottle()
    for _ in range(10):
        throttle.allow(0, 0.999)
        throttle.record(False, 0)
    assert (throttle.requests, throttle.accepts) == (10, 0)
    assert throttle.reject_probability(0) == pytest.approx(10 / 11)


def test_what_is_rejected_here_counts_as_a_request():
    throttle = AdaptiveThrottle()
    for _ in range(10):
        throttle.allow(0, 0.0)
    assert throttle.requests == 10


def test_the_window_slides():
    throttle = AdaptiveThrottle(window=120)
    for now in range(240):
        throttle.allow(now, 0.999)
        throttle.record(now < 120, now)
        assert throttle.requests <= 120
    assert throttle.accepts == 0
    assert throttle.reject_probability(239) > 0.98
    assert throttle.reject_probability(239 + 120) == 0, "all is forgotten: try again"


def accepted_share(cost, seed, k=2.0, offered=1000, capacity=100, until=150, window=10):
    """A server of so many units of work a second: an acceptance takes one, a rejection `cost`.

    It accepts while its backlog is below ten units. Share of the capacity that becomes accepted work.
    """
    rng = np.random.default_rng(seed)
    throttle = AdaptiveThrottle(k, window)
    now = backlog = accepted = 0.0
    for gap, u in zip(*rng.random((2, offered * until)).tolist(), strict=True):
        step = 2 * gap / offered
        now += step
        backlog = max(0.0, backlog - step * capacity)
        if throttle.allow(now, u):
            accepts = backlog < 10
            backlog += 1 if accepts else cost
            throttle.record(accepts, now)
            accepted += accepts and now > until / 3
    return accepted / (now - until / 3) / capacity


def test_accepted_work_of_an_overloaded_server():
    bound = theory.adaptive_throttle_accepted(0.25, k=2)
    assert bound == pytest.approx(0.8)
    shares = [accepted_share(0.25, seed) for seed in range(4)]
    assert np.mean(shares) == pytest.approx(0.7996, abs=0.0025)
    assert all(share <= bound + 0.002 for share in shares)
    assert abs(np.mean([accepted_share(0.25 * 1.05, seed) for seed in range(4)]) - bound) > 0.005


def test_without_a_throttle_the_server_only_says_no():
    assert theory.adaptive_throttle_accepted(0.25, k=1e9) < 1e-6
    assert theory.adaptive_throttle_accepted(0.25, k=1) == 1.0
    assert theory.adaptive_throttle_accepted(0.0, k=5) == 1.0


def test_the_limit_grows_by_one_and_falls_by_a_tenth():
    limit = ConcurrencyLimit(10, slow=1.0)
    assert [limit.enter(0) for _ in range(12)] == [True] * 10 + [False] * 2
    limit.leave(0, latency=0.1, ok=True)
    assert limit.limit == 11
    limit.leave(0, latency=1.1, ok=True)
    assert limit.limit == 9, "int(11 * .9)"
    limit.leave(0, latency=0.1, ok=False)
    assert limit.limit == 8
    assert limit.inside == 7


def test_an_unused_limit_does_not_grow():
    limit = ConcurrencyLimit(10)
    for _ in range(100):
        for _ in range(4):
            limit.enter(0)
        for _ in range(4):
            limit.leave(0, 0.1, True)
    assert limit.limit == 10


def test_the_limit_stays_within_its_bounds():
    limit = ConcurrencyLimit(2, most=5)
    for _ in range(50):
        while limit.enter(0):
            pass
        while limit.inside:
            limit.leave(0, 0.1, True)
    assert limit.limit == 5
    for _ in range(50):
        limit.enter(0)
        limit.leave(0, 0.1, False)
    assert limit.limit == 1
    assert limit.enter(0), "one may always try"


def test_a_call_that_was_not_made_teaches_nothing():
    limit = ConcurrencyLimit(1)
    assert limit.enter(0)
    limit.leave(0, 0.0, None)
    assert (limit.limit, limit.inside) == (1, 0)


def test_a_slot_cannot_be_given_back_twice():
    with pytest.raises(RuntimeError, match="leave"):
        ConcurrencyLimit().leave(0, 0.1, True)


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("k is 0.5", lambda: AdaptiveThrottle(0.5)),
        ("window is 0", lambda: AdaptiveThrottle(2, 0)),
        ("initial is 0", lambda: ConcurrencyLimit(0)),
        ("slow is 0", lambda: ConcurrencyLimit(slow=0)),
        ("ratio is 1.0", lambda: ConcurrencyLimit(ratio=1.0)),
        ("ratio is 0.4", lambda: ConcurrencyLimit(ratio=0.4)),
        ("most is 5", lambda: ConcurrencyLimit(10, most=5)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

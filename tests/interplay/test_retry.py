"""Retry policies by themselves: plain Python, with time and chance as arguments."""

import pytest

from interplay import (
    ArgumentError,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    Fixed,
    FullJitter,
    GrpcThrottle,
    Retry,
    RetryBudget,
)


def test_backoff_formulas():
    for attempt, ceiling in [(1, 0.1), (2, 0.2), (5, 1.6), (6, 2.0), (500, 2.0)]:
        assert ExponentialBackoff(0.1, 2.0).delay(attempt, 0, 0.7) == pytest.approx(ceiling)
        assert FullJitter(0.1, 2.0).delay(attempt, 0, 0.7) == pytest.approx(0.7 * ceiling)
        assert EqualJitter(0.1, 2.0).delay(attempt, 0, 0.7) == pytest.approx(0.85 * ceiling)
    assert Fixed(0.3).delay(9, 0, 0.7) == 0.3
    jitter = DecorrelatedJitter(0.1, 2.0)
    assert jitter.delay(1, 0, 0.5) == pytest.approx(0.2), "between 0.1 and 0.3"
    assert jitter.delay(2, 0, 0.5, previous=0.2) == pytest.approx(0.35), "between 0.1 and 0.6"
    assert jitter.delay(9, 0, 0.99, previous=2.0) == 2.0


def test_a_budget_pays_for_a_share_of_the_requests():
    budget = RetryBudget(0.2, burst=10)
    assert sum(budget.allow(0) for _ in range(50)) == 10, "what was saved up"
    granted = 0
    for _ in range(1000):
        budget.request(0)
        granted += budget.allow(0)
    assert granted == 200


def test_a_budget_saves_no_more_than_its_burst():
    budget = RetryBudget(0.2, floor=5, burst=10)
    for _ in range(1000):
        budget.request(0)
    assert sum(budget.allow(0) for _ in range(50)) == 10
    assert sum(budget.allow(1.0) for _ in range(50)) == 5, "the floor: five a second"
    assert sum(budget.allow(100.0) for _ in range(50)) == 10


def test_grpc_throttle_follows_grfc_a6():
    throttle = GrpcThrottle(maximum=10, ratio=0.1)
    for failures, allowed in enumerate([True, True, True, True, False, False], start=1):
        throttle.record(False, 0)
        assert throttle.tokens == 10 - failures
        assert throttle.allow(0) is allowed
    for _ in range(11):
        throttle.record(True, 0)
    assert throttle.tokens == pytest.approx(5.1)
    assert throttle.allow(0)


def test_retry_counts_attempts_and_asks_its_budget():
    retry = Retry(3, on=("timeout",), budget=RetryBudget(0, burst=1))
    assert [retry.wants(n, "timeout") for n in (1, 2, 3)] == [True, True, False]
    assert not retry.wants(1, "error")
    assert [retry.allow(0), retry.allow(0)] == [True, False]
    assert Retry(2).delay(1, 0, 0.5) == 0


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("ratio is -0.1", lambda: RetryBudget(-0.1)),
        ("burst is 0", lambda: RetryBudget(0.1, burst=0)),
        ("attempts is 0", lambda: Retry(0)),
        ("attempts is True", lambda: Retry(True)),
        ("maximum is 2000", lambda: GrpcThrottle(2000)),
        ("base is 0", lambda: FullJitter(0, 1)),
        ("on is 'ok'", lambda: Retry(2, on=("ok",))),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

"""The circuit breaker by itself, and how long it takes to trip."""

import numpy as np
import pytest

from interplay import ArgumentError, theory
from interplay.circuit_breaker import CircuitBreaker, ConsecutiveFailures, FailureRate


def tripped(open_for=5.0, probes=1, at=0.0):
    breaker = CircuitBreaker(1, open_for=open_for, probes=probes)
    breaker.record(False, at)
    assert breaker.state == "open"
    return breaker


def test_opens_after_five_failures_in_a_row():
    breaker = CircuitBreaker(failures=5)
    for _ in range(4):
        assert breaker.allow(0)
        breaker.record(False, 0)
    assert breaker.state == "closed"
    breaker.record(False, 0)
    assert breaker.state == "open"
    assert not breaker.allow(0)


def test_a_success_resets_the_count():
    breaker = CircuitBreaker(failures=3)
    for ok in (False, False, True) * 10:
        breaker.record(ok, 0)
    assert breaker.state == "closed"


def test_rejected_calls_do_not_prolong_the_open_state():
    breaker = tripped(open_for=5, at=10.0)
    assert not any(breaker.allow(10 + i / 100) for i in range(500))
    assert breaker.allow(15.0)
    assert breaker.state == "half-open"


def test_answers_that_come_while_open_do_not_prolong_it_either():
    breaker = tripped(open_for=5, at=10.0)
    for i in range(500):
        breaker.record(False, 10 + i / 100)
    assert breaker.allow(15.0)


def test_half_open_does_not_let_everyone_through():
    breaker = tripped()
    assert [breaker.allow(5.0) for _ in range(4)] == [True, False, False, False]
    breaker.record(True, 5.1)
    assert breaker.state == "closed"
    assert all(breaker.allow(5.1) for _ in range(4))


def test_a_failed_probe_opens_it_again_for_the_whole_time():
    breaker = tripped(open_for=5)
    assert breaker.allow(7.0)
    breaker.record(False, 8.0)
    assert breaker.state == "open"
    assert [breaker.allow(12.9), breaker.allow(13.0)] == [False, True]


def test_all_probes_must_succeed():
    breaker = tripped(probes=3)
    assert [breaker.allow(5.0) for _ in range(5)] == [True, True, True, False, False]
    breaker.record(True, 5.1)
    breaker.record(True, 5.2)
    assert breaker.state == "half-open"
    assert not breaker.allow(5.2)
    breaker.record(True, 5.3)
    assert breaker.state == "closed"


def test_one_failed_probe_of_three_is_enough():
    breaker = tripped(probes=3)
    assert all(breaker.allow(5.0) for _ in range(3))
    breaker.record(True, 5.1, sent=5.0)
    breaker.record(False, 5.2, sent=5.0)
    assert breaker.state == "open"
    breaker.record(True, 5.3, sent=5.0)
    assert breaker.allow(10.2)
    breaker.record(True, 10.2, sent=5.0)
    assert breaker.state == "half-open", "a late answer of the round before"


def test_a_late_answer_is_no_verdict_on_the_probe():
    breaker = tripped(open_for=5)
    assert breaker.allow(5.0)
    breaker.record(False, 5.5, sent=-1.0)
    assert breaker.state == "half-open"
    breaker.record(True, 5.6, sent=5.0)
    assert breaker.state == "closed"
    breaker.record(False, 5.7, sent=-1.0)
    assert breaker.state == "closed"


def test_a_probe_without_an_answer_does_not_block_for_ever():
    breaker = tripped(open_for=5)
    assert breaker.allow(5.0)
    assert not breaker.allow(9.9)
    assert breaker.allow(10.0)
    assert not breaker.allow(10.0)


def test_the_count_starts_again_once_closed():
    breaker = CircuitBreaker(failures=3, open_for=1)
    for _ in range(3):
        breaker.record(False, 0)
    assert breaker.allow(1)
    breaker.record(True, 1)
    breaker.record(False, 1)
    breaker.record(False, 1)
    assert breaker.state == "closed"


def test_failure_rate_needs_a_minimum_volume():
    breaker = CircuitBreaker(FailureRate(0.5, window=10, minimum=20))
    for _ in range(19):
        breaker.record(False, 0)
    assert breaker.state == "closed"
    breaker.record(True, 0)
    assert breaker.state == "open", "20 calls, 19 failures"


def test_failure_rate_is_exact_at_its_threshold():
    for failures, state in [(9, "closed"), (10, "open")]:
        breaker = CircuitBreaker(FailureRate(0.5, window=10, minimum=20))
        for i in range(20):
            breaker.record(i >= failures, 0)
        assert breaker.state == state


def test_failure_rate_counts_what_is_in_its_window():
    rule = FailureRate(0.5, window=10, minimum=2)
    assert not rule.trips(False, 0)
    assert rule.trips(True, 9.9)
    rule.clear()
    assert not rule.trips(False, 0)
    assert not rule.trips(True, 10.0), "the failure has left the window"


def test_consecutive_failures_miss_a_service_that_answers_now_and_then():
    consecutive, rate = CircuitBreaker(5), CircuitBreaker(FailureRate(0.5))
    for i in range(100):
        consecutive.record(i % 5 == 0, i / 100)
        rate.record(i % 5 == 0, i / 100)
    assert (consecutive.state, rate.state) == ("closed", "open")


def calls_until_open(failure, seed, runs=400):
    rng, calls = np.random.default_rng(seed), 0
    for _ in range(runs):
        breaker = CircuitBreaker(5, open_for=1.0)
        while breaker.allow(0.0):
            calls += 1
            breaker.record(bool(rng.random() >= failure), 0.0)
    return calls / runs


@pytest.mark.parametrize(("error", "agrees"), [(1.0, True), (1.05, False)])
def test_mean_calls_to_trip(error, agrees):
    expected = theory.calls_to_trip(0.5, 5)
    assert expected == pytest.approx(62)
    values = np.array([calls_until_open(0.5 * error, seed) for seed in range(10)])
    z = (values.mean() - expected) / (values.std(ddof=1) / 10**0.5)
    assert bool(abs(z) < 4) is agrees


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("failures is 0", lambda: CircuitBreaker(0)),
        ("failures is 2.5", lambda: CircuitBreaker(2.5)),
        ("failures is True", lambda: CircuitBreaker(True)),
        ("failures is 'five'.*FailureRate", lambda: CircuitBreaker("five")),
        ("open_for is 0", lambda: CircuitBreaker(5, open_for=0)),
        ("probes is 0", lambda: CircuitBreaker(5, probes=0)),
        ("rate is 50", lambda: FailureRate(50)),
        ("window is 0", lambda: FailureRate(0.5, window=0)),
        ("minimum is 0", lambda: FailureRate(0.5, minimum=0)),
        ("failures is -1", lambda: ConsecutiveFailures(-1)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

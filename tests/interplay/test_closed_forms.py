"""Closed forms against the shortest program that shows the same: numpy, and the policies by themselves.

The simulator is held against them in test_theory.py. Each measure takes a factor on the service time: it must
agree at 1.0, and disagree at 1.05.
"""

import heapq
import math

import numpy as np
import pytest

from interplay import ArgumentError, theory
from interplay.bulkhead import Bulkhead

SEEDS = range(1, 11)
LOAD, TAU = 0.8, 10.0


def z(values, expected):
    values = np.asarray(values, float)
    return (values.mean() - expected) / (values.std(ddof=1) / len(values) ** 0.5)


def holds(measure, expected):
    """Ten replications agree with theory, and no longer do when service times are 5 % longer."""
    right = abs(z([measure(np.random.default_rng(seed), 1.0) for seed in SEEDS], expected))
    wrong = abs(z([measure(np.random.default_rng(seed), 1.05) for seed in SEEDS], expected))
    assert right < 4 < wrong


def waits(arrivals, services):
    """Lindley's recursion for one FIFO worker, all at once."""
    steps = np.cumsum(services[:-1] - np.diff(arrivals))
    walk = np.concatenate([[0.0], steps])
    return walk - np.minimum.accumulate(walk)


def poisson(rng, n, rate=LOAD):
    return np.cumsum(rng.exponential(1 / rate, n))


def test_mm1_wait_and_tail():
    def wait(rng, slower, n=200_000):
        return waits(poisson(rng, n), rng.exponential(slower, n)).mean()

    def tail(rng, slower, n=200_000):
        services = rng.exponential(slower, n)
        return (waits(poisson(rng, n), services) + services > TAU).mean()

    assert theory.mm1_tail(LOAD, 1.0, TAU) == pytest.approx(0.1353, abs=5e-5)
    holds(wait, theory.mm1_wait(LOAD, 1.0))
    holds(tail, theory.mm1_tail(LOAD, 1.0, TAU))


def test_pollaczek_khinchine():
    def constant(rng, slower, n=100_000):
        return waits(poisson(rng, n), np.full(n, slower)).mean()

    def two_phases(rng, slower, n=400_000):
        """Nine in ten are short (mean .5), one is long (mean 5.5): E[S] = 1, E[S²] = 6.5."""
        mean = np.where(rng.random(n) < 0.1, 5.5, 0.5)
        return waits(poisson(rng, n), rng.exponential(slower, n) * mean).mean()

    assert theory.mg1_wait(LOAD, 1.0, 1.0) == pytest.approx(2)
    assert theory.mg1_wait(LOAD, 1.0, 6.5) == pytest.approx(13)
    assert theory.mg1_wait(LOAD, 1.0, 2.0) == pytest.approx(theory.mm1_wait(LOAD, 1.0))
    holds(constant, 2.0)
    holds(two_phases, 13.0)


def test_four_workers():
    def several(rng, slower, n=30_000, workers=4):
        """Kiefer and Wolfowitz: the next customer takes the worker that is free first."""
        free, total, late = [0.0] * workers, 0.0, 0
        arrivals, services = poisson(rng, n, LOAD * workers).tolist(), rng.exponential(slower, n).tolist()
        for now, service in zip(arrivals, services, strict=True):
            wait = max(0.0, free[0] - now)
            heapq.heapreplace(free, now + wait + service)
            total, late = total + wait, late + (wait > 0)
        return np.array([total, late]) / n

    assert theory.erlang_c(4, 3.2) == pytest.approx(0.5964, abs=5e-5)
    assert theory.mmc_wait(3.2, 1.0, 4) == pytest.approx(0.7455, abs=5e-5)
    assert theory.mmc_wait(LOAD, 1.0, 1) == pytest.approx(theory.mm1_wait(LOAD, 1.0))
    holds(lambda rng, slower: several(rng, slower)[0], theory.mmc_wait(3.2, 1.0, 4))
    holds(lambda rng, slower: several(rng, slower)[1], theory.erlang_c(4, 3.2))


@pytest.mark.parametrize("constant", [False, True])
def test_erlang_b_by_the_bulkhead(constant):
    """Ten slots, load 8: .12166 are turned away, whatever the distribution of the hold time."""

    def turned_away(rng, slower, n=20_000):
        bulkhead, ends, refused = Bulkhead(10), [], 0
        holds = np.full(n, slower) if constant else rng.exponential(slower, n)
        for now, hold in zip(poisson(rng, n, 8.0).tolist(), holds.tolist(), strict=True):
            while ends and ends[0] <= now:
                bulkhead.leave(heapq.heappop(ends))
            if bulkhead.enter(now):
                heapq.heappush(ends, now + hold)
            else:
                refused += 1
        return refused / n

    assert theory.erlang_b(10, 8) == pytest.approx(0.12166, abs=5e-6)
    holds(turned_away, theory.erlang_b(10, 8))


def test_tandem():
    def pipeline(rng, slower, n=200_000):
        start = arrivals = poisson(rng, n)
        for mean in (1.0, 0.8, 1.0):
            services = rng.exponential(mean * slower, n)
            arrivals = arrivals + waits(arrivals, services) + services
        return (arrivals - start).mean()

    expected = theory.tandem_time(LOAD, [1.0, 1.25, 1.0])
    assert expected == pytest.approx(12.22, abs=0.005)
    holds(pipeline, expected)


def test_a_chain_of_calls_is_no_pipeline():
    """Each caller holds its worker for 1 + .8 + 1 = 2.8 s: one worker a tier serves .357 a second, not .8."""
    assert theory.drained(LOAD, hold=2.8, workers=1)
    assert theory.drained(0.36, hold=2.8, workers=1)
    assert not theory.drained(0.35, hold=2.8, workers=1)
    assert not theory.drained(LOAD, hold=2.8, workers=3)


def test_fork_join():
    def slower_half(rng, slower, n=200_000):
        arrivals, halves = poisson(rng, n), []
        for _ in range(2):
            services = rng.exponential(slower, n)
            halves.append(waits(arrivals, services) + services)
        return np.maximum(*halves).mean()

    assert theory.fork_join_2(LOAD, 1.0) == pytest.approx(7.0)
    holds(slower_half, 7.0)


def test_blocking_at_a_bounded_queue():
    def full(rng, slower, n=30_000, places=5):
        ends, refused = [], 0
        for now, work in zip(poisson(rng, n).tolist(), rng.exponential(slower, n).tolist(), strict=True):
            ends = [end for end in ends if end > now]
            if len(ends) < places:
                ends.append((ends[-1] if ends else now) + work)
            else:
                refused += 1
        return refused / n

    assert theory.mm1k_blocking(LOAD, 1.0, 5) == pytest.approx(0.0888, abs=5e-5)
    assert theory.mm1k_blocking(LOAD, 1.0, 6) == pytest.approx(0.0663, abs=5e-5), "five waiting is K = 6"
    assert theory.mm1k_blocking(1.0, 1.0, 5) == pytest.approx(1 / 6)
    assert theory.mm1k_blocking(1e6, 1.0, 1) == pytest.approx(1, abs=1e-5)
    holds(full, theory.mm1k_blocking(LOAD, 1.0, 5))


def test_late_starts_and_what_dropping_the_expired_saves():
    def late(rng, slower, n=300_000):
        return (waits(poisson(rng, n), rng.exponential(slower, n)) > TAU).mean()

    def lost(rng, slower, n=100_000):
        free, dropped = 0.0, 0
        for now, work in zip(poisson(rng, n).tolist(), rng.exponential(slower, n).tolist(), strict=True):
            if free - now > TAU:
                dropped += 1
            else:
                free = max(free, now) + work
        return dropped / n

    assert theory.late_start_share(LOAD, 1.0, TAU) == pytest.approx(0.1083, abs=5e-5)
    assert theory.lost_with_drop_expired(LOAD, 1.0, TAU) == pytest.approx(0.0237, abs=5e-5)
    holds(late, theory.late_start_share(LOAD, 1.0, TAU))
    holds(lost, theory.lost_with_drop_expired(LOAD, 1.0, TAU))


def test_availability():
    assert theory.series_availability([0.9999] * 30) == pytest.approx(0.997, abs=5e-5)
    assert theory.replicas_availability([0.99, 0.99]) == pytest.approx(0.9999)
    assert theory.series_availability([]) == 1
    assert theory.success_share(0.3, 4) == pytest.approx(0.992, abs=0.0005), "three retries"


def test_fan_out():
    assert theory.fan_out_share(0.01, 100) == pytest.approx(0.634, abs=0.0005)
    assert theory.fan_out_share(0.0001, 2000) == pytest.approx(0.181, abs=0.0005)
    assert theory.leaf_quantile(0.99, 100) == pytest.approx(0.9999, abs=1e-6)
    assert theory.fan_out_share(1 - theory.leaf_quantile(0.99, 100), 100) == pytest.approx(0.01)

    def slow_pages(rng, error, n=6000):
        return (rng.random((n, 100)) < 0.01 * error).any(axis=1).mean()

    holds(slow_pages, theory.fan_out_share(0.01, 100))


def test_the_slowest_of_many_and_the_third_of_five():
    assert theory.max_of_exponentials(100) == pytest.approx(5.187, abs=0.0005)
    assert theory.quorum_time(5, 3) == pytest.approx(0.7833, abs=5e-5)
    assert theory.quorum_time(1, 1, mean=0.02) == 0.02
    holds(lambda rng, slower: rng.exponential(slower, (2000, 100)).max(axis=1).mean(), 5.187378)
    holds(lambda rng, slower: np.sort(rng.exponential(slower, (5000, 5)))[:, 2].mean(), 0.783333)


def test_calls_to_trip():
    assert theory.calls_to_trip(0.5, 5) == pytest.approx(62)
    assert theory.calls_to_trip(0.1, 5) == pytest.approx(111_110)
    assert theory.calls_to_trip(1.0, 5) == 5
    for p in (0.05, 0.3, 0.9):
        assert theory.calls_to_trip(p, 5) == pytest.approx((1 - p**5) / ((1 - p) * p**5))


def test_more_choices_help_less_and_less():
    times = [theory.supermarket(0.9, d) for d in (1, 2, 3, 5)]
    assert times == sorted(times, reverse=True)
    assert times[0] - times[1] > 5 * (times[1] - times[2])
    assert theory.supermarket(0.0, 2) == theory.supermarket(0.0, 1) == 1.0
    assert math.isfinite(theory.supermarket(0.999_999, 2))


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("time is -1", lambda: theory.mm1_tail(0.5, 1, -1)),
        ("servers is 0", lambda: theory.erlang_b(0, 1)),
        ("load is -1", lambda: theory.erlang_b(1, -1)),
        ("servers is 1.5", lambda: theory.mmc_wait(1, 1, 1.5)),
        ("second_moment is 0.5.*at least 1", lambda: theory.mg1_wait(0.5, 1.0, 0.5)),
        ("places is 0", lambda: theory.mm1k_blocking(1, 1, 0)),
        ("share is 99.9", lambda: theory.series_availability([99.9])),
        ("failure is 0", lambda: theory.calls_to_trip(0, 5)),
        ("needed is 6.*at most 5", lambda: theory.quorum_time(5, 6)),
        ("choices is 0", lambda: theory.supermarket(0.5, 0)),
        ("k is 0.5", lambda: theory.adaptive_throttle_accepted(0.1, 0.5)),
        ("workers is 0", lambda: theory.drained(1, 1, 0)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: theory.mm1_wait(1, 1),
        lambda: theory.mm1_tail(2, 1, 1),
        lambda: theory.mmc_wait(4, 1, 4),
        lambda: theory.mg1_wait(1, 1, 2),
        lambda: theory.tandem_time(0.8, [1, 0.8]),
        lambda: theory.fork_join_2(1, 1),
        lambda: theory.supermarket(1, 2),
        lambda: theory.late_start_share(1, 1, 1),
    ],
)
def test_an_overloaded_queue_has_no_mean(build):
    with pytest.raises(ValueError, match="grows for ever"):
        build()

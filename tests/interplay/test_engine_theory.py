"""The engine against theory and published results where it needs queues, policies and faults together.

Each measure takes a factor on the service time (or on what it is about): it must agree at 1.0, |z| < 4 over
ten replications, and disagree at 1.05.
"""

import heapq
import math

import numpy as np
import pytest

from interplay import Constant, Exponential, Fifo, Lifo, LogNormal, Replicas, Retry, Simulation, theory
from interplay.bulkhead import Bulkhead
from interplay.hedging import Hedge
from interplay.trace import OK, REJECTED

SEEDS = range(1, 11)
LOAD, TAU = 0.8, 10.0


def z(values, expected):
    values = np.asarray(values, float)
    return (values.mean() - expected) / (values.std(ddof=1) / len(values) ** 0.5)


def holds(measure, expected):
    right, wrong = (abs(z([measure(seed, slower) for seed in SEEDS], expected)) for slower in (1.0, 1.05))
    assert right < 4 < wrong


def till(seed, slower, customers=20_000, workers=1, patience=None, **service):
    """One service at a load of 0.8, no delay, nothing but spans; the run."""
    shop = Simulation(seed, delay=Constant(0), record="spans")
    service = shop.service("till", workers=workers, time=Exponential(slower), **service)
    rate = LOAD * workers
    shop.users(shop.client(service, deadline=patience) if patience else service, rate=rate)
    return shop.run(until=customers / rate)


def waits(run):
    spans = run.trace.spans.array()
    return (spans["started"] - spans["arrived"])[~np.isnan(spans["ended"])]


@pytest.mark.parametrize("workers", [1, 4])
def test_waits_equal_lindley_and_kiefer_wolfowitz_over_100_000_customers(workers):
    customers, rate = 100_000, LOAD * workers
    run = till(3, 1.0, customers, workers)
    streams = Simulation(3).streams
    between = streams.draws("arrivals 1", Exponential(1 / rate))
    work = streams.draws("till service time", Exponential(1.0))
    rows = run.trace.spans.array()
    rows = rows[np.argsort(rows["arrived"], kind="stable")]
    measured = (rows["started"] - rows["arrived"])[: int(0.99 * customers)]
    assert not np.isnan(measured).any()
    free, now, expected = [0.0] * workers, 0.0, []
    for _ in measured:
        now += between()
        start = max(now, free[0])
        heapq.heapreplace(free, start + work())
        expected.append(start - now)
    assert np.abs(measured - expected).max() < 1e-9


def test_late_starts():
    expected = theory.late_start_share(LOAD, 1.0, TAU)
    assert expected == pytest.approx(0.1083, abs=5e-5)
    holds(lambda seed, slower: (waits(till(seed, slower, patience=TAU)) > TAU).mean(), expected)


def test_lost_with_drop_expired():
    def lost(seed, slower):
        run = till(seed, slower, patience=TAU, queue=Fifo(drop_expired=True))
        return (run.trace.spans.array()["status"] == REJECTED).mean()

    expected = theory.lost_with_drop_expired(LOAD, 1.0, TAU)
    assert expected == pytest.approx(0.0237, abs=5e-5)
    holds(lost, expected)


def test_erlang_c():
    expected = theory.erlang_c(4, 3.2)
    assert expected == pytest.approx(0.5964, abs=5e-5)
    holds(lambda seed, slower: (waits(till(seed, slower, workers=4)) > 1e-12).mean(), expected)


def test_blocking_at_a_bounded_queue():
    """Five places, the one in service counted: four may wait."""

    def blocked(seed, slower):
        return (till(seed, slower, capacity=4).trace.spans.array()["status"] == REJECTED).mean()

    expected = theory.mm1k_blocking(LOAD, 1.0, 5)
    assert expected == pytest.approx(0.0888, abs=5e-5)
    holds(blocked, expected)


@pytest.mark.parametrize("time", [Exponential, Constant])
def test_a_bulkhead_turns_away_erlangs_share(time):
    def turned_away(seed, slower, calls=10_000):
        shop = Simulation(seed, delay=Constant(0), record="spans")
        service = shop.service("till", workers=100, time=time(slower))
        shop.users(shop.client(service, bulkhead=Bulkhead(10)), rate=8)
        run = shop.run(until=calls / 8)
        return run.statuses["rejected"] / run.requests

    assert theory.erlang_b(10, 8) == pytest.approx(0.12166, abs=5e-6)
    holds(turned_away, theory.erlang_b(10, 8))


TIERS = {"front": 1.0, "middle": 0.8, "back": 1.0}


def tandem(seed, rate, slower=1.0, until=4000.0):
    shop = Simulation(seed, delay=Constant(0), record="spans")
    for name, mean in TIERS.items():
        shop.service(name, workers=1, time=Exponential(mean * slower))
    for caller, called in (("front", "middle"), ("middle", "back")):
        shop.services[caller].calls = shop.client(called, caller=caller).call
    shop.users(shop.client("front"), rate=rate)
    return shop, shop.run(until)


def test_a_chain_of_calls_is_no_pipeline():
    """A pipeline would serve .8 a second. A chain holds its workers, and serves 1/2.8 = .357."""
    holds(lambda seed, slower: tandem(seed, 0.8, slower)[1].goodput, 1 / sum(TIERS.values()))
    for rate in (0.25, 0.45):
        drained = theory.drained(rate, hold=sum(TIERS.values()), workers=1)
        assert all((tandem(seed, rate)[1].in_flight > 100) is drained for seed in (1, 2, 3))


def recovery(seed, slower=1.0, until=300.0, **queue):
    """280 users a second at a service of 300, an outage from 60 to 70 s: when goodput is back."""
    shop = Simulation(seed, delay=Constant(0), record="spans")
    service = shop.service("till", workers=1, time=Exponential(slower / 300), **queue)
    shop.users(shop.client(service, deadline=1.0), rate=280)
    shop.fault("outage", service, start=60, end=70)
    run = shop.run(until)
    ends = [row[2] for row in run.trace.requests if row[3] == OK]
    goodput = np.histogram(ends, np.arange(0.0, until + 1))[0]
    back = [second + 1 for second in range(70, int(until)) if goodput[second] > 0.9 * 280]
    return back[0] if back else math.inf


def test_recovery_times():
    assert all(70 < recovery(seed, until=90, queue=Lifo()) <= 72 for seed in (1, 2, 3))
    assert all(70 < recovery(seed, until=90, queue=Fifo(drop_expired=True)) <= 73 for seed in (1, 2, 3))
    assert 150 < np.median([recovery(seed) for seed in (1, 2, 3)]) < 245
    assert recovery(1, slower=1.05) == math.inf


def test_hedging_helps_at_low_load_and_hurts_at_high_load():
    def p99(seed, rate, hedge, slower=1.0):
        shop = Simulation(seed, delay=Constant(0.001), record="spans")
        hosts = [shop.service(f"host {n}", workers=1, time=LogNormal(0.01 * slower, 1.0)) for n in range(4)]
        shop.users(shop.client(Replicas(hosts), hedge=hedge), rate=rate)
        return shop.run(until=6000 / rate).latency.p99

    capacity = 4 / LogNormal(0.01, 1.0).mean
    for seed in (1, 2, 3):
        low, high = 0.2 * capacity, 0.8 * capacity
        assert p99(seed, low, Hedge(0.05, 1.0)) < 0.8 * p99(seed, low, None)
        assert p99(seed, high, Hedge(0.01, 1.0)) > 1.3 * p99(seed, high, None)


def test_four_attempts_at_thirty_per_cent_failures():
    def succeed(seed, worse, calls=10_000):
        shop = Simulation(seed, delay=Constant(0), record="spans")
        service = shop.service("till", workers=100, time=Constant(0))
        shop.fault("errors", service, start=1e-9, end=1e9, share=0.3 * worse)
        shop.users(shop.client(service, retry=Retry(4)), rate=1, start=1)
        run = shop.run(until=calls)
        return run.ok / run.requests

    assert theory.success_share(0.3, 4) == pytest.approx(0.992, abs=5e-4)
    holds(succeed, theory.success_share(0.3, 4))

"""The engine: exact against recursions on the same draws, and every request accounted for."""

import heapq
import math

import numpy as np
import pytest

from interplay import (
    ArgumentError,
    Constant,
    Exponential,
    FullJitter,
    Retry,
    RetryBudget,
    Simulation,
    Uniform,
)
from interplay.after import After
from interplay.trace import OK, REQUEST, RETRY, STATUSES


def storm(seed=7, load=22.0, deadline=1.0, retry=None, until=60.0, **service):
    shop = Simulation(seed=seed, delay=Constant(0.05))
    inventory = shop.service("inventory", workers=3, time=Exponential(0.1), **service)
    web = shop.client(inventory, deadline=deadline, retry=retry)
    shop.users(web.call, rate=load)
    shop.fault("outage", inventory, start=15, end=20)
    return shop.run(until)


def queue_run(seed, workers, customers, service_time=1.0):
    """One service at utilisation 0.8, no network delay; returns the run and its draws."""
    shop = Simulation(seed=seed, delay=Constant(0.0))
    shop.service("till", workers=workers, time=Exponential(service_time))
    web = shop.client("till")
    shop.users(web.call, rate=0.8 * workers)
    run = shop.run(until=customers / (0.8 * workers))
    streams = Simulation(seed=seed).streams
    between = streams.draws("arrivals 1", Exponential(1 / (0.8 * workers)))
    work = streams.draws("till service time", Exponential(service_time))
    return run, [between() for _ in range(customers * 2)], [work() for _ in range(customers * 2)]


@pytest.mark.parametrize("workers", [1, 4])
def test_waits_equal_kiefer_wolfowitz_on_the_same_draws(workers):
    run, between, work = queue_run(seed=3, workers=workers, customers=20_000)
    free, now, expected = [0.0] * workers, 0.0, []
    for gap, time in zip(between, work, strict=True):
        now += gap
        begin = max(now, heapq.heappop(free))
        expected.append(begin - now)
        heapq.heappush(free, begin + time)
    spans = sorted(run.trace.spans, key=lambda s: s[0])
    waits = [started - arrived for _, _, _, _, arrived, started, *_ in spans if not math.isnan(started)]
    assert len(waits) > 19_000
    assert np.abs(np.array(waits) - expected[: len(waits)]).max() < 1e-9


def test_one_worker_equals_lindley():
    run, between, work = queue_run(seed=5, workers=1, customers=5000)
    wait, waits = 0.0, [0.0]
    for gap, time in zip(between[1:], work, strict=False):
        wait = max(0.0, wait + time - gap)
        waits.append(wait)
    spans = sorted(run.trace.spans, key=lambda s: s[0])
    measured = [s[5] - s[4] for s in spans if not math.isnan(s[5])]
    assert np.abs(np.array(measured) - waits[: len(measured)]).max() < 1e-9


RETRIES = {
    "one attempt": None,
    "at once": Retry(4),
    "jitter": Retry(4, FullJitter(0.1, 2.0)),
}


@pytest.mark.parametrize("retry", RETRIES.values(), ids=RETRIES.keys())
@pytest.mark.parametrize("fault", ["outage", "crash", "slow", "errors"])
@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize("capacity", [math.inf, 5])
def test_everything_is_accounted_for(retry, fault, loss, capacity):
    """Every request ends or is open; every attempt is lost, under way, or has one span and one answer."""
    shop = Simulation(seed=11, delay=Uniform(0.0, 0.1), loss=loss)
    inventory = shop.service("inventory", workers=3, time=Exponential(0.1), capacity=capacity)
    web = shop.client(inventory, deadline=1.0, retry=retry)
    shop.users(web.call, rate=22)
    shop.fault(fault, "inventory", start=5, end=10)
    run = shop.run(until=30)
    trace = run.trace
    assert run.requests == run.ok + run.failed + run.in_flight == len(trace.requests)
    limit = 1 if retry is None else retry.attempts
    assert all(
        1 <= attempts <= limit for *_, status, attempts in trace.requests if STATUSES[status] != "open"
    )
    sent = [m for m in trace.messages if m[4] in (REQUEST, RETRY)]
    arrived = [m for m in sent if m[1] <= 30]
    assert len(trace.spans) == len(arrived) == run.arrivals("inventory")
    answered = [s for s in trace.spans if not math.isnan(s[6])]
    assert len([m for m in trace.messages if m[4] not in (REQUEST, RETRY)]) == len(answered)
    assert len({(m[6], m[5]) for m in sent}) == len(sent), "an attempt was sent twice"
    _, busy = trace.gauge("inventory", "busy")
    assert max(busy) <= 3
    assert min(busy) >= 0
    _, queue = trace.gauge("inventory", "queue")
    assert max(queue) <= capacity
    open_spans = [s for s in trace.spans if math.isnan(s[6])]
    assert busy[-1] + queue[-1] == len(open_spans)


def test_a_queued_server_is_timed_out():
    """Work of 1.0 s under a deadline of 0.5 s: no request may end well, however it is queued."""
    shop = Simulation(seed=1, delay=Constant(0.0))
    shop.service("slow", workers=2, time=Constant(1.0))
    shop.users(shop.client("slow", deadline=0.5).call, rate=5)
    run = shop.run(until=100)
    assert run.ok == 0
    assert run.statuses["timeout"] == run.requests - run.in_flight


def test_a_caller_holds_its_worker_while_it_waits():
    """A chain of one worker each serves one request per sum of the times, not per longest one."""
    shop = Simulation(seed=1, delay=Constant(0.0))
    shop.service("bottom", workers=1, time=Constant(1.0))
    down = shop.client("bottom", caller=shop.service("top", workers=1, time=Constant(0.5), calls=None))
    shop.services["top"].calls = down.call
    shop.users(shop.client("top").call, rate=5)
    run = shop.run(until=300)
    assert run.goodput == pytest.approx(1 / 1.5, rel=0.01)
    tops = [s for s in run.trace.spans if s[3] == run.trace.node("top") and s[7] == OK]
    assert all(s[6] - s[5] == pytest.approx(1.5) for s in tops)
    parents = {s[1] for s in run.trace.spans if s[3] == run.trace.node("top")}
    assert all(s[2] in parents for s in run.trace.spans if s[3] == run.trace.node("bottom"))


def test_faults_do_what_they_say():
    quiet = {"deadline": 1.0, "load": 5.0}
    outage = storm(**quiet)
    assert all(not 15.2 < s[6] < 20 or s[5] < 15 for s in outage.trace.spans)
    assert outage.queue_at("inventory", 19.9) > 15
    shop = Simulation(seed=2, delay=Constant(0.0))
    shop.service("inventory", workers=1, time=Constant(0.1))
    shop.users(shop.client("inventory").call, rate=5)
    shop.fault("crash", "inventory", start=10, end=20)
    shop.fault("slow", "inventory", start=30, end=40, factor=3)
    shop.fault("errors", "inventory", start=50, end=60, share=1.0)
    run = shop.run(until=70)
    for _, _, _, _, arrived, started, ended, status, _ in run.trace.spans:
        if 10 <= arrived < 20 or 50 <= started < 59.8:
            assert STATUSES[status] == "error"
        if 30 <= started < 40 and status == OK:
            assert ended - started == pytest.approx(0.3)
    times, up = run.trace.gauge("inventory", "up")
    assert list(zip(times, up, strict=True)) == [
        (0, 1), (10, 0), (20, 1), (30, 0.5), (40, 1), (50, 0.5), (60, 1)
    ]  # fmt: skip
    assert [label for _, label, _ in run.trace.markers][:2] == [
        "inventory: crash starts",
        "inventory: crash ends",
    ]


def test_a_storm_that_outlives_its_cause_and_the_ways_out():
    """The exemplar's story: four attempts never recover; one attempt, or a budget of 20 %, does."""
    late = slice(-10, None)
    for seed in range(1, 6):
        assert storm(seed, retry=Retry(4)).series().goodput[late].mean() < 1
        assert storm(seed).series().goodput[late].mean() > 18
    assert storm(retry=Retry(4, budget=RetryBudget(0.2))).series().goodput[late].mean() > 18


def test_the_same_seed_gives_the_same_run_and_the_committed_digest():
    first, second = (storm(retry=Retry(4, FullJitter(0.2, 5.0))).trace.digest() for _ in range(2))
    assert first == second
    assert first != storm(seed=8, retry=Retry(4, FullJitter(0.2, 5.0))).trace.digest()
    assert first == "6b0939ae81fcb81b"


def test_streams_do_not_disturb_each_other():
    """A policy that draws random numbers leaves arrivals and service times as they were."""
    plain, jittered = storm(load=5.0), storm(load=5.0, retry=Retry(3, FullJitter(0.1, 1.0)))
    assert [r[1] for r in sorted(plain.trace.requests)] == [r[1] for r in sorted(jittered.trace.requests)]


def test_progress_slices_give_the_same_run_and_can_stop_it():
    def build():
        shop = Simulation(seed=7)
        shop.service("inventory", workers=1, time=Exponential(0.1))
        shop.users(shop.client("inventory").call, rate=5)
        return shop

    seen = []
    sliced = build().run(20, progress=lambda share: bool(seen.append(share)) or True)
    assert sliced.trace.digest() == build().run(20).trace.digest()
    assert seen[-1] == 1
    assert len(seen) == 100
    assert build().run(20, progress=lambda share: share < 0.5).until == pytest.approx(10)


def test_packed_rows_are_what_the_trace_says():
    run = storm()
    packed = run.trace.packed()
    assert len(packed["messages"]) == 16 * len(run.trace.messages)
    assert len(packed["spans"]) == 28 * len(run.trace.spans)
    assert len(packed["requests"]) == 16 * len(run.trace.requests)
    assert len(packed["states"]) == 12 * len(run.trace.states)
    sent = np.frombuffer(packed["messages"], "<f4").reshape(-1, 4)[:, :2]
    assert (np.diff(sent[:, 0]) >= 0).all()
    for t in (3.0, 14.987, 33.3):
        assert ((sent[:, 0] <= t) & (t < sent[:, 1])).sum() == run.trace.in_flight(t) > 0


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("workers is 0", lambda s: s.service("a", workers=0, time=Constant(1))),
        ("time is 3", lambda s: s.service("a", workers=1, time=3)),
        ("capacity is -1", lambda s: s.service("a", workers=1, time=Constant(1), capacity=-1)),
        ("mean is -1", lambda s: Exponential(-1)),
        ("mean is nan", lambda s: Exponential(math.nan)),
        ("rate is -5", lambda s: s.users(lambda r: None, rate=-5)),
        ("service is 'nowhere'", lambda s: s.client("nowhere")),
        ("kind is 'fire'", lambda s: s.fault("fire", "till", start=1, end=2)),
        ("end is 1", lambda s: s.fault("outage", "till", start=2, end=1)),
        ("deadline is 0", lambda s: s.client("till", deadline=0)),
        ("attempts is None", lambda s: Retry(None)),
        ("attempts is inf", lambda s: Retry(math.inf)),
        ("cap is 0.1", lambda s: FullJitter(1.0, 0.1)),
        ("on is 'timeout'", lambda s: Retry(3, on="timeout")),
        ("until is 0", lambda s: s.run(0)),
        ("name is 'till'", lambda s: s.service("till", workers=1, time=Constant(1))),
        ("seed is -1", lambda s: Simulation(seed=-1)),
        ("loss is 2", lambda s: Simulation(loss=2)),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(words, build):
    shop = Simulation()
    shop.service("till", workers=1, time=Constant(1))
    with pytest.raises(ArgumentError, match=words) as error:
        build(shop)
    assert "must be" in str(error.value)


def test_a_simulation_runs_once():
    shop = Simulation()
    shop.run(1)
    with pytest.raises(RuntimeError, match="Build a new one"):
        shop.run(1)


@pytest.mark.parametrize("progress", [None, lambda share: True])
def test_a_run_ends_before_what_is_due_at_its_end(progress):
    """As SimPy's own loop has it, in one run and in slices."""
    shop, seen = Simulation(seed=1), []
    for time in (1.0, 2.0, 3.0):
        After(shop.env, time, lambda event: seen.append(shop.env.now))
    run = shop.run(until=2.0, progress=progress)
    assert seen == [1.0]
    assert run.trace.until == shop.env.now == 2.0


def test_a_failure_that_nobody_waits_for_ends_the_run():
    shop = Simulation(seed=1)
    shop.env.event().fail(KeyError("nobody waits for this"))
    with pytest.raises(KeyError, match="nobody waits"):
        shop.run(until=1)

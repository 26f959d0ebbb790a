"""Every client policy with every queue, in calm, under a crash, on a lossy network, with a slow tail.

Component tests are not enough: a simulator can have a right timeout and a right queue, and yet never time out
a request that waits in that queue.
"""

import math
from collections import Counter

import pytest
from simpy.events import Timeout

from interplay import (
    AdaptiveLifo,
    ArgumentError,
    Constant,
    ControlledDelay,
    DecorrelatedJitter,
    EqualJitter,
    Exponential,
    ExponentialBackoff,
    Fifo,
    Fixed,
    FullJitter,
    GrpcThrottle,
    Lifo,
    LogNormal,
    Priority,
    Replicas,
    Retry,
    RetryBudget,
    Simulation,
    Uniform,
)
from interplay.balancing import LeastRequest, Random, RoundRobin, TwoChoices
from interplay.bulkhead import Bulkhead
from interplay.circuit_breaker import CircuitBreaker, FailureRate
from interplay.discovery import Registry, Resolver
from interplay.hedging import Hedge
from interplay.outlier import OutlierDetector
from interplay.rate_limit import LeakyBucket, TokenBucket
from interplay.replicas import heartbeats
from interplay.throttle import AdaptiveThrottle, ConcurrencyLimit
from interplay.trace import CALLS, CANCEL, HEDGE, OK, OPEN, REQUEST, RETRY, STATUSES, TIMEOUT

DEADLINE, STOP, AGAIN, END = 0.5, 14.0, 150.0, 200.0

QUEUES = {
    "fifo": Fifo,
    "fifo, drop expired": lambda: Fifo(drop_expired=True),
    "lifo": Lifo,
    "lifo, drop expired": lambda: Lifo(drop_expired=True),
    "adaptive lifo": lambda: AdaptiveLifo(2),
    "codel": lambda: ControlledDelay(0.05, 0.2),
    "priority": Priority,
    "priority, drop expired": lambda: Priority(drop_expired=True),
}
CAPACITIES = {"fifo": [math.inf, 4, 0], "lifo": [4], "priority": [math.inf, 4]}
CONDITIONS = ("calm", "crash", "loss", "slow tail")

POLICIES = {
    "none": lambda: {"deadline": None},
    "deadline": dict,
    "total": lambda: {"total": 0.3},
    "total, short": lambda: {"total": 1.0, "retry": Retry(5, Fixed(0.3))},
    "propagate": lambda: {"propagate": True},
    "cancel": lambda: {"cancel": True},
    "cancel and retry": lambda: {"cancel": True, "retry": Retry(3, FullJitter(0.05, 1.0))},
    "retry at once": lambda: {"retry": Retry(4)},
    "fixed": lambda: {"retry": Retry(3, Fixed(0.1))},
    "exponential": lambda: {"retry": Retry(3, ExponentialBackoff(0.1, 1.0))},
    "full jitter": lambda: {"retry": Retry(4, FullJitter(0.1, 1.0))},
    "equal jitter": lambda: {"retry": Retry(3, EqualJitter(0.1, 1.0))},
    "decorrelated": lambda: {"retry": Retry(3, DecorrelatedJitter(0.1, 1.0))},
    "budget": lambda: {"retry": Retry(4, budget=RetryBudget(0.2))},
    "grpc throttle": lambda: {"retry": Retry(4, budget=GrpcThrottle())},
    "token bucket": lambda: {"limit": TokenBucket(10, 5)},
    "leaky bucket": lambda: {"limit": LeakyBucket(10, 5), "retry": Retry(2, Fixed(0.1))},
    "adaptive throttle": lambda: {"throttle": AdaptiveThrottle(2.0, window=10)},
    "bulkhead": lambda: {"bulkhead": Bulkhead(4)},
    "bulkhead and retry": lambda: {"bulkhead": Bulkhead(3), "retry": Retry(3)},
    "concurrency limit": lambda: {"bulkhead": ConcurrencyLimit(4, slow=0.3)},
    "breaker": lambda: {"breaker": CircuitBreaker(3, open_for=1.0)},
    "breaker and retry": lambda: {
        "breaker": CircuitBreaker(FailureRate(0.5, minimum=5), open_for=1.0, probes=2),
        "retry": Retry(3, FullJitter(0.1, 1.0)),
    },
    "hedge": lambda: {"hedge": Hedge(0.1, 0.2)},
    "hedge and cancel": lambda: {"hedge": Hedge(0.1, 1.0), "cancel": True},
    "everything": lambda: {
        "total": 2.0,
        "propagate": True,
        "cancel": True,
        "retry": Retry(3, FullJitter(0.05, 1.0), budget=RetryBudget(0.5)),
        "limit": TokenBucket(30, 10),
        "throttle": AdaptiveThrottle(3.0, window=10),
        "bulkhead": Bulkhead(8),
        "breaker": CircuitBreaker(8, open_for=1.0),
        "hedge": Hedge(0.1, 0.1),
    },
}
REPLICAS = {
    "in turns": dict,
    "random": lambda: {"balancer": Random()},
    "round robin": lambda: {"balancer": RoundRobin()},
    "least request": lambda: {"balancer": LeastRequest()},
    "two choices, old reports": lambda: {"balancer": TwoChoices(), "report_every": 0.5},
    "slow start": lambda: {"balancer": RoundRobin(), "slow_start": 5.0},
    "slow start, two choices": lambda: {"balancer": TwoChoices(), "slow_start": 5.0},
    "outliers": lambda: {"outliers": OutlierDetector(3, consecutive=3, max_ejection_percent=50)},
    "outliers, balanced": lambda: {
        "balancer": LeastRequest(),
        "outliers": OutlierDetector(3, consecutive=3, base_ejection=2, max_ejection_percent=100),
    },
}
REPLICA_POLICIES = {
    name: POLICIES[name] for name in ("deadline", "full jitter", "hedge and cancel", "everything")
}


class Spied:
    """A bulkhead that remembers how full it was."""

    def __init__(self, slots):
        self.slots, self.most = slots, 0

    def enter(self, now):
        entered = self.slots.enter(now)
        self.most = max(self.most, self.slots.inside)
        limit = getattr(self.slots, "limit", None) or self.slots.slots
        assert not entered or self.slots.inside <= limit
        return entered

    def leave(self, *ending):
        self.slots.leave(*ending)


def play(policy, queue, capacity, condition, replicas=None, seed=5):
    """14 s of overload with trouble from 5 to 8 s, calm users at 150-160 s, and time to end everything."""
    shop = Simulation(seed, delay=Uniform(0.001, 0.02), loss=0.05 if condition == "loss" else 0.0)
    time = LogNormal(0.05, 1.5) if condition == "slow tail" else Exponential(0.1)
    names = ["till"] if replicas is None else ["till a", "till b", "till c"]
    tills = [shop.service(n, workers=2, time=time, capacity=capacity, queue=queue()) for n in names]
    arguments = {"deadline": DEADLINE} | policy()
    if "bulkhead" in arguments:
        arguments["bulkhead"] = Spied(arguments["bulkhead"])
    if replicas is not None:
        chosen = replicas()
        if condition != "calm":
            registry = Registry(ttl=1.0)
            heartbeats(registry, tills, every=0.4)
            chosen["resolver"] = Resolver(registry, refresh=0.5)
        target = Replicas(tills, **chosen)
    else:
        target = tills[0]
    client = shop.client(target, **arguments)
    rate = 22.0 * len(tills)
    shop.users(client, rate / 2, end=STOP, patience=0.8)
    shop.users(lambda request: (yield from client.call(request)), rate / 2, end=STOP, priority=1.0)
    shop.users(client, 2.0, start=AGAIN, end=AGAIN + 10)
    if condition == "crash":
        shop.fault("crash", tills[0], start=5, end=8)
        shop.fault("crash", tills[0], start=9, end=9.5)
    return shop, client, arguments, shop.run(END)


def check(shop, client, arguments, run, capacity, condition):
    """What must hold whatever the policies do."""
    trace, retry = run.trace, client.retry
    stuck = arguments["deadline"] is None and arguments.get("total") is None  # what is lost is waited for

    # requests
    assert run.requests == run.ok + run.failed + run.in_flight
    assert Counter(r[0] for r in trace.requests) == Counter(range(1, run.requests + 1))
    if not (stuck and condition == "loss"):
        assert run.in_flight == 0
    sent = [m for m in trace.messages if m[4] in CALLS]
    tries = Counter(m[6] for m in sent if m[4] in (REQUEST, RETRY))
    for number, start, end, status, attempts in trace.requests:
        if status == OPEN:
            continue
        assert 1 <= attempts <= retry.attempts
        assert tries[number] <= attempts
        if not client._guarded and client.total == math.inf and not client.propagate:
            assert tries[number] == attempts, "each attempt is sent"
        assert status != OK or tries[number] >= 1
        assert end <= start + arguments.get("total", math.inf) + 1e-9
    assert run.ok + run.failed >= len([r for r in trace.requests if r[1] >= AGAIN]) > 5

    # attempts: lost, under way, or one span each
    arrived = Counter((m[6], m[5], m[3]) for m in sent if m[1] <= END)
    assert arrived == Counter((s[0], s[8], s[3]) for s in trace.spans)
    hedges = Counter((m[6], m[5]) for m in sent if m[4] == HEDGE)
    assert max(hedges.values(), default=0) <= ("hedge" in arguments)
    assert max(Counter((m[6], m[5]) for m in sent if m[4] != HEDGE).values()) == 1
    if "hedge" in arguments:
        assert sum(hedges.values()) <= 10 + client.hedge.share * sum(tries.values())
    if retry.budget is not None and isinstance(retry.budget, RetryBudget):
        retries = sum(m[4] == RETRY for m in sent)
        assert retries <= 10 + retry.budget.ratio * run.requests

    # answers: one to each attempt that was not called off
    answers = Counter((m[6], m[5]) for m in trace.messages if m[4] not in (*CALLS, CANCEL))
    ended = Counter((s[0], s[8]) for s in trace.spans if not math.isnan(s[6]))
    if client.cancel:
        assert answers <= ended
    else:
        assert answers == ended
        assert not [m for m in trace.messages if m[4] == CANCEL]

    # workers and places
    for name, till in shop.services.items():
        _, busy = trace.gauge(name, "busy")
        _, queue = trace.gauge(name, "queue")
        assert 0 <= min(busy) <= max(busy) <= till.workers
        assert 0 <= min(queue) <= max(queue) <= capacity
        assert (busy[-1], queue[-1]) == (0, 0), "a worker or a place was never given back"
        spans = [s for s in trace.spans if s[3] == till.node and s[5] < s[6]]
        steps = sorted([(s[5], 1) for s in spans] + [(s[6], -1) for s in spans])
        at_work = most = 0
        for _, step in steps:
            at_work += step
            most = max(most, at_work)
        assert most <= till.workers
    if till.queue.drop_expired and arguments["deadline"] is not None:
        when = {(m[6], m[5], m[3]): m[0] for m in sent}
        assert all(not s[5] > when[s[0], s[8], s[3]] + DEADLINE for s in trace.spans)

    # nothing leaks, and when all is well again everybody is served again
    if "bulkhead" in arguments and not (stuck and condition == "loss"):
        assert arguments["bulkhead"].slots.inside == 0
        assert arguments["bulkhead"].most >= 3
    late = [r[3] for r in trace.requests if r[1] >= AGAIN + 2]
    if client.guards.throttle is None or condition not in (
        "loss",
        "slow tail",
    ):  # with few users, it is slow to forget
        assert late.count(OK) >= (0.5 if condition in ("loss", "slow tail") else 0.7) * len(late)


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_with_every_queue(policy, queue):
    for condition in CONDITIONS:
        for capacity in CAPACITIES.get(queue, [math.inf])[: None if condition == "calm" else 1]:
            check(*play(POLICIES[policy], QUEUES[queue], capacity, condition), capacity, condition)


@pytest.mark.parametrize("policy", REPLICA_POLICIES)
@pytest.mark.parametrize("replicas", REPLICAS)
def test_every_balancer(replicas, policy):
    for condition in CONDITIONS:
        played = play(REPLICA_POLICIES[policy], Fifo, math.inf, condition, REPLICAS[replicas])
        check(*played, math.inf, condition)


@pytest.mark.parametrize("policy", ["everything", "hedge and cancel", "full jitter"])
def test_the_same_seed_gives_the_same_run(policy):
    one, other = (play(POLICIES[policy], Fifo, 4, "crash", REPLICAS["outliers, balanced"])[-1] for _ in "12")
    assert one.trace.digest() == other.trace.digest()


def at(shop, time, do):
    """Do this at that time."""

    def later(_):
        yield Timeout(shop.env, time)
        do()

    shop.env.process(later(None))


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queued_server_is_timed_out(queue):
    """2436 requests of 1.0 s under a deadline of 0.5 s: each and every one times out."""
    shop = Simulation(seed=1, delay=Constant(0.0))
    till = shop.service("till", workers=4, time=Constant(1.0), queue=QUEUES[queue]())
    client = shop.client(till, deadline=0.5)
    for n in range(2436):
        at(shop, n * 0.01, lambda: shop.arrive(client))
    run = shop.run(until=30)
    dropped = sum(math.isnan(s[5]) and not math.isnan(s[6]) for s in run.trace.spans)
    assert run.requests == 2436
    assert run.statuses.get("rejected", 0) <= dropped, "what a queue throws away in time is told so"
    assert run.statuses["timeout"] + run.statuses.get("rejected", 0) == 2436
    if queue in ("fifo", "lifo", "adaptive lifo", "priority"):
        assert run.statuses == {"timeout": 2436}


def test_a_cancelled_call_frees_its_worker_at_once_all_the_way_down():
    def busy_at(time, cancel):
        shop = Simulation(seed=1, delay=Constant(0.01))
        back = shop.service("back", workers=1, time=Constant(5.0))
        front = shop.service("front", workers=1, time=Constant(0.0))
        front.calls = shop.client(back, caller=front, cancel=cancel).call
        client = shop.client(front, deadline=1.0, cancel=cancel)
        at(shop, 0.5, lambda: shop.arrive(client))
        run = shop.run(until=time)
        assert run.statuses == {"timeout": 1}
        return front.busy, back.busy, [s[7] for s in run.trace.spans]

    assert busy_at(1.6, cancel=False) == (1, 1, [OPEN, OPEN])
    assert busy_at(1.6, cancel=True) == (0, 0, [TIMEOUT, TIMEOUT])


def test_a_cancellation_that_overtakes_its_call():
    """Delays vary, so the word that the caller has left may be there before the call."""
    shop = Simulation(seed=1, delay=Uniform(0.0, 2.0))
    till = shop.service("till", workers=1, time=Constant(10.0))
    client = shop.client(till, deadline=0.2, cancel=True)
    for n in range(50):
        at(shop, n * 0.1, lambda: shop.arrive(client))
    run = shop.run(until=100)
    overtaken = [s for s in run.trace.spans if s[5] == s[6] and s[7] == TIMEOUT]
    assert overtaken
    assert till.busy == 0


def test_a_crashed_caller_calls_no_more():
    """A service that crashed does not go on retrying for calls that it has lost."""
    shop = Simulation(seed=1, delay=Constant(0.01))
    back = shop.service("back", workers=1, time=Constant(0.1))
    front = shop.service("front", workers=1, time=Constant(0.0))
    front.calls = shop.client(back, caller=front, retry=Retry(100, Fixed(1.0))).call
    shop.fault("errors", back, start=0.1, end=100, share=1.0)
    shop.fault("crash", front, start=5, end=6)
    client = shop.client(front)
    at(shop, 0.5, lambda: shop.arrive(client))
    run = shop.run(until=50)
    assert run.statuses == {"error": 1}
    assert run.arrivals("back") == 5
    assert max(s[4] for s in run.trace.spans) < 5


def test_the_total_is_kept_between_attempts_too():
    shop = Simulation(seed=1, delay=Constant(0.0))
    shop.service("till", workers=1, time=Constant(0.1))
    shop.fault("errors", "till", start=0.1, end=100, share=1.0)
    client = shop.client("till", total=1.0, retry=Retry(5, Fixed(10.0)))
    at(shop, 0.5, lambda: shop.arrive(client))
    (request,) = shop.run(until=50).trace.requests
    assert request[2] == pytest.approx(0.6), "no use in waiting for a moment when the user has left"


def test_late_answers_are_no_verdict_on_a_probe():
    """The breaker opens at 0.15 s; a slow good answer from before comes while the probe is out."""
    shop = Simulation(seed=1, delay=Constant(0.0))
    slow = shop.service("till", workers=10, time=Constant(1.5))
    breaker = CircuitBreaker(2, open_for=1.0)
    client = shop.client(slow, breaker=breaker)
    seen = {}
    at(shop, 0.05, lambda: shop.arrive(client))  # answers at 1.55
    at(shop, 0.1, lambda: [breaker.record(False, 0.1), breaker.record(False, 0.1)])
    at(shop, 1.2, lambda: shop.arrive(client))  # the probe, until 2.7
    at(shop, 2.0, lambda: seen.update(state=breaker.state))
    shop.run(until=3)
    assert seen["state"] == "half-open"
    assert breaker.state == "closed"


@pytest.mark.parametrize("policy", [{"cancel": True}, {"hedge": Hedge(0.1)}])
def test_refused_at_once_over_a_network_without_delay(policy):
    shop = Simulation(seed=1, delay=Constant(0.0))
    till = shop.service("till", workers=1, time=Constant(1.0), capacity=0)
    client = shop.client(Replicas([till]), retry=Retry(2), **policy)
    at(shop, 1.0, lambda: [shop.arrive(client), shop.arrive(client)])
    assert shop.run(until=5).statuses == {"ok": 1, "rejected": 1}


def test_a_worker_is_free_when_its_answer_is_there():
    """Whoever calls again at the moment of the answer finds the worker free, also where nobody may wait."""
    shop = Simulation(seed=1, delay=Constant(0.0))
    till = shop.service("till", workers=1, time=Constant(1.0), capacity=0)
    client = shop.client(till)

    def three(request):
        for _ in range(3):
            reply = yield from client.call(request)
            assert reply.ok
        return reply

    at(shop, 0.5, lambda: shop.arrive(three))
    assert shop.run(until=5).ok == 1


def test_a_stale_resolver_names_a_dead_endpoint_for_a_while():
    shop = Simulation(seed=1, delay=Constant(0.001))
    tills = [shop.service(f"till {n}", workers=5, time=Constant(0.01)) for n in range(2)]
    registry = Registry(ttl=3.0)
    heartbeats(registry, tills, every=1.0)
    shop.users(shop.client(Replicas(tills, resolver=Resolver(registry, refresh=2.0))), rate=50)
    shop.fault("crash", tills[0], start=20, end=40)
    run = shop.run(until=60)
    refused = [r[1] for r in run.trace.requests if STATUSES[r[3]] == "error"]
    assert min(refused) >= 20
    assert 22 <= max(refused) <= 20 + 3 + 2, "ttl and refresh"
    back = [s[4] for s in run.trace.spans if s[3] == tills[0].node and s[4] > 30]
    assert 40 <= min(back) <= 40 + 1 + 2
    assert run.arrivals("till 1") > run.arrivals("till 0")


def test_slow_start_gives_a_new_host_less():
    shop = Simulation(seed=1, delay=Constant(0.001))
    tills = [shop.service(f"till {n}", workers=5, time=Constant(0.01)) for n in range(2)]
    shop.users(shop.client(Replicas(tills, RoundRobin(), slow_start=10.0)), rate=100)
    shop.fault("crash", tills[0], start=19, end=20)
    run = shop.run(until=40)

    def share(start, end):
        nodes = [s[3] for s in run.trace.spans if start <= s[4] < end]
        return nodes.count(tills[0].node) / len(nodes)

    assert share(12, 19) == pytest.approx(0.5, abs=0.02)
    assert share(20, 22) < 0.2
    assert 0.3 < share(25, 30) < 0.49
    assert share(30, 40) == pytest.approx(0.5, abs=0.02)


def test_an_endless_loop_without_time_is_named():
    shop = Simulation(seed=1, delay=Constant(0.0))
    till = shop.service("till", workers=1, time=Constant(0.0))
    client = shop.client(till, limit=TokenBucket(1, 1))

    def impatient(request):
        while True:
            yield from client.call(request)

    shop.users(impatient, rate=1)
    with pytest.raises(RuntimeError, match=r"100000 calls to till at .* no time passes"):
        shop.run(until=10)
    with pytest.raises(ArgumentError, match=r"attempts is 1000000.*at most 10000"):
        shop.client(till, retry=Retry(10**6))


def test_a_model_without_an_end_is_stopped():
    """Users who never stop coming or calling, and a service that calls itself for ever."""
    shop = Simulation(seed=1, delay=Constant(0.01))
    till = shop.service("till", workers=2, time=Constant(0.01))
    client = shop.client(till)

    def forever(request):
        while True:
            yield from client.call(request)

    shop.users(forever, rate=0.5)
    echo = shop.service("echo", workers=10**6, time=Constant(0.01))
    echo.calls = shop.client(echo, caller=echo).call
    shop.users(echo, rate=1)
    run = shop.run(until=10)
    assert run.until == 10
    assert run.ok == run.failed == 0
    assert run.in_flight == run.requests > 5

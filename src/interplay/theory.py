"""Closed forms that a simulation can be held against. Rates per second, times in s, shares in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .arguments import number, one_of, refuse, whole


def _stable(rate: float, capacity: float) -> float:
    """The share of the capacity that is used; ValueError when the queue grows for ever."""
    number("service_rate", capacity, above=0)
    if number("rate", rate, least=0) >= capacity:
        raise ValueError(
            f"At {rate:g} requests a second and {capacity:g} served a second the queue grows for ever."
        )
    return rate / capacity


def little(rate: float, time: float) -> float:
    """How many requests are inside on average, when `rate` enter a second and stay `time` seconds.

    Source: J. D. C. Little, A Proof for the Queuing Formula L = λW, Operations Research 9 (1961).
    """
    return number("rate", rate, least=0) * number("time", time, least=0)


def mm1_wait(rate: float, service_rate: float) -> float:
    """Mean wait before service at one worker: Poisson arrivals, exponential work (M/M/1): ρ / (μ - λ)."""
    return _stable(rate, service_rate) / (service_rate - rate)


def amplification(layers: int, attempts: int) -> int:
    """Attempts at the bottom for one request, when each of `layers` makes `attempts` and all fail.

    Source: Site Reliability Engineering (Google, 2016), chapter 22: three layers with 4 attempts make 64.
    """
    return whole("attempts", attempts, least=1) ** whole("layers", layers, least=1)


def success_share(failure: float, attempts: int) -> float:
    """Share of calls that succeed within `attempts`, when each attempt fails independently: 1 - p**n."""
    return 1 - number("failure", failure, least=0, most=1) ** whole("attempts", attempts, least=1)


def attempts_per_call(failure: float, attempts: int) -> float:
    """Mean attempts of a call that gives up after `attempts`: 1 + p + … + p**(n - 1)."""
    p = number("failure", failure, least=0, most=1)
    return sum(p**k for k in range(whole("attempts", attempts, least=1)))


def chain_attempts(failure: float, layers: int, attempts: int) -> float:
    """Mean attempts at the bottom of a chain in which each layer retries the one below.

    A layer fails when all its attempts failed, so the failure share it passes up is p**n.
    """
    total = 1.0
    for _ in range(whole("layers", layers, least=1)):
        total *= attempts_per_call(failure, attempts)
        failure = failure**attempts
    return total


def recovery_load(service_rate: float, ratio: float, floor: float = 0.0) -> float:
    """The load below which a service of this rate works off a backlog that is retried.

    With at most `ratio` retries per request, and `floor` more a second: (μ - floor) / (1 + ratio).
    One retry per request is ratio 1. Source: Bronson et al., Metastable Failures in Distributed Systems
    (HotOS 2021), for the case of one retry.
    """
    number("service_rate", service_rate, above=0)
    return (service_rate - number("floor", floor, least=0)) / (1 + number("ratio", ratio, least=0))


def throttle_balance(ratio: float = 0.1) -> float:
    """The failure share at which gRPC's throttle neither fills nor drains: ratio / (1 + ratio) (gRFC A6)."""
    return number("ratio", ratio, above=0) / (1 + ratio)


def mm1_tail(rate: float, service_rate: float, time: float) -> float:
    """Share of requests that stay longer than `time` seconds at one worker (M/M/1): e**(-(μ - λ) t)."""
    _stable(rate, service_rate)
    return math.exp(-(service_rate - rate) * number("time", time, least=0))


def tandem_time(rate: float, service_rates: Iterable[float]) -> float:
    """Mean time through stations in a row, each with a queue and one worker of its own: Σ 1 / (μ - λ).

    A pipeline: a station hands the request on and is free. In a chain of calls each caller holds its worker
    until the answer is there; see `drained`. Source: Burke (1956), Jackson (1957).
    """
    total = 0.0
    for service_rate in service_rates:
        _stable(rate, service_rate)
        total += 1 / (service_rate - rate)
    return total


def drained(rate: float, hold: float, workers: int) -> bool:
    """Whether so many requests a second, each holding a worker for `hold` seconds, take all `workers`."""
    return little(rate, hold) >= whole("workers", workers, least=1)


def erlang_b(servers: int, load: float) -> float:
    """Share turned away by `servers` without a queue; `load` is rate * mean time, whatever its distribution.

    Source: A. K. Erlang (1917); by the recursion B(n) = a B(n - 1) / (n + a B(n - 1)).
    """
    number("load", load, least=0)
    blocked = 1.0
    for n in range(1, whole("servers", servers, least=1) + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Share that has to wait for one of `servers` with a queue (M/M/c); `load` is rate * mean time."""
    used = _stable(load, whole("servers", servers, least=1))
    blocked = erlang_b(servers, load)
    return blocked / (1 - used * (1 - blocked))


def mmc_wait(rate: float, service_rate: float, servers: int) -> float:
    """Mean wait before service at `servers` workers (M/M/c): Erlang C / (c μ - λ)."""
    _stable(rate, whole("servers", servers, least=1) * number("service_rate", service_rate, above=0))
    return erlang_c(servers, rate / service_rate) / (servers * service_rate - rate)


def mg1_wait(rate: float, mean: float, second_moment: float) -> float:
    """Mean wait at one worker, whatever the distribution S of its work (M/G/1): λ E[S²] / (2 (1 - ρ)).

    `mean` is E[S] in seconds, `second_moment` is E[S²] in seconds squared. Source: Pollaczek, Khinchine.
    """
    number("second_moment", second_moment, least=number("mean", mean, above=0) ** 2)
    return rate * second_moment / (2 * (1 - _stable(rate, 1 / mean)))


def mm1k_blocking(rate: float, service_rate: float, places: int) -> float:
    """Share turned away when at most `places` requests are inside, the one in service included (M/M/1/K)."""
    used = number("rate", rate, least=0) / number("service_rate", service_rate, above=0)
    full = used ** whole("places", places, least=1)
    return full / sum(used**k for k in range(places + 1))


def series_availability(shares: Iterable[float]) -> float:
    """Share of requests that succeed when all of these must: the product. Thirty times .9999 is 99.7 %."""
    return math.prod(number("share", share, least=0, most=1) for share in shares)


def replicas_availability(shares: Iterable[float]) -> float:
    """Share of requests that succeed when any one of these will do, and they fail independently."""
    return 1 - math.prod(1 - number("share", share, least=0, most=1) for share in shares)


def late_start_share(rate: float, service_rate: float, deadline: float) -> float:
    """Share of requests that are started after their caller has left, without cancellation (M/M/1).

    The wait exceeds the deadline (s) with probability ρ e, where e = e**(-(μ - λ) τ).
    """
    return _stable(rate, service_rate) * mm1_tail(rate, service_rate, deadline)


def lost_with_drop_expired(rate: float, service_rate: float, deadline: float) -> float:
    """Share of requests lost when an expired one is dropped instead of started (M/M/1, equal deadlines).

    ρ (1 - ρ) e / (1 - ρ² e), with e as in `late_start_share`: less work for nobody, so shorter waits.
    """
    used, e = _stable(rate, service_rate), mm1_tail(rate, service_rate, deadline)
    return used * (1 - used) * e / (1 - used**2 * e)


def calls_to_trip(failure: float, failures: int) -> float:
    """Mean calls until `failures` in a row have failed, each with probability `failure`.

    (1 - p**k) / ((1 - p) p**k): the mean wait for a run (W. Feller, volume 1, chapter XIII).
    """
    p, k = number("failure", failure, above=0, most=1), whole("failures", failures, least=1)
    return sum(p**-n for n in range(1, k + 1))


def shard_overlap(nodes: int, size: int, shared: int | None = None) -> float:
    """Share of clients whose shard of `size` nodes has exactly `shared` nodes in common with a given one.

    Without `shared`: all of them, 1 / (nodes over size). Those clients go down with the given one.
    """
    if whole("size", size, least=1) > whole("nodes", nodes, least=1):
        refuse("size", size, f"a whole number of at most {nodes}, the number of nodes")
    common = size if shared is None else whole("shared", shared, least=0)
    return math.comb(size, common) * math.comb(nodes - size, max(0, size - common)) / math.comb(nodes, size)


def token_bucket_bound(rate: float, burst: float, time: float) -> float:
    """The most that a token bucket lets through in any `time` seconds: burst + rate * time."""
    return number("burst", burst, least=0) + little(rate, time)


def burst_length(rate: float, burst: float, peak: float) -> float:
    """How long (s) a full token bucket lets `peak` requests a second through: burst / (peak - rate)."""
    if number("peak", peak, above=0) <= number("rate", rate, least=0):
        return math.inf
    return number("burst", burst, least=0) / (peak - rate)


def adaptive_throttle_accepted(cost: float, k: float = 2.0) -> float:
    """Share of its capacity that an overloaded server turns into accepted work, behind adaptive throttles.

    Rejecting takes `cost` of the work of accepting, and the clients send k times what was accepted:
    A + cost * (k - 1) * A = 1. A bound: real clients send a little more. Derived from Site Reliability
    Engineering (Google, 2016), chapter 21.
    """
    return 1 / (1 + number("cost", cost, least=0) * (number("k", k, least=1) - 1))


def fan_out_share(share: float, calls: int) -> float:
    """Share of requests with at least one slow call among `calls`, when this share of calls is slow.

    1 - (1 - p)**n. Source: J. Dean, L. A. Barroso, The Tail at Scale (2013): 100 calls of 1 % make 63 %.
    """
    return 1 - (1 - number("share", share, least=0, most=1)) ** whole("calls", calls, least=1)


def leaf_quantile(quantile: float, calls: int) -> float:
    """The quantile of one call that is this quantile of the slowest of `calls`: q**(1 / n)."""
    return number("quantile", quantile, least=0, most=1) ** (1 / whole("calls", calls, least=1))


def quorum_time(calls: int, needed: int, mean: float = 1.0) -> float:
    """Mean time (s) until `needed` of `calls` parallel calls have answered, each exponential with this mean.

    mean * (1/n + 1/(n - 1) + …), one term for each answer.
    """
    if whole("needed", needed, least=1) > whole("calls", calls, least=1):
        refuse("needed", needed, f"a whole number of at most {calls}, the number of calls")
    return number("mean", mean, above=0) * sum(1 / (calls - i) for i in range(needed))


def max_of_exponentials(calls: int, mean: float = 1.0) -> float:
    """Mean time (s) until all of `calls` parallel calls have answered: mean * (1 + 1/2 + … + 1/n)."""
    return quorum_time(calls, calls, mean)


def hedged_tail(tail: float, tail_later: float) -> float:
    """Share of hedged requests slower than t: the first attempt is, and so is the second, sent h later.

    `tail` is P(T > t), `tail_later` is P(T > t - h) of one attempt; both attempts independent, no extra load.
    """
    return number("tail", tail, least=0, most=1) * number("tail_later", tail_later, least=0, most=1)


def supermarket(load: float, choices: int) -> float:
    """Mean time, in service times, at very many servers: each request joins the shortest of `choices` queues.

    Σ λ**((d**i - d) / (d - 1)), the limit of many servers. Source: M. Mitzenmacher, The Power of Two Choices
    (2001); Vvedenskaya, Dobrushin, Karpelevich (1996).
    """
    used, d = number("load", load, least=0), whole("choices", choices, least=1)
    _stable(used, 1.0)
    if d == 1:
        return 1 / (1 - used)
    total, i = 0.0, 1
    while (term := used ** min((d**i - d) // (d - 1), 10**9)) > 1e-12:
        total, i = total + term, i + 1
    return total


def fork_join_2(rate: float, service_rate: float) -> float:
    """Mean time until both halves of a request are done, at two workers with a queue each (s).

    (12 - ρ) / 8 / (μ - λ). Source: Flatto and Hahn (1984).
    """
    return (12 - _stable(rate, service_rate)) / 8 / (service_rate - rate)


def smallest_ejectable(factor: float = 1.9) -> int:
    """Hosts that are needed for one dead one to be an outlier, below the mean by `factor` deviations.

    One of n dead: mean (n - 1) / n, deviation √(n - 1) / n, so 0 is below when √(n - 1) > factor.
    Derived from Envoy's success_rate_stdev_factor.
    """
    return math.floor(1 + number("factor", factor, least=0) ** 2) + 1


def ejectable_share(factor: float = 1.9) -> float:
    """The share of dead hosts below which each of them is an outlier: 1 / (1 + factor**2)."""
    return 1 / (1 + number("factor", factor, least=0) ** 2)


def poll_lag(every: float) -> float:
    """Mean wait (s) for a relay that looks every so many seconds, when the moments are unrelated."""
    return number("every", every, above=0) / 2


def batch_wait(size: int, rate: float) -> float:
    """Mean wait (s) of one of `size` events that leave together, when they come at `rate` a second."""
    return (whole("size", size, least=1) - 1) / (2 * number("rate", rate, above=0))


def replay_length(every: int) -> float:
    """Mean number of events to replay with a snapshot every so many, when each version is as likely."""
    return (whole("every", every, least=1) - 1) / 2


def drain_time(backlog: float, rate: float, service_rate: float) -> float:
    """How long (s) consumers of this rate need for a backlog, while `rate` more arrive: backlog / (μ - λ)."""
    _stable(rate, service_rate)
    return number("backlog", backlog, least=0) / (service_rate - rate)


def deliveries(visibility: float, service_rate: float, late: str = "ignored") -> float:
    """Mean deliveries of a message whose work is exponential, leased for `visibility` seconds, V.

    Late acknowledgements "ignored": each delivery counts by itself, 1 / (1 - e**(-μV)). "honoured": whichever
    consumer is done first ends it, Σ e**(-μV n (n + 1) / 2). Consumers are always free.
    """
    one = math.exp(-number("service_rate", service_rate, above=0) * number("visibility", visibility, above=0))
    if one_of("late", late, ("ignored", "honoured")) == "ignored":
        return 1 / (1 - one)
    total, n = 0.0, 0
    while (term := one ** (n * (n + 1) / 2)) > 1e-12:
        total, n = total + term, n + 1
    return total


def group_speedup(partitions: int, consumers: int) -> float:
    """How many times faster than one a consumer group reads a log to its end: P / ⌈P / C⌉.

    The partitions hold equally much, each has one reader, and the one with most of them is the last.
    """
    return partitions / -(-whole("partitions", partitions, least=1) // whole("consumers", consumers, least=1))


def empty_partitions(partitions: int, keys: int) -> float:
    """Mean number of partitions that get none of so many keys: P (1 - 1/P)**k."""
    p = whole("partitions", partitions, least=1)
    return p * (1 - 1 / p) ** whole("keys", keys, least=0)


def compensations(success: float, tasks: int) -> float:
    """Mean number of tasks that a saga undoes, when each is done with this probability: Σ k p**k (1 - p).

    k tasks are done before the first that is refused, and all of them are undone.
    """
    p = number("success", success, least=0, most=1)
    return sum(k * p**k * (1 - p) for k in range(whole("tasks", tasks, least=1)))


def blocked_share(window: float, mttf: float) -> float:
    """Share of two-phase commits whose coordinator crashes in the window of doubt: 1 - e**(-w / MTTF).

    Participants are in doubt for `window` seconds. The coordinator crashes at random, every `mttf` seconds.
    """
    return 1 - math.exp(-number("window", window, least=0) / number("mttf", mttf, above=0))


def hot_row_throughput(hold: float) -> float:
    """The most transactions a second that can change one row, when each locks it for `hold` seconds."""
    return 1 / number("hold", hold, above=0)


def two_phase_hold(delay: float, participants: int, mean: float = 0.0) -> float:
    """How long (s) a hot row stays locked: the vote and the decision travel, and the slowest one votes last.

    2 delay + mean (1 + 1/2 + … + 1/n): all rows are hot, and each participant takes an exponential time with
    this `mean` until it votes. Derived; see max_of_exponentials.
    """
    slowest = max_of_exponentials(participants, mean) if mean else 0.0
    return 2 * number("delay", delay, least=0) + slowest

"""Closed forms that a simulation can be held against. Rates per second, times in s, shares in [0, 1]."""

from __future__ import annotations

from .arguments import number, whole


def little(rate: float, time: float) -> float:
    """How many requests are inside on average, when `rate` enter a second and stay `time` seconds.

    Source: J. D. C. Little, A Proof for the Queuing Formula L = λW, Operations Research 9 (1961).
    """
    return number("rate", rate, least=0) * number("time", time, least=0)


def mm1_wait(rate: float, service_rate: float) -> float:
    """Mean wait before service at one worker: Poisson arrivals, exponential work (M/M/1): ρ / (μ - λ)."""
    number("service_rate", service_rate, above=0)
    number("rate", rate, least=0)
    if rate >= service_rate:
        raise ValueError(
            f"At {rate:g} requests a second and {service_rate:g} served a second the queue grows for ever."
        )
    return rate / service_rate / (service_rate - rate)


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

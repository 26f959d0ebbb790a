"""Load balancing: which replica gets the next request.

A chooser is given what the caller knows of the hosts' loads, be it exact, old or wrong, and two floats in
[0, 1) for chance. `weights`, one per host, send less to a host that is still warming up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .arguments import number, refuse, whole

Loads = Sequence[float]
Weights = Sequence[float] | None


class Chooser(Protocol):
    """Says which host, by its index, gets the next request."""

    def pick(self, loads: Loads, u: float, v: float, weights: Weights = None) -> int: ...


def _check(loads: Loads, weights: Weights) -> None:
    if len(loads) == 0:
        refuse("loads", loads, "a sequence of at least one host")
    if weights is not None and (len(weights) != len(loads) or min(weights) <= 0):
        refuse("weights", weights, f"{len(loads)} numbers above 0, one per host")


class Random:
    """Any host, without a look at the loads: each in proportion to its weight."""

    def pick(self, loads: Loads, u: float, v: float, weights: Weights = None) -> int:
        _check(loads, weights)
        if weights is None:
            return int(u * len(loads))
        left = u * sum(weights)
        for host, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return host
        return len(weights) - 1


class RoundRobin:
    """One after the other. With weights, each host saves up its weight, and the richest is taken and pays.

    Source for the weights: nginx, "smooth weighted round-robin".
    """

    def __init__(self) -> None:
        self._last = -1
        self._saved: list[float] = []

    def pick(self, loads: Loads, u: float, v: float, weights: Weights = None) -> int:
        _check(loads, weights)
        if weights is None:
            self._last = (self._last + 1) % len(loads)
            return self._last
        if len(self._saved) != len(weights):
            self._saved = [0.0] * len(weights)
        self._saved = [saved + weight for saved, weight in zip(self._saved, weights, strict=True)]
        richest = max(range(len(weights)), key=self._saved.__getitem__)
        self._saved[richest] -= sum(weights)
        return richest


class LeastRequest:
    """The host with the lowest known load, one of them by chance when several have it.

    Right when the loads are exact. When they are old reports, all callers run to the same host: herding.
    With weights, the lowest (load + 1) / weight.
    """

    def pick(self, loads: Loads, u: float, v: float, weights: Weights = None) -> int:
        _check(loads, weights)
        costs = loads if weights is None else [(x + 1) / w for x, w in zip(loads, weights, strict=True)]
        least = min(costs)
        tied = [host for host, cost in enumerate(costs) if cost == least]
        return tied[int(u * len(tied))]


class TwoChoices:
    """The less loaded of two different hosts drawn by chance; the first drawn when both are equal.

    Nearly as good as the least of all, and no herd runs to one host when reports are old. This is what Envoy
    does under the name LEAST_REQUEST. With weights, (load + 1) / weight is compared.
    Source: M. Mitzenmacher, The Power of Two Choices, IEEE TPDS 12 (2001).
    """

    def pick(self, loads: Loads, u: float, v: float, weights: Weights = None) -> int:
        _check(loads, weights)
        n = len(loads)
        first = int(u * n)
        if n == 1:
            return first
        second = int(v * (n - 1))
        second += second >= first  # never the same host twice
        if weights is None:
            return second if loads[second] < loads[first] else first
        costs = [(loads[host] + 1) / weights[host] for host in (first, second)]
        return second if costs[1] < costs[0] else first


class Reports:
    """What a caller knows of `hosts` hosts: the load each last reported, plus what it has sent there since.

    With `count_own=False` it forgets what it sent: a host that once reported little looks empty until it
    reports again.
    """

    def __init__(self, hosts: int, *, count_own: bool = True) -> None:
        self.loads = [0.0] * whole("hosts", hosts, least=1)
        self.count_own = count_own

    def report(self, host: int, load: float) -> None:
        """This host says how many requests it holds."""
        self.loads[host] = number("load", load, least=0)

    def sent(self, host: int) -> None:
        """A request was sent to this host."""
        self.loads[host] += self.count_own


def ramp(age: float, over: float, *, least: float = 0.1, aggression: float = 1.0) -> float:
    """Weight of a host `age` seconds old, that reaches 1 after `over` seconds: slow start.

    max(least, (age / over)**(1 / aggression)): Envoy's slow start mode, with its defaults.
    """
    number("age", age, least=0)
    number("over", over, least=0)
    number("aggression", aggression, above=0)
    number("least", least, above=0, most=1)
    if age >= over:
        return 1.0
    return max(least, (age / over) ** (1 / aggression))

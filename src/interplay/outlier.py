"""Outlier detection: take the host that fails more than the others out of the rotation for a while.

No clock: `now` (seconds) comes in as an argument. Hosts are numbered from 0. The words and defaults are those
of Envoy, "Outlier detection" and "Panic threshold" in its architecture overview.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, pstdev

from .arguments import number, whole


class Host:
    """What is known of one host: results of this interval, failures in a row, and its ejections."""

    def __init__(self) -> None:
        self.requests = self.successes = self.streak = self.ejections = 0
        self.until: float | None = None  # when its ejection ends; None: it is in


class OutlierDetector:
    """Ejects one of `hosts` after `consecutive` failures in a row, or when its success rate stands out.

    Every `interval` seconds, if `minimum_hosts` hosts had `minimum_requests` requests each in that time,
    those whose success rate is below mean - stdev_factor * standard deviation go. The n-th ejection lasts n
    times `base_ejection` seconds, at most `max_ejection`; an interval in service takes one off n. No more
    than `max_ejection_percent` of the hosts are out at once (with `always_one`, one may always be). Set
    `consecutive` or `stdev_factor` to None to turn that rule off.

    When fewer than `panic` of the hosts are in, `routable` gives them all: see the function of that name.
    """

    def __init__(
        self,
        hosts: int,
        *,
        consecutive: int | None = 5,
        stdev_factor: float | None = 1.9,
        minimum_hosts: int = 5,
        minimum_requests: int = 100,
        interval: float = 10.0,
        base_ejection: float = 30.0,
        max_ejection: float = 300.0,
        max_ejection_percent: float = 10.0,
        always_one: bool = False,
        panic: float = 0.5,
    ) -> None:
        self.hosts = [Host() for _ in range(whole("hosts", hosts, least=1))]
        self.consecutive = math.inf if consecutive is None else whole("consecutive", consecutive, least=1)
        if stdev_factor is not None:
            number("stdev_factor", stdev_factor, above=0)
        self.stdev_factor = stdev_factor
        self.minimum_hosts = whole("minimum_hosts", minimum_hosts, least=1)
        self.minimum_requests = whole("minimum_requests", minimum_requests, least=1)
        self.interval = number("interval", interval, above=0)
        self.base_ejection = number("base_ejection", base_ejection, above=0)
        self.max_ejection = number("max_ejection", max_ejection, least=base_ejection)
        self.max_ejection_percent = number("max_ejection_percent", max_ejection_percent, least=0, most=100)
        self.always_one = always_one
        self.panic = number("panic", panic, least=0, most=1)
        self._next = interval

    def record(self, host: int, ok: bool, now: float) -> None:
        """A request to this host ended like this."""
        self._sweep(now)
        seen = self.hosts[host]
        seen.requests += 1
        seen.successes += ok
        seen.streak = 0 if ok else seen.streak + 1
        if seen.streak >= self.consecutive and seen.until is None:
            self._eject(seen, now)

    def healthy(self, now: float) -> list[bool]:
        """For each host, whether it is in."""
        self._sweep(now)
        return [host.until is None for host in self.hosts]

    def routable(self, now: float) -> list[int]:
        """The hosts that may get requests now."""
        return routable(self.healthy(now), self.panic)

    def _sweep(self, now: float) -> None:
        if now < self._next:
            return
        self._next = now + self.interval
        for host in self.hosts:
            if host.until is None:
                host.ejections = max(0, host.ejections - 1)
            elif now >= host.until:
                host.until, host.streak = None, 0
        self._eject_low_success_rates(now)
        for host in self.hosts:
            host.requests = host.successes = 0

    def _eject_low_success_rates(self, now: float) -> None:
        inside = [host for host in self.hosts if host.until is None]
        judged = [host for host in inside if host.requests >= self.minimum_requests]
        if self.stdev_factor is None or len(judged) < self.minimum_hosts:
            return
        rates = [host.successes / host.requests for host in judged]
        threshold = fmean(rates) - self.stdev_factor * pstdev(rates)
        for host, rate in zip(judged, rates, strict=True):
            if rate < threshold - 1e-12:  # equal rates are no outliers, whatever the rounding
                self._eject(host, now)

    def _eject(self, host: Host, now: float) -> None:
        out = sum(other.until is not None for other in self.hosts)
        too_many = 100 * (out + 1) > self.max_ejection_percent * len(self.hosts)
        if too_many and not (self.always_one and out == 0):
            return
        host.ejections += 1
        host.until = now + min(self.max_ejection, self.base_ejection * host.ejections)


def routable(healthy: Sequence[bool], panic: float = 0.5) -> list[int]:
    """The hosts that may get requests: the healthy ones, or all when fewer than `panic` of them are healthy.

    A few hosts that get everybody's requests would fall over next: then rather spread the load over all.
    """
    number("panic", panic, least=0, most=1)
    if sum(healthy) < panic * len(healthy) or not any(healthy):
        return list(range(len(healthy)))
    return [host for host, ok in enumerate(healthy) if ok]

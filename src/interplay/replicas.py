"""Several services that do the same work, and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from .arguments import number, refuse
from .service import Service


class Balancer(Protocol):
    """Chooses a host by the loads it knows; `u` and `v` are its chances."""

    def pick(self, loads: Sequence[float], u: float, v: float) -> int: ...


class Ejection(Protocol):
    """Takes failing hosts out for a while."""

    def record(self, host: int, ok: bool, now: float) -> None: ...

    def routable(self, now: float) -> Sequence[int]: ...


class Replicas:
    """What a client calls instead of one service. Without a `balancer` the services take turns.

    `report_every` is how old (s) the loads may grow before the balancer sees new ones; 0 is always the truth.
    `known` lists the hosts that discovery knows at a time, by index; the default is all of them, at any time.
    """

    def __init__(
        self,
        services: Sequence[Service],
        balancer: Balancer | None = None,
        *,
        report_every: float = 0.0,
        outliers: Ejection | None = None,
        known: Callable[[float], Sequence[int]] | None = None,
    ) -> None:
        self.services = list(services)
        if not self.services or not all(isinstance(service, Service) for service in self.services):
            refuse("services", services, "a list of at least one service")
        self.balancer, self.outliers = balancer, outliers
        self.report_every = number("report_every", report_every, least=0)
        everything = range(len(self.services))
        self.known = known if known is not None else lambda now: everything
        self._loads: list[float] = []
        self._reported = -math.inf
        self._turn = -1

    def choose(self, now: float, chance: Callable[[], float], but: Service | None = None) -> Service:
        """The service for the next call; not `but`, where there is another."""
        hosts = list(self.known(now))
        if self.outliers is not None:
            routable = set(self.outliers.routable(now))
            hosts = [host for host in hosts if host in routable] or hosts
        if but is not None:
            hosts = [host for host in hosts if self.services[host] is not but] or hosts
        if self.balancer is None:
            self._turn += 1
            return self.services[hosts[self._turn % len(hosts)]]
        if now - self._reported >= self.report_every:
            self._reported = now
            self._loads = [service.load for service in self.services]
        known = [self._loads[host] for host in hosts]
        return self.services[hosts[self.balancer.pick(known, chance(), chance())]]

    def record(self, service: Service, ok: bool, now: float) -> None:
        """Tell the outlier detector how a call to this service ended."""
        if self.outliers is not None:
            self.outliers.record(self.services.index(service), ok, now)

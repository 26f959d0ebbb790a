"""Several services that do the same work, and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from .after import After
from .arguments import number, refuse
from .balancing import ramp
from .discovery import Registry
from .service import Service


class Balancer(Protocol):
    """Chooses a host by the loads it knows; `u` and `v` are its chances."""

    def pick(
        self, loads: Sequence[float], u: float, v: float, weights: Sequence[float] | None = None
    ) -> int: ...


class Ejection(Protocol):
    """Takes failing hosts out for a while."""

    def record(self, host: int, ok: bool, now: float) -> None: ...

    def routable(self, now: float) -> Sequence[int]: ...


class Discovery(Protocol):
    """Names the endpoints that it knows now."""

    def endpoints(self, now: float) -> Collection[str]: ...


class Replicas:
    """What a client calls instead of one service. Without a `balancer` the services take turns.

    `report_every` is how old (s) the loads may grow before the balancer sees new ones; 0 is always the truth.
    `resolver` says which of them, by name, discovery knows now (all, when it knows none); without one, all.
    A service that came up less than `slow_start` seconds ago gets less: balancing.ramp.
    """

    def __init__(
        self,
        services: Sequence[Service],
        balancer: Balancer | None = None,
        *,
        report_every: float = 0.0,
        outliers: Ejection | None = None,
        resolver: Discovery | None = None,
        slow_start: float = 0.0,
    ) -> None:
        self.services = list(services)
        if not self.services or not all(isinstance(service, Service) for service in self.services):
            refuse("services", services, "a list of at least one service")
        self.balancer, self.outliers = balancer, outliers
        self.report_every = number("report_every", report_every, least=0)
        self.resolver = resolver
        self.slow_start = number("slow_start", slow_start, least=0)
        if slow_start and balancer is None:
            refuse("balancer", balancer, "given, when there is a slow start")
        self._loads: list[float] = []
        self._reported = -math.inf
        self._turn = -1

    def choose(self, now: float, chance: Callable[[], float], but: Service | None = None) -> Service:
        """The service for the next call; not `but`, where there is another."""
        hosts = list(range(len(self.services)))
        if self.resolver is not None:
            known = self.resolver.endpoints(now)
            hosts = [host for host in hosts if self.services[host].name in known] or hosts
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
        loads = [self._loads[host] for host in hosts]
        weights = None
        if self.slow_start:
            weights = [ramp(now - self.services[host].started_at, self.slow_start) for host in hosts]
        return self.services[hosts[self.balancer.pick(loads, chance(), chance(), weights)]]

    def record(self, service: Service, ok: bool, now: float) -> None:
        """Tell the outlier detector how a call to this service ended."""
        if self.outliers is not None:
            self.outliers.record(self.services.index(service), ok, now)


def heartbeats(registry: Registry, services: Iterable[Service], every: float) -> None:
    """Each service that is healthy tells the registry so, now and `every` so many seconds."""
    number("every", every, above=0)

    def beat(service: Service) -> None:
        if service.healthy:
            registry.heartbeat(service.name, service.env.now)
        After(service.env, every, lambda _: beat(service))

    for service in services:
        beat(service)

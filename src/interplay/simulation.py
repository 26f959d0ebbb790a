"""The simulated shop: a clock, services and clients, users who arrive, faults, and a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import simpy
from simpy.events import Timeout

from .arguments import number, one_of, refuse
from .client import Client, Reply, Request
from .network import Network
from .retry import Retry
from .run import Run
from .service import Handler, Service
from .streams import Constant, Distribution, Exponential, Streams
from .trace import OK, OPEN, STATUSES, Node, Trace

Journey = Callable[[Request], Generator[Any, Any, Any]]

FAULTS = {
    "outage": "nothing is served, what arrives waits",
    "crash": "what was in work or waiting is lost, what arrives is refused",
    "slow": "work takes `factor` times as long",
    "errors": "a `share` of the work ends in an error",
}


class Simulation:
    """A shop to be built, broken and run. The same seed gives the same run.

    `delay` is the network's one-way delay (a distribution, seconds) and `loss` the share of messages that it
    loses. `users` names the node that stands for everybody who calls from outside.
    """

    def __init__(
        self, seed: int = 1, *, delay: Distribution | None = None, loss: float = 0.0, users: str = "web"
    ) -> None:
        self.env = simpy.Environment()
        self.streams = Streams(seed)
        self.trace = Trace()
        self.trace.nodes.append(Node(users, "users", None))
        self.network = Network(self.env, self.streams, self.trace, delay or Constant(0.001), loss)
        self.services: dict[str, Service] = {}
        self._open: dict[int, float] = {}
        self._numbers = 0
        self._spans = 0
        self._sources: Counter[str] = Counter()
        self._ended = False

    def service(
        self,
        name: str,
        *,
        workers: int,
        time: Distribution,
        capacity: float = math.inf,
        calls: Handler | None = None,
    ) -> Service:
        """Add a service; see Service for the arguments."""
        if name in self.services or name == self.trace.nodes[0].name:
            refuse("name", name, "a name that no other part of the shop has")
        if len(self.trace.nodes) > 255:
            refuse("name", name, "one of at most 256 nodes")
        self.services[name] = Service(self, name, workers, time, capacity, calls)
        return self.services[name]

    def client(
        self,
        service: Service | str,
        *,
        caller: Service | str | None = None,
        deadline: float | None = None,
        retry: Retry | None = None,
    ) -> Client:
        """A client that calls `service`, on behalf of the users or of the service `caller`."""
        target = self._find(service)
        source = 0 if caller is None or caller == self.trace.nodes[0].name else self._find(caller).node
        if (source, target.node) not in self.trace.links:
            self.trace.links.append((source, target.node))
        return Client(self, target, source, deadline, retry)

    def users(self, journey: Journey, rate: float, *, start: float = 0.0, end: float = math.inf) -> None:
        """Users arrive at random (Poisson), `rate` a second from `start` to `end`, and make this journey."""
        number("rate", rate, above=0)
        number("start", start, least=0)
        number("end", end, least=start)
        self._sources["users"] += 1
        between = self.streams.draws(f"arrivals {self._sources['users']}", Exponential(1 / rate))

        def arrive() -> Generator[Any, Any, None]:
            if start:
                yield Timeout(self.env, start)
            while True:
                yield Timeout(self.env, between())
                if self.env.now >= end:
                    return
                self.env.process(self._user(journey))

        self.env.process(arrive())

    def _user(self, journey: Journey) -> Generator[Any, Any, None]:
        self._numbers += 1
        request = Request(self._numbers)
        start = self.env.now
        self._open[request.number] = start
        reply = yield from journey(request)
        del self._open[request.number]
        status, attempts = (
            (STATUSES.index(reply.status), reply.attempts) if isinstance(reply, Reply) else (OK, 1)
        )
        self.trace.requests.append((request.number, start, self.env.now, status, attempts))

    def fault(
        self,
        kind: str,
        service: Service | str,
        *,
        start: float,
        end: float,
        factor: float = 10.0,
        share: float = 0.5,
    ) -> None:
        """Break a service from `start` to `end` (seconds). `kind` is one of FAULTS."""
        one_of("kind", kind, tuple(FAULTS))
        target = self._find(service)
        number("start", start, least=self.env.now)
        number("end", end, above=start)
        amount = (
            number("factor", factor, above=0) if kind == "slow" else number("share", share, least=0, most=1)
        )

        def happen() -> Generator[Any, Any, None]:
            yield Timeout(self.env, start - self.env.now)
            finish = target.fail(kind, amount)
            self.trace.markers.append((self.env.now, f"{target.name}: {kind} starts", target.node))
            yield Timeout(self.env, end - start)
            finish()
            self.trace.markers.append((self.env.now, f"{target.name}: {kind} ends", target.node))

        self.env.process(happen())

    def _find(self, service: Service | str) -> Service:
        if isinstance(service, Service):
            return service
        if service not in self.services:
            refuse("service", service, "one of " + ", ".join(map(repr, self.services)))
        return self.services[service]

    def next_span(self) -> int:
        self._spans += 1
        return self._spans

    def run(self, until: float, progress: Callable[[float], bool] | None = None, slices: int = 100) -> Run:
        """Run for `until` simulated seconds and return the result.

        `progress` is called after each of `slices` equal parts with the share done; when it returns False the
        run ends there.
        """
        number("until", until, above=0)
        if self._ended:
            raise RuntimeError(
                "This simulation has already run. Build a new one: the same seed gives the same run."
            )
        if progress is None:
            self.env.run(until=until)
        else:
            for i in range(1, slices + 1):
                self.env.run(until=until * i / slices)
                if not progress(i / slices):
                    break
        return self.end()

    def end(self) -> Run:
        """End the run at the present time: what is still open is recorded as open."""
        self._ended = True
        self.trace.until = self.env.now
        for request, start in self._open.items():
            self.trace.requests.append((request, start, math.nan, OPEN, 0))
        for service in self.services.values():
            service.close()
        return Run(self.trace, self.streams.seed)

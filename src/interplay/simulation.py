"""The simulated shop: a clock, services and clients, users who arrive, faults, and a run."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

import simpy

from . import after, faults
from .after import After
from .arguments import number, one_of, refuse
from .broker import Broker
from .call import Call, Reply, Request
from .client import Client
from .faults import FAULTS
from .journey import drive
from .log import PartitionedLog
from .log_broker import LogBroker
from .messages import Messages
from .network import Network
from .part import Part
from .points import Points
from .process import Process, Step
from .pubsub import Topic
from .queue import MessageQueue
from .queueing import Fifo
from .replicas import Replicas
from .run import Run
from .service import Handler, Service
from .streams import Constant, Distribution, Exponential, Streams
from .trace import OK, OPEN, STATUSES, Node, Trace

STATUS = {name: i for i, name in enumerate(STATUSES)}
COMPACT_EVERY = 1 << 10  # spans
Journey = Callable[[Request], Generator[Any, Any, Any]]


class Simulation:
    """A shop to be built, broken and run. The same seed gives the same run.

    `delay` is the network's one-way delay (a distribution, seconds) and `loss` the share of messages that it
    loses. `users` names the node that stands for everybody who calls from outside. `record` "spans" keeps
    spans and requests only, for long experiments that nobody will watch.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        delay: Distribution | None = None,
        loss: float = 0.0,
        users: str = "web",
        record: str = "everything",
    ) -> None:
        self.env = simpy.Environment()
        self.streams = Streams(seed)
        self.trace = Trace(one_of("record", record, ("everything", "spans")))
        self.trace.nodes.append(Node(users, "users", None))
        self.network = Network(self.env, self.streams, self.trace, delay or Constant(0.001), loss)
        self.parts: dict[str, Part] = {}
        self.brokers: list[Any] = []
        self.points: Points | None = None  # of a search: where a process can be stopped
        self.messages = Messages(self)
        self._open: dict[int, float] = {}
        self._numbers = 0
        self.next_span = self._number_spans().__next__
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
        queue: Fifo | None = None,
    ) -> Service:
        """Add a service; see Service for the arguments."""
        self.admit(name)
        self.parts[name] = service = Service(self, name, workers, time, capacity, calls, queue)
        return service

    def process(self, name: str, step: Step, **arguments: Any) -> Process:
        """Add a process that runs a STEP; see Process for the arguments."""
        self.admit(name)
        self.parts[name] = process = Process(self, name, step, **arguments)
        return process

    def queue(self, name: str, *, dead_letters: str | None = None, **policy: Any) -> Broker:
        """Add a message queue. The `policy` is that of MessageQueue: visibility, limit, ttl, late."""
        self.admit(name)
        self.parts[name] = broker = Broker(self, name, MessageQueue(**policy), dead_letters)
        return broker

    def topic(self, name: str) -> Topic:
        """Add a topic, which sends copies to its subscribers; see Topic."""
        self.admit(name)
        self.parts[name] = topic = Topic(self, name)
        return topic

    def log(self, name: str, *, partitions: int = 1, retention: float = math.inf) -> LogBroker:
        """Add a log with consumer groups; see LogBroker, and PartitionedLog for the arguments."""
        self.admit(name)
        self.parts[name] = log = LogBroker(self, name, PartitionedLog(partitions, retention=retention))
        return log

    @property
    def services(self) -> dict[str, Service]:
        """The services, by name."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Service)}

    def admit(self, name: str) -> None:
        """Refuse a name that is taken, and more nodes than a trace can number."""
        if name in self.parts or name == self.trace.nodes[0].name:
            refuse("name", name, "a name that no other part of the shop has")
        if len(self.trace.nodes) > 255:
            refuse("name", name, "one of at most 256 nodes")

    def post(
        self, request: Request, to: Part | str, message: Any, kind: str = "event", **options: Any
    ) -> None:
        """Send a message on behalf of a request, from the users or the service that handles the call.

        Nobody waits for an answer. The `options` are those of `put`: delay, priority, key.
        """
        source = request.service.node if isinstance(request, Call) else 0
        to = to if isinstance(to, str) else to.name
        action = {"do": "send", "to": to, "message": message, "as": kind, "options": options}
        self.messages.carry(source, request.number, request.span, action)

    def ask(
        self, request: Request, to: Part | str, message: Any, *, deadline: float | None = None
    ) -> Generator[Any, Any, Reply]:
        """Send a message to a process and wait until it replies: `reply = yield from shop.ask(...)`."""
        return self.messages.ask(request, to if isinstance(to, str) else to.name, message, deadline)

    def client(
        self, service: Service | str | Replicas, *, caller: Service | str | None = None, **policies: Any
    ) -> Client:
        """A client that calls `service`, on behalf of the users or of the service `caller`.

        The `policies` are those of Client: deadline, total, propagate, cancel, retry, limit, throttle,
        bulkhead, breaker, hedge.
        """
        target = service if isinstance(service, Replicas) else self._find(service)
        source = 0 if caller is None or caller == self.trace.nodes[0].name else self._find(caller).node
        for called in target.services if isinstance(target, Replicas) else [target]:
            if (source, called.node) not in self.trace.links:
                self.trace.links.append((source, called.node))
        return Client(self, target, source, **policies)

    def users(
        self,
        journey: Journey | Client | Service,
        rate: float,
        *,
        start: float = 0.0,
        end: float = math.inf,
        patience: float = math.inf,
        priority: float = 0.0,
    ) -> None:
        """Users arrive at random (Poisson), `rate` a second from `start` to `end`, and make this journey.

        A client or a service instead of a journey means: call it once. Each user leaves after `patience`
        seconds, which only clients that propagate deadlines know.
        """
        if isinstance(journey, Service):
            journey = self.client(journey)
        number("rate", rate, above=0)
        number("start", start, least=0)
        number("end", end, least=start)
        env = self.env
        between = self.streams.draws(f"arrivals {self._numbered('users')}", Exponential(1 / rate))

        def arrival(_: Any) -> None:
            if env._now < end:
                self.arrive(journey, patience, priority)
                After(env, between(), arrival)

        After(env, start, lambda _: After(env, between(), arrival))

    def arrive(self, journey: Journey | Client, patience: float = math.inf, priority: float = 0.0) -> None:
        """One user arrives now and makes this journey."""
        start = self.env._now
        self._numbers = n = self._numbers + 1
        self._open[n] = start
        if isinstance(journey, Client) and journey.once:
            journey.begin(n, start + patience, priority, self._leave)
            return
        request = Request(n, start + patience, priority)

        def done(reply: Any) -> None:
            if isinstance(reply, Reply):
                self._leave(STATUS[reply.status], request, reply.attempts)
            else:
                self._leave(OK, request)

        drive(journey.call(request) if isinstance(journey, Client) else journey(request), done)

    def _leave(self, status: int, request: Request, attempts: int = 1) -> None:
        """A user has what there is to have, and leaves."""
        n = request.number
        self.trace.requests.append((n, self._open.pop(n), self.env._now, status, attempts))

    def fault(
        self,
        kind: str,
        service: Part | str,
        *,
        start: float,
        end: float,
        factor: float = 10.0,
        share: float = 0.5,
    ) -> None:
        """Break a part of the shop from `start` to `end` (seconds). `kind` is one of FAULTS."""
        one_of("kind", kind, tuple(FAULTS))
        target = self._part(service)
        number("start", start, least=self.env._now)
        number("end", end, above=start)
        amount = (
            number("factor", factor, above=0) if kind == "slow" else number("share", share, least=0, most=1)
        )

        begin = faults.fault(target, kind, amount)
        faults.schedule(self, begin, start, end, f"{target.name}: {kind}", target.node)

    def partition(self, one: Part | str, other: Part | str, *, start: float, end: float) -> None:
        """No message passes between two nodes from `start` to `end` (seconds)."""
        number("start", start, least=self.env._now)
        number("end", end, above=start)
        users = self.trace.nodes[0].name
        pair = frozenset(0 if side == users else self._part(side).node for side in (one, other))
        label = "partition of " + " and ".join(sorted(self.trace.nodes[node].name for node in pair))

        faults.schedule(self, faults.cut(self, pair), start, end, label)

    def faults(self, schedule: Iterable[Mapping[str, Any]]) -> None:
        """A fault schedule as data: the arguments of `fault`, or of `partition` with `between` two nodes."""
        for entry in schedule:
            arguments = dict(entry)
            if "between" in arguments:
                one, other = arguments.pop("between")
                self.partition(one, other, **arguments)
            else:
                self.fault(**arguments)

    def _numbered(self, name: str) -> int:
        self._sources[name] += 1
        return self._sources[name]

    def source(self, name: str) -> str:
        """A name for random streams: this one, or with a number when it is taken."""
        number = self._numbered(name)
        return name if number == 1 else f"{name} ({number})"

    def _part(self, part: Part | str) -> Part:
        if isinstance(part, Part):
            return part
        if part not in self.parts:
            refuse("service", part, "one of " + ", ".join(map(repr, self.parts)))
        return self.parts[part]

    def _find(self, service: Service | str) -> Service:
        part = self._part(service)
        if not isinstance(part, Service):
            refuse("service", part.name, "a service: a process or a queue is sent messages")
        return part

    def _number_spans(self) -> Iterator[int]:
        for span in itertools.count(1):
            if not span % COMPACT_EVERY:
                self.trace.compact()
            yield span

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
            after.run(self.env, until)
        else:
            for i in range(1, slices + 1):
                after.run(self.env, until * i / slices)
                if not progress(i / slices):
                    break
        return self.end()

    def end(self) -> Run:
        """End the run at the present time: what is still open is recorded as open."""
        self._ended = True
        self.trace.until = self.env._now
        for request, start in self._open.items():
            self.trace.requests.append((request, start, math.nan, OPEN, 0))
        for part in self.parts.values():
            part.close()
        return Run(self.trace, self.streams.seed)

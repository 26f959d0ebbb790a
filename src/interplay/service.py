"""A service: workers behind a queue, which can fail in the ways that services fail."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Timeout

from .arguments import number, refuse, whole
from .streams import Distribution
from .trace import BUSY, ERROR, ERROR_REPLY, OK, OPEN, QUEUE, REJECTED, REJECTION, REPLY, UP, Node

if TYPE_CHECKING:
    from .client import Call
    from .simulation import Simulation

Handler = Callable[["Call"], Generator[Any, Any, Any]]
ANSWER = {OK: REPLY, ERROR: ERROR_REPLY, REJECTED: REJECTION}


class Service:
    """`workers` serve requests in order of arrival; at most `capacity` more may wait, the rest is rejected.

    Each request takes a worker for a draw of `time` (a distribution, seconds). With `calls`, a function of
    the request that returns a generator, the worker then calls on and is held until the answer is there.
    """

    def __init__(
        self,
        sim: Simulation,
        name: str,
        workers: int,
        time: Distribution,
        capacity: float = math.inf,
        calls: Handler | None = None,
    ) -> None:
        self.sim, self.env, self.trace, self.name = sim, sim.env, sim.trace, name
        self.workers = whole("workers", workers, least=1)
        self.capacity = number("capacity", capacity, least=0)
        if not hasattr(time, "sample"):
            refuse("time", time, "a distribution such as Exponential(0.02)")
        self.calls = calls
        self.node = len(sim.trace.nodes)
        sim.trace.nodes.append(Node(name, "service", self.workers))
        self.queue: deque[tuple[Call, float]] = deque()
        self.busy = 0
        self.holding = 0  # outages in force: nothing new starts
        self.crashed = 0  # crashes in force: everything is refused
        self.slowness: list[float] = []  # factors in force
        self.failing: list[float] = []  # error shares in force
        self._time = sim.streams.draws(f"{name} service time", time)
        self._luck = sim.streams.generator(f"{name} errors").random
        self._working: dict[int, tuple[Call, float, float]] = {}
        self._epoch = 0  # counts crashes, so that work started before one is forgotten

    def receive(self, call: Call) -> None:
        """A request arrives: serve it, let it wait, or refuse it."""
        if self.crashed:
            self._refuse(call, ERROR)
        elif self.busy < self.workers and not self.holding:
            self.busy += 1
            self._state(BUSY, self.busy)
            self._start(call, self.env.now)
        elif len(self.queue) < self.capacity:
            self.queue.append((call, self.env.now))
            self._state(QUEUE, len(self.queue))
        else:
            self._refuse(call, REJECTED)

    def _start(self, call: Call, arrived: float) -> None:
        env, started, epoch = self.env, self.env.now, self._epoch
        duration = self._time()
        for factor in self.slowness:
            duration *= factor
        call.span = self.sim.next_span()

        def served(_: Any) -> None:
            if epoch != self._epoch:
                return
            if self.failing and any(self._luck() < share for share in self.failing):
                self._finish(call, arrived, started, ERROR)
            elif self.calls is None:
                self._finish(call, arrived, started, OK)
            else:
                env.process(self._call_on(call, arrived, started, epoch))

        self._working[call.span] = (call, arrived, started)
        Timeout(env, duration).callbacks.append(served)

    def _call_on(self, call: Call, arrived: float, started: float, epoch: int) -> Generator[Any, Any, None]:
        reply = yield from self.calls(call)  # type: ignore[misc]
        if epoch == self._epoch:
            self._finish(call, arrived, started, OK if reply is None or reply.ok else ERROR)

    def _finish(self, call: Call, arrived: float, started: float, status: int) -> None:
        del self._working[call.span]
        self._span(call, arrived, started, status)
        self._answer(call, status)
        self._next()

    def _next(self) -> None:
        if self.queue and not self.holding:
            call, arrived = self.queue.popleft()
            self._state(QUEUE, len(self.queue))
            self._start(call, arrived)
        else:
            self.busy -= 1
            self._state(BUSY, self.busy)

    def _refuse(self, call: Call, status: int) -> None:
        call.span = self.sim.next_span()
        self._span(call, self.env.now, self.env.now, status)
        self._answer(call, status)

    def _answer(self, call: Call, status: int) -> None:
        self.sim.network.send(
            self.node,
            call.caller,
            ANSWER[status],
            call.attempt,
            call.number,
            lambda _: call.reply.settle(status),
        )

    def _span(self, call: Call, arrived: float, started: float, status: int) -> None:
        now = self.env.now
        row = (call.number, call.span, call.parent, self.node, arrived, started, now, status, call.attempt)
        self.trace.spans.append(row)

    def _state(self, gauge: int, value: float) -> None:
        self.trace.states.append((self.env.now, self.node, gauge, value))

    def fail(self, kind: str, amount: float) -> Callable[[], None]:
        """Start a fault of this kind now; the returned function ends it. See Simulation.fault."""
        if kind == "outage":
            self.holding += 1
        elif kind == "crash":
            self.crashed += 1
            self._crash()
        elif kind == "slow":
            self.slowness.append(amount)
        elif kind == "errors":
            self.failing.append(amount)
        self._state(UP, self._up())

        def end() -> None:
            if kind == "outage":
                self.holding -= 1
                while self.queue and not self.holding and self.busy < self.workers:
                    self.busy += 1
                    self._state(BUSY, self.busy)
                    call, arrived = self.queue.popleft()
                    self._state(QUEUE, len(self.queue))
                    self._start(call, arrived)
            elif kind == "crash":
                self.crashed -= 1
            elif kind == "slow":
                self.slowness.remove(amount)
            elif kind == "errors":
                self.failing.remove(amount)
            self._state(UP, self._up())

        return end

    def _up(self) -> float:
        if self.holding or self.crashed:
            return 0.0
        return 0.5 if self.slowness or self.failing else 1.0

    def _crash(self) -> None:
        """Everything in work and in the queue is lost; the callers' connections break."""
        self._epoch += 1
        for call, arrived, started in self._working.values():
            self._span(call, arrived, started, ERROR)
            self._answer(call, ERROR)
        self._working.clear()
        for call, arrived in self.queue:
            call.span = self.sim.next_span()
            self._span(call, arrived, self.env.now, ERROR)
            self._answer(call, ERROR)
        self.queue.clear()
        self.busy = 0
        self._state(BUSY, 0)
        self._state(QUEUE, 0)

    def close(self) -> None:
        """At the end of a run: record what is still in work or waiting as open spans."""
        nan = math.nan
        for call, arrived in self.queue:
            call.span = self.sim.next_span()
            self._working[call.span] = (call, arrived, nan)
        for call, arrived, started in self._working.values():
            row = (call.number, call.span, call.parent, self.node, arrived, started, nan, OPEN, call.attempt)
            self.trace.spans.append(row)

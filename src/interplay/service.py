"""A service: workers behind a queue, which can fail in the ways that services fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from .after import After
from .arguments import number, refuse, whole
from .journey import drive
from .part import Part
from .queueing import Fifo
from .streams import Distribution
from .trace import BUSY, ERROR, ERROR_REPLY, OK, OPEN, QUEUE, REJECTED, REJECTION, REPLY, TIMEOUT

if TYPE_CHECKING:
    from .call import Call
    from .simulation import Simulation

Handler = Callable[["Call"], Generator[Any, Any, Any]]
ANSWER = {OK: REPLY, ERROR: ERROR_REPLY, REJECTED: REJECTION, TIMEOUT: ERROR_REPLY}


class Service(Part):
    """`workers` serve calls from a queue; at most `capacity` may wait, and what comes then is rejected.

    Each call takes a worker for a draw of `time` (a distribution, seconds). With `calls`, a function of the
    call that returns a generator, the worker then calls on and is held until the answer is there. `queue` is
    the discipline; the default serves in order of arrival.
    """

    def __init__(
        self,
        sim: Simulation,
        name: str,
        workers: int,
        time: Distribution,
        capacity: float = math.inf,
        calls: Handler | None = None,
        queue: Fifo | None = None,
    ) -> None:
        self.workers = whole("workers", workers, least=1)
        self.capacity = number("capacity", capacity, least=0)
        if not hasattr(time, "sample"):
            refuse("time", time, "a distribution such as Exponential(0.02)")
        if queue is not None and not isinstance(queue, Fifo):
            refuse("queue", queue, "a queue discipline such as Lifo()")
        self.calls = calls
        self.queue = queue if queue is not None else Fifo()
        super().__init__(sim, name, "service", self.workers)
        self.busy = 0
        self._time = sim.streams.draws(f"{name} service time", time)
        self._luck = sim.streams.generator(f"{name} errors").random
        self._working: dict[int, Call] = {}

    @property
    def load(self) -> int:
        """Calls in work and waiting."""
        return self.busy + len(self.queue)

    def receive(self, call: Call) -> None:
        """A call arrives: serve it, let it wait, or refuse it."""
        call.arrived = now = self.env._now
        if self.crashed or call.cancelled:
            self._refuse(call, ERROR if self.crashed else TIMEOUT)
        elif self.busy < self.workers and not self.holding:
            self.busy += 1
            if self._watched:
                self.note(BUSY, self.busy, now)
            self._start(call, now)
        elif len(self.queue.calls) < self.capacity:
            self.queue.put(call, now)
            if self._watched:
                self.note(QUEUE, len(self.queue), now)
        else:
            self._refuse(call, REJECTED)

    def _start(self, call: Call, now: float) -> None:
        call.started = now
        call.span = span = self._next_span()
        duration = self._time()
        for factor in self.slowness:
            duration *= factor
        self._working[span] = call
        After(self.env, duration, self._served, call)

    def _served(self, event: Any) -> None:
        call = event._value
        if call.span not in self._working:
            return  # it was lost in a crash, or cancelled
        if self.failing and any(self._luck() < share for share in self.failing):
            self._finish(call, ERROR)
        elif self.calls is None:
            self._finish(call, OK)
        else:
            drive(self.calls(call), lambda reply: self._answered(call, reply))

    def _answered(self, call: Call, reply: Any) -> None:
        if call.span in self._working:
            self._finish(call, OK if reply is None or reply.ok else ERROR)

    def _finish(self, call: Call, status: int) -> None:
        """The worker takes the next call, and this one's answer goes out."""
        now = self.env._now
        del self._working[call.span]
        self._next(now)
        self._end(call, status, now)

    def _next(self, now: float) -> None:
        """A worker is free: it takes the next call that is worth it."""
        queue = self.queue
        if queue.calls and not self.holding:
            call = queue.take(now)
            if self._watched:
                self.note(QUEUE, len(queue), now)
            if queue.dropped:
                self._drop(now)
            if call is not None:
                self._start(call, now)
                return
        self.busy -= 1
        if self._watched:
            self.note(BUSY, self.busy, now)

    def _drop(self, now: float) -> None:
        """Tell the callers whose calls the queue has thrown away."""
        useless, self.queue.dropped = self.queue.dropped, []
        for call in useless:
            call.started = math.nan
            call.span = self._next_span()
            self._end(call, REJECTED, now)

    def _refuse(self, call: Call, status: int) -> None:
        call.span = self._next_span()
        call.started = call.arrived
        self._end(call, status, self.env._now)

    def _end(self, call: Call, status: int, now: float) -> None:
        """Record the span, and answer unless the caller has said that it left."""
        self._record(
            (
                call.number,
                call.span,
                call.parent,
                self.node,
                call.arrived,
                call.started,
                now,
                status,
                call.attempt,
            )
        )
        if call.status == OPEN and not call.cancelled:
            call.status = status
            self._send(self.node, call.caller, ANSWER[status], call, call.returned)

    def cancel(self, call: Call) -> None:
        """The caller has left, and says so: stop waiting or working for it, and tell whom it called."""
        call.cancelled = True
        if self.queue.remove(call):
            self.note(QUEUE, len(self.queue), self.env._now)
            call.started, call.span = math.nan, self._next_span()
            self._end(call, TIMEOUT, self.env._now)
        elif call.span in self._working:
            self._finish(call, TIMEOUT)
            call.stop_all()

    def resume(self) -> None:
        """Idle workers take up what waits, after an outage."""
        for _ in range(min(self.workers - self.busy, len(self.queue))):
            if len(self.queue) and not self.holding:
                self.busy += 1
                self.note(BUSY, self.busy, self.env._now)
                self._next(self.env._now)

    def crash(self) -> None:
        """Everything in work and in the queue is lost; the callers' connections break."""
        lost, waiting = list(self._working.values()), self.queue.clear()
        self._working.clear()
        now = self.env._now
        self.busy = 0
        self.note(BUSY, 0, now)
        self.note(QUEUE, 0, now)
        for call in waiting:
            call.started, call.span = math.nan, self._next_span()
        for call in lost + waiting:
            self._end(call, ERROR, now)
            call.cancelled = True  # whatever it was doing, it does no more
            call.stop_all()

    def close(self) -> None:
        """At the end of a run: record what is still in work or waiting as open spans."""
        for call in self.queue.clear():
            call.started, call.span = math.nan, self._next_span()
            self._working[call.span] = call
        for call in self._working.values():
            row = (call.number, call.span, call.parent, self.node, call.arrived, call.started, math.nan)
            self.trace.spans.append((*row, OPEN, call.attempt))

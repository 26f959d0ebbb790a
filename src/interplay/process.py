"""A process that runs a STEP: it takes one event after the other, and carries out the actions one by one.

It can be stopped between any two actions. What it has committed and sent by then stays; its memory is lost.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .actions import Action, Answer, write
from .after import After
from .arguments import number, refuse, whole
from .call import Reply, Request
from .journey import drive
from .part import Part
from .streams import Constant, Distribution
from .trace import BUSY, ERROR, MESSAGE_KINDS, OK, OPEN, QUEUE, STATUSES

if TYPE_CHECKING:
    from .client import Client
    from .simulation import Simulation

Step = Callable[[Any, Any], Answer]
KIND = {name: i for i, name in enumerate(MESSAGE_KINDS)}
STATUS = {name: i for i, name in enumerate(STATUSES)}
SHAPE = 'a dict {"state": ..., "actions": [...]}'
STARTED = {"kind": "started"}


class Envelope:
    """A message under way, with the request (`number`) and the span (`parent`) that it belongs to."""

    arrived: float
    started: float
    span: int  # of the work that it causes

    __slots__ = (
        "also", "arrived", "attempt", "done", "extra", "message", "news", "number", "options", "parent",
        "source", "span", "started", "target", "verb",
    )  # fmt: skip

    def __init__(
        self,
        target: Part,
        verb: str,
        message: Any,
        number: int = 0,
        parent: int = 0,
        source: int = 0,
        attempt: int = 1,
    ) -> None:
        self.target, self.verb, self.message = target, verb, message
        self.number, self.parent, self.source, self.attempt = number, parent, source, attempt
        self.extra, self.arrived, self.span = 0.0, math.nan, 0
        self.options: Any = None  # for a broker
        self.also: Any = ()  # where further messages of a batch come from: (request, span)
        self.news = False  # of the process itself, such as that it has started: takes no time
        self.done: Callable[[Envelope, int], None] | None = None  # is told when the work has ended, and how

    def reached(self, _: Any) -> None:
        """It is there."""
        self.target.receive(self)  # type: ignore[attr-defined]


class Process(Part):
    """Runs `step`, at most `workers` events at once, each for a draw of `time` (s); more events wait.

    `memory` is its state at each start, `stored` its database at the first one. After each start it gets the
    event {"kind": "started"}. With `pause` (s), so much time passes between two actions. `clients` are those
    that its actions `call`, by name.
    """

    def __init__(
        self,
        sim: Simulation,
        name: str,
        step: Step,
        *,
        memory: Mapping[str, Any] | None = None,
        stored: dict[str, Any] | None = None,
        workers: int = 1,
        time: Distribution | None = None,
        pause: float = 0.0,
        clients: Mapping[str, Client] | None = None,
    ) -> None:
        super().__init__(sim, name, "process", whole("workers", workers, least=1))
        if not callable(step):
            refuse("step", step, "a function of a state and an event")
        self.step = step
        self.workers = workers
        self.pause = number("pause", pause, least=0)
        self.stored: dict[str, Any] = {} if stored is None else stored
        self.clients = dict(clients or {})
        self.memory = dict(memory or {})
        self.life = 0  # counts its crashes
        self.handled = 0
        self.busy = 0
        self.waiting: deque[Envelope] = deque()
        self._working: dict[int, Envelope] = {}
        self._time = sim.streams.draws(f"{name} service time", time or Constant(0))
        self._luck = sim.streams.generator(f"{name} errors").random
        self._carry = sim.messages.carry
        self._wake()
        After(self.env, 0, self._started, self.life)

    @property
    def load(self) -> int:
        """Events in work and waiting."""
        return self.busy + len(self.waiting)

    def works_on(self, envelope: Envelope) -> bool:
        """Whether this event has arrived and is not done with: in work, or waiting."""
        return envelope.span in self._working or envelope in self.waiting

    def _wake(self) -> None:
        self.state = copy.deepcopy(self.memory)
        self.state["stored"] = self.stored

    def _started(self, event: Any) -> None:
        if event._value == self.life and not self.crashed:
            envelope = Envelope(self, "send", STARTED)
            envelope.news = True
            self.receive(envelope)

    def receive(self, envelope: Envelope) -> None:
        """An event arrives: handle it, or let it wait. A process that has crashed does not get it."""
        if self.crashed:
            return
        if envelope.verb != "send":
            refuse(f"an action for {self.name}", envelope.verb, '"send": it is a process')
        envelope.arrived = now = self.env._now
        if self.busy < self.workers and not self.holding:
            self.busy += 1
            if self._watched:
                self.note(BUSY, self.busy, now)
            self._start(envelope, now)
        else:
            self.waiting.append(envelope)
            if self._watched:
                self.note(QUEUE, len(self.waiting), now)

    def _start(self, envelope: Envelope, now: float) -> None:
        envelope.started = now
        envelope.span = span = self._next_span()
        self._working[span] = envelope
        duration = 0.0 if envelope.news else self._time()
        for factor in self.slowness:
            duration *= factor
        After(self.env, duration, self._handle, envelope)

    def _handle(self, event: Any) -> None:
        envelope = event._value
        if envelope.span not in self._working:
            return  # it was lost in a crash
        if self.failing and any(self._luck() < share for share in self.failing):
            self._finish(envelope, ERROR)
            return
        self.handled += 1
        answer = self.step(self.state, {**envelope.message, "now": self.env._now})
        try:
            self.state, actions = answer["state"], answer["actions"]
            self.state["stored"] = self.stored
        except (TypeError, KeyError):
            refuse(f"what the step of {self.name} returned", answer, SHAPE)
        self._carry_out(envelope, actions, 0)

    def _carry_out(self, envelope: Envelope, actions: list[Action], done: int) -> None:
        """Carry out the actions that are left. Before each, and after the last, lies a point."""
        points = self.sim.points
        if points is None and not self.pause:
            for action in actions:
                self._do(envelope, action)
            if envelope.span in self._working:
                self._finish(envelope, OK)
            return
        for i in range(done, len(actions)):
            action = actions[i]
            times = 1 if points is None else points.reach(self, envelope, i, action)
            if envelope.span not in self._working:
                return  # it crashed at this point
            for _ in range(times):
                self._do(envelope, action)
            if self.pause:
                After(self.env, self.pause, self._go_on, (envelope, actions, i + 1))
                return
        if points is not None:
            points.reach(self, envelope, len(actions), None)
        if envelope.span in self._working:
            self._finish(envelope, OK)

    def _go_on(self, event: Any) -> None:
        envelope, actions, done = event._value
        if envelope.span in self._working:
            self._carry_out(envelope, actions, done)

    def _do(self, envelope: Envelope, action: Action) -> None:
        kind = action["do"]
        if kind == "send":
            number = action.get("request") or envelope.number
            self._carry(self.node, number, envelope.span if number == envelope.number else 0, action)
        elif kind == "commit":
            write(self.stored, action["writes"])
        elif kind == "timer":
            timed = Envelope(
                self, "send", action["event"], envelope.number, envelope.span, attempt=envelope.attempt
            )
            After(self.env, action["after"], self._timed, (self.life, timed))
        elif kind == "reply":
            number = envelope.number if action["request"] is None else action["request"]
            if number:
                self.sim.messages.answer(self.node, number, action["status"])
        elif kind == "call":
            self._call(envelope, action)
        else:
            self._carry(self.node, envelope.number, envelope.span, action)

    def _timed(self, event: Any) -> None:
        life, envelope = event._value
        if life == self.life:
            self.receive(envelope)

    def _call(self, envelope: Envelope, action: Action) -> None:
        if action["to"] not in self.clients:
            refuse("to", action["to"], "one of the process's clients: " + ", ".join(self.clients))
        request = Request(envelope.number)
        request.span, life = envelope.span, self.life

        def answered(reply: Reply) -> None:
            if life == self.life:
                event = {**action["then"], "status": reply.status}
                self.receive(Envelope(self, "send", event, envelope.number, envelope.span))

        drive(self.clients[action["to"]].call(request), answered)

    def _finish(self, envelope: Envelope, status: int) -> None:
        """The span ends, and the worker takes the next event."""
        now = self.env._now
        del self._working[envelope.span]
        self._end(envelope, now, status)
        if envelope.done is not None:
            envelope.done(envelope, status)
        if self.waiting and not self.holding:
            following = self.waiting.popleft()
            if self._watched:
                self.note(QUEUE, len(self.waiting), now)
            self._start(following, now)
            return
        self.busy -= 1
        if self._watched:
            self.note(BUSY, self.busy, now)

    def _end(self, envelope: Envelope, now: float, status: int) -> None:
        if envelope.number:  # what it does for nobody, such as polling, is no part of a request
            times = (envelope.arrived, envelope.started, now)
            self._record(
                (envelope.number, envelope.span, envelope.parent, self.node, *times, status, envelope.attempt)
            )
            for request, cause in envelope.also:
                self.trace.causes.append((envelope.span, request, cause))

    def resume(self) -> None:
        """Idle workers take up what waits, after an outage."""
        now = self.env._now
        while self.waiting and self.busy < self.workers and not self.holding:
            self.busy += 1
            self.note(BUSY, self.busy, now)
            following = self.waiting.popleft()
            self.note(QUEUE, len(self.waiting), now)
            self._start(following, now)

    def crash(self) -> None:
        """Its memory, what it was doing and what waited is lost; what it has committed stays."""
        now = self.env._now
        self.life += 1
        for envelope in self._working.values():
            self._end(envelope, now, ERROR)
        self._working.clear()
        self.waiting.clear()
        self.busy = 0
        self.note(BUSY, 0, now)
        self.note(QUEUE, 0, now)
        for broker in self.sim.brokers:
            broker.lost(self)

    def restart(self) -> None:
        """It is back, with an empty memory: it is told so, and its brokers too."""
        self._wake()
        After(self.env, 0, self._started, self.life)
        for broker in self.sim.brokers:
            broker.back(self)

    def close(self) -> None:
        """Record what is still in work as open spans."""
        for envelope in self._working.values():
            self._end(envelope, math.nan, OPEN)

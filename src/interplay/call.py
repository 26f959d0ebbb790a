"""Requests and calls: what a user wants, and one attempt at getting it from a service."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import simpy
from simpy.events import PENDING, Event

from .after import After
from .trace import OK, OPEN, TIMEOUT

if TYPE_CHECKING:
    from .service import Service


Answer = Callable[[int, "Call"], None]


class Request:
    """One thing that a user wants. `number` counts from 1; `expires` is when the user leaves (s)."""

    __slots__ = ("cancelled", "expires", "number", "priority", "span", "stop")

    def __init__(self, number: int, expires: float = math.inf, priority: float = 0.0) -> None:
        self.number = number
        self.expires = expires
        self.priority = priority
        self.span = 0  # of the work in whose course calls are made; 0 is the user
        self.cancelled = False
        self.stop: Sequence[Callable[[], None]] = ()  # ends the calls that were made for it and are still out


class Call(Request):
    """One attempt, as the called service sees it. Its `span` is the parent of the calls that it makes."""

    arrived: float
    started: float  # nan if it was thrown away

    __slots__ = ("answer", "arrived", "attempt", "caller", "extra", "parent", "service", "started", "status")

    def __init__(
        self,
        number: int,
        parent: int,
        priority: float,
        caller: int,
        service: Service,
        attempt: int,
        expires: float,
        answer: Answer,
        extra: float = 0.0,
    ) -> None:
        self.number = number
        self.parent = parent
        self.priority = priority
        self.expires = expires
        self.span = 0
        self.cancelled = False
        self.stop = ()
        self.caller = caller
        self.service = service
        self.attempt = attempt
        self.extra = extra
        self.answer = answer
        self.status = OPEN  # until it is answered

    def stop_all(self) -> None:
        """End the calls that were made for it and are still out."""
        for stop in list(self.stop):
            stop()

    def reached(self, _: Any) -> None:
        """The call is there."""
        self.service.receive(self)

    def returned(self, _: Any) -> None:
        """The answer is there."""
        self.answer(self.status, self)


class Reply(NamedTuple):
    """What a call came to: "ok", "timeout", "error" or "rejected", after this many attempts."""

    status: str
    attempts: int

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class PendingReply(Event):
    """The caller's end of one attempt. The first answer counts, and `by` whom; what comes later is wasted.

    Whoever waits is resumed at once, within the event that brought the answer: that is the same instant, and
    saves an event of its own.
    """

    __slots__ = ("by", "copies")

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.callbacks = []
        self._ok = True
        self.by: Call | None = None
        self.copies = 1  # that are out, the hedges too

    def answer(self, status: int, by: Call) -> None:
        """What came of one of several copies: a bad answer counts only when no other copy is out."""
        self.copies -= 1
        if status == OK or self.copies == 0:
            self.settle(status, by)

    def settle(self, status: int, by: Call | None = None) -> None:
        """Give the answer, unless there is one already."""
        if self._value is PENDING:
            self._value = status
            self.by = by
            callbacks, self.callbacks = self.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(self)


class Expiry:
    """Times out the attempts of one client, which all have the same patience (s), with one timer.

    They expire in the order in which they were sent, and most are answered before, so the timer sleeps until
    the oldest unanswered one is due.
    """

    def __init__(self, env: simpy.Environment, patience: float) -> None:
        self.env = env
        self.patience = patience
        self._waiting: deque[tuple[float, PendingReply]] = deque()
        self._armed = False

    def watch(self, reply: PendingReply) -> None:
        """Settle this reply as timed out after the patience, unless it is answered before."""
        self._waiting.append((self.env.now + self.patience, reply))
        if not self._armed:
            self._armed = True
            After(self.env, self.patience, self._ring)

    def _ring(self, _: Event) -> None:
        now, waiting = self.env.now, self._waiting
        while waiting:
            due, reply = waiting[0]
            if reply._value is not PENDING:
                waiting.popleft()
            elif due <= now:
                waiting.popleft()
                reply.settle(TIMEOUT)
            else:
                After(self.env, due - now, self._ring)
                return
        self._armed = False

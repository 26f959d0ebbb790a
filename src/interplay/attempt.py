"""One attempt: choose a replica, send a copy, hedge when it is late, give up at the deadline, cancel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .after import After
from .arguments import number
from .call import Answer, Call, Expiry, PendingReply, Request
from .replicas import Replicas
from .service import Service
from .trace import CANCEL, HEDGE, OK, REQUEST, RETRY, TIMEOUT

if TYPE_CHECKING:
    from .simulation import Simulation


Done = Callable[[int, Request], None]


class Hedging(Protocol):
    """A second try after `after` seconds without an answer."""

    after: float

    def request(self, now: float) -> None: ...

    def allow(self, now: float) -> bool: ...


class Attempts:
    """Sends the attempts of one client; the client decides which there are. See Client for the arguments."""

    def __init__(
        self,
        sim: Simulation,
        service: Service | Replicas,
        caller: int,
        deadline: float | None,
        cancel: bool,
        hedge: Hedging | None,
        overhead: float,
        chance: Callable[[], float],
    ) -> None:
        self.env, self.caller, self._carry, self._chance = sim.env, caller, sim.network.send, chance
        self.replicas = service if isinstance(service, Replicas) else None
        self.service = service.services[0] if isinstance(service, Replicas) else service
        self.deadline = math.inf if deadline is None else number("deadline", deadline, above=0)
        self.cancel, self.hedge = cancel, hedge
        self.overhead = number("overhead", overhead, least=0)
        self.plain = hedge is None and self.replicas is None and not cancel
        self._expiry = None if deadline is None else Expiry(sim.env, self.deadline)

    def send(self, request: Request, attempt: int, leaves: float) -> PendingReply:
        """Send one attempt, for a caller who leaves at `leaves` (s); the returned event is its answer."""
        reply = PendingReply(self.env)
        patience = self.deadline
        if leaves < math.inf:
            patience = min(patience, leaves - self.env._now)
            if patience <= 0:
                reply.settle(TIMEOUT)
                return reply
        kind = REQUEST if attempt == 1 else RETRY
        answer = reply.settle if self.hedge is None else reply.answer
        first = self._copy(request, attempt, kind, patience, answer, None)
        if patience == self.deadline:
            if self._expiry is not None:
                self._expiry.watch(reply)
        else:
            After(self.env, patience, lambda _: reply.settle(TIMEOUT))
        if not self.plain:
            self._watch(request, first, patience, reply)
        return reply

    def once(self, number: int, priority: float, done: Done) -> None:
        """Send the only attempt of somebody who waits as long as it takes; then `done(status, request)`."""
        service = self.service
        call = Call(number, 0, priority, self.caller, service, 1, math.inf, done, self.overhead)
        self._carry(self.caller, service.node, REQUEST, call, call.reached)

    def _copy(
        self,
        request: Request,
        attempt: int,
        kind: int,
        patience: float,
        answer: Answer,
        but: Service | None,
    ) -> Call:
        now, service = self.env._now, self.service
        if self.replicas is not None:
            service = self.replicas.choose(now, self._chance, but)
        call = Call(
            request.number,
            request.span,
            request.priority,
            self.caller,
            service,
            attempt,
            now + patience,
            answer,
            self.overhead,
        )
        self._carry(self.caller, service.node, kind, call, call.reached)
        return call

    def _watch(self, request: Request, first: Call, patience: float, reply: PendingReply) -> None:
        """Hedge when the answer is late; once it is there, tell the replicas and cancel the losers."""
        calls, hedge = [first], self.hedge

        def late(_: Any) -> None:
            if not reply.triggered and hedge is not None and hedge.allow(self.env._now):
                left = patience - hedge.after
                reply.copies += 1
                calls.append(self._copy(request, first.attempt, HEDGE, left, reply.answer, first.service))

        def stop() -> None:
            reply.settle(TIMEOUT)

        def settled(_: Any) -> None:
            if self.replicas is not None:
                answered = reply.by or first
                self.replicas.record(answered.service, reply.value == OK, self.env._now)
            if self.cancel:
                request.stop = [other for other in request.stop if other is not stop]
                for call in calls:
                    if call is not reply.by:
                        self._cancel(call)

        if hedge is not None:
            hedge.request(self.env._now)
        if reply.callbacks is None:  # refused at once, over a network without delay
            settled(reply)
            return
        if hedge is not None and hedge.after < patience:
            After(self.env, hedge.after, late)
        if self.cancel:
            request.stop = [*request.stop, stop]
        reply.callbacks.append(settled)

    def _cancel(self, call: Call) -> None:
        service = call.service
        self._carry(self.caller, service.node, CANCEL, call, lambda _: service.cancel(call))

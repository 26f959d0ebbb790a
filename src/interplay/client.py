"""A client: calls a service, waits for the answer until a deadline, and retries by a policy."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from simpy.events import PENDING, Event, Timeout

from .arguments import number
from .retry import Retry
from .service import Service
from .trace import OK, REQUEST, RETRY, STATUSES, TIMEOUT, TOKENS

if TYPE_CHECKING:
    from .simulation import Simulation


class Request:
    """One thing that a user wants. `number` counts from 1; `span` is 0: nobody has worked on it yet."""

    __slots__ = ("number", "span")

    def __init__(self, number: int) -> None:
        self.number = number
        self.span = 0


class Call:
    """One attempt, as the called service sees it. `span` becomes the parent of the calls that it makes."""

    __slots__ = ("attempt", "caller", "number", "parent", "reply", "span")

    def __init__(self, number: int, parent: int, caller: int, attempt: int, reply: PendingReply) -> None:
        self.number = number
        self.parent = parent
        self.caller = caller
        self.attempt = attempt
        self.reply = reply
        self.span = 0


class Reply(NamedTuple):
    """What a call came to: "ok", "timeout", "error" or "rejected", after this many attempts."""

    status: str
    attempts: int

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class PendingReply(Event):
    """The caller's end of one attempt. It settles once; whatever comes later is wasted."""

    def settle(self, status: int) -> None:
        if self._value is PENDING:
            self.succeed(status)


class Client:
    """Calls `service`. Each attempt may take `deadline` seconds; `retry` decides what follows a failure."""

    def __init__(
        self,
        sim: Simulation,
        service: Service,
        caller: int,
        deadline: float | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.sim, self.env, self.service, self.caller = sim, sim.env, service, caller
        self.deadline = None if deadline is None else number("deadline", deadline, above=0)
        self.retry = retry if retry is not None else Retry(attempts=1)
        names = sim.trace.nodes
        self._u = sim.streams.generator(f"{names[caller].name} to {service.name} backoff").random

    def call(self, request: Request | Call) -> Generator[Event, Any, Reply]:
        """Call the service for this request: `reply = yield from client.call(request)`."""
        env, retry = self.env, self.retry
        budget = retry.budget
        attempt, wait = 1, 0.0
        if budget is not None:
            budget.request(env.now)
        while True:
            status = yield self._attempt(request, attempt)
            if budget is not None:
                budget.record(status == OK, env.now)
            again = status != OK and retry.wants(attempt, STATUSES[status]) and retry.allow(env.now)
            if budget is not None:
                self.sim.trace.states.append((env.now, self.caller, TOKENS, budget.tokens))
            if not again:
                return Reply(STATUSES[status], attempt)
            wait = retry.delay(attempt, env.now, self._u(), wait)
            if wait > 0:
                yield Timeout(env, wait)
            attempt += 1

    def _attempt(self, request: Request | Call, attempt: int) -> PendingReply:
        reply = PendingReply(self.env)
        call = Call(request.number, request.span, self.caller, attempt, reply)
        self.sim.network.send(
            self.caller,
            self.service.node,
            REQUEST if attempt == 1 else RETRY,
            attempt,
            request.number,
            lambda _: self.service.receive(call),
        )
        if self.deadline is not None:
            expiry = Timeout(self.env, self.deadline)
            expiry.callbacks.append(lambda _: reply.settle(TIMEOUT))
        return reply

"""A client: calls a service through whatever policies it was given, and waits for the answer.

The policies are asked in this order, outermost first: retries with their budget, rate limit, throttle,
bulkhead, breaker, load balancing, hedging, deadline. Each is optional and plain Python; see its own file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from simpy.events import Event, Timeout

from .after import After
from .arguments import number, refuse
from .call import Answer, Call, Expiry, PendingReply, Reply, Request
from .replicas import Replicas
from .retry import Retry
from .service import Service
from .trace import BREAKER, CANCEL, ERROR, HEDGE, OK, REJECTED, REQUEST, RETRY, STATUSES, TIMEOUT, TOKENS

if TYPE_CHECKING:
    from .simulation import Simulation

MOST_ATTEMPTS, MOST_AT_ONCE = 10_000, 100_000
BREAKER_STATES = {"closed": 0, "open": 1, "half-open": 2}


class Limit(Protocol):
    """A rate limit: may one more go out now?"""

    def allow(self, now: float) -> bool: ...


class Throttle(Protocol):
    """Rejects a share of the calls by itself; told whether each answer was an acceptance."""

    def allow(self, now: float, u: float) -> bool: ...

    def record(self, accepted: bool, now: float) -> None: ...


class Slots(Protocol):
    """A bulkhead, or an adaptive limit: so many at once."""

    def enter(self, now: float) -> bool: ...

    def leave(self, now: float, latency: float, ok: bool | None) -> None: ...


class Breaker(Protocol):
    """Opens after failures; `state` is one of BREAKER_STATES."""

    state: str

    def allow(self, now: float) -> bool: ...

    def record(self, ok: bool, now: float, sent: float | None = None) -> None: ...


class Hedging(Protocol):
    """A second try after `after` seconds without an answer."""

    after: float

    def request(self, now: float) -> None: ...

    def allow(self, now: float) -> bool: ...


class Client:
    """Calls a service, or one of several replicas of it.

    Each attempt may take `deadline` seconds, the whole call `total` seconds. With `propagate`, neither
    outlasts what the request itself has left. With `cancel`, a service is told when its caller has left.
    `overhead` is what two sidecars, or a proxy, add to each message (s).
    """

    def __init__(
        self,
        sim: Simulation,
        service: Service | Replicas,
        caller: int,
        *,
        deadline: float | None = None,
        total: float | None = None,
        propagate: bool = False,
        cancel: bool = False,
        retry: Retry | None = None,
        limit: Limit | None = None,
        throttle: Throttle | None = None,
        bulkhead: Slots | None = None,
        breaker: Breaker | None = None,
        hedge: Hedging | None = None,
        overhead: float = 0.0,
    ) -> None:
        self.sim, self.env, self.caller, self._carry = sim, sim.env, caller, sim.network.send
        self.replicas = service if isinstance(service, Replicas) else None
        self.service = service.services[0] if isinstance(service, Replicas) else service
        self.deadline = math.inf if deadline is None else number("deadline", deadline, above=0)
        self.total = math.inf if total is None else number("total", total, above=0)
        self.propagate, self.cancel = propagate, cancel
        self.retry = retry if retry is not None else Retry(attempts=1)
        self.limit, self.throttle, self.bulkhead, self.breaker = limit, throttle, bulkhead, breaker
        self.hedge = hedge
        self.overhead = number("overhead", overhead, least=0)
        self._guarded = any(guard is not None for guard in (limit, throttle, bulkhead, breaker))
        self._plain = hedge is None and self.replicas is None and not cancel
        self.once = not self._guarded and self.retry.attempts == 1 and self.retry.budget is None
        self._waits = deadline is not None or total is not None or propagate or not self._plain
        self._breaker_was = 0
        self._expiry = None if deadline is None else Expiry(sim.env, self.deadline)
        if self.retry.attempts > MOST_ATTEMPTS:
            refuse("attempts", self.retry.attempts, f"at most {MOST_ATTEMPTS}: more is as good as for ever")
        self._now, self._calls_now = -1.0, 0
        name = sim.source(f"{sim.trace.nodes[caller].name} to {self.service.name}")
        self._u = sim.streams.generator(f"{name} backoff").random
        self._chance = sim.streams.generator(f"{name} choice").random

    def begin(
        self, number: int, expires: float, priority: float, done: Callable[[int, Request], None]
    ) -> None:
        """Call `once`, and `done(status, request)` at the end: the short way for whom that is all."""
        if not self._waits:
            call = Call(number, 0, priority, self.caller, self.service, 1, math.inf, done, self.overhead)
            self._carry(self.caller, self.service.node, REQUEST, call, call.reached)
            return
        request = Request(number, expires, priority)
        leaves = self.env._now + self.total
        reply = self._attempt(request, 1, min(leaves, request.expires) if self.propagate else leaves)
        if reply.callbacks is None:
            done(reply._value, request)
        else:
            reply.callbacks.append(lambda event: done(event._value, request))

    def call(self, request: Request) -> Generator[Event, Any, Reply]:
        """Call the service for this request: `reply = yield from client.call(request)`."""
        env, retry, budget = self.env, self.retry, self.retry.budget
        attempt, wait = 1, 0.0
        self._count(env._now)
        leaves = env._now + self.total
        if self.propagate:
            leaves = min(leaves, request.expires)
        if budget is not None:
            budget.request(env._now)
        while True:
            if request.cancelled:
                return Reply(STATUSES[TIMEOUT], attempt - 1)
            if self._guarded and not self._admitted():
                status = REJECTED
            else:
                sent = env._now
                status = yield self._attempt(request, attempt, leaves)
                if self._guarded:
                    self._tell_guards(status, sent)
            if budget is not None:
                budget.record(status == OK, env._now)
            again = status != OK and retry.wants(attempt, STATUSES[status]) and not request.cancelled
            if again:
                wait = retry.delay(attempt, env._now, self._u(), wait)
                again = env._now + wait < leaves and retry.allow(env.now)
            if budget is not None and self.sim.trace.watched:
                self.sim.trace.states.append((env._now, self.caller, TOKENS, budget.tokens))
            if not again:
                return Reply(STATUSES[status], attempt)
            if wait > 0:
                yield Timeout(env, wait)
            attempt += 1

    def _count(self, now: float) -> None:
        """Time has to pass between calls, sooner or later."""
        if now > self._now:
            self._now, self._calls_now = now, 0
        self._calls_now += 1
        if self._calls_now > MOST_AT_ONCE:
            raise RuntimeError(
                f"{MOST_AT_ONCE} calls to {self.service.name} at {now:g} s, and no time passes: somebody "
                "calls again and again at once. Let them wait in between: yield Timeout(shop.env, 0.1)."
            )

    def _admitted(self) -> bool:
        """Ask the client's own guards, the outermost first."""
        now = self.env._now
        if self.limit is not None and not self.limit.allow(now):
            return False
        if self.throttle is not None and not self.throttle.allow(now, self._chance()):
            return False
        if self.bulkhead is not None and not self.bulkhead.enter(now):
            return False
        if self.breaker is None:
            return True
        allowed = self.breaker.allow(now)
        self._record_breaker()
        if not allowed and self.bulkhead is not None:
            self.bulkhead.leave(now, 0.0, None)
        return allowed

    def _tell_guards(self, status: int, sent: float) -> None:
        now = self.env._now
        if self.throttle is not None:
            self.throttle.record(status in (OK, ERROR), now)
        if self.bulkhead is not None:
            self.bulkhead.leave(now, now - sent, status == OK)
        if self.breaker is not None:
            self.breaker.record(status == OK, now, sent)
            self._record_breaker()

    def _record_breaker(self) -> None:
        assert self.breaker is not None
        state = BREAKER_STATES[self.breaker.state]
        if state != self._breaker_was and self.sim.trace.watched:
            self._breaker_was = state
            self.sim.trace.states.append((self.env._now, self.caller, BREAKER, state))

    def _attempt(self, request: Request, attempt: int, leaves: float) -> PendingReply:
        """Send one attempt, and whatever belongs to it; the returned event is its answer."""
        reply = PendingReply(self.env)
        patience = self.deadline
        if leaves < math.inf:
            patience = min(patience, leaves - self.env._now)
            if patience <= 0:
                reply.settle(TIMEOUT)
                return reply
        kind = REQUEST if attempt == 1 else RETRY
        answer = reply.settle if self.hedge is None else reply.answer
        first = self._send(request, attempt, kind, patience, answer, None)
        if patience == self.deadline:
            if self._expiry is not None:
                self._expiry.watch(reply)
        else:
            After(self.env, patience, lambda _: reply.settle(TIMEOUT))
        if not self._plain:
            self._watch(request, first, patience, reply)
        return reply

    def _send(
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
                calls.append(self._send(request, first.attempt, HEDGE, left, reply.answer, first.service))

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

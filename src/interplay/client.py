"""A client: calls a service through whatever policies it was given, and waits for the answer.

The policies are asked in this order, outermost first: retries with their budget (retry.py), rate limit,
throttle, bulkhead, breaker (guards.py), load balancing, hedging, deadline (attempt.py). Each is optional
and plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event, Timeout

from .arguments import number, refuse
from .attempt import Attempts, Done, Hedging
from .call import Reply, Request
from .guards import BREAKER_STATES, Breaker, Guards, Limit, Slots, Throttle
from .replicas import Replicas
from .retry import Retry
from .service import Service
from .trace import BREAKER, OK, REJECTED, STATUSES, TIMEOUT, TOKENS

if TYPE_CHECKING:
    from .simulation import Simulation

MOST_ATTEMPTS, MOST_AT_ONCE = 10_000, 100_000


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
        self.sim, self.env, self.caller = sim, sim.env, caller
        self.service = service.services[0] if isinstance(service, Replicas) else service
        name = sim.source(f"{sim.trace.nodes[caller].name} to {self.service.name}")
        self._u = sim.streams.generator(f"{name} backoff").random
        self._chance = sim.streams.generator(f"{name} choice").random
        self.attempts = Attempts(sim, service, caller, deadline, cancel, hedge, overhead, self._chance)
        self.total = math.inf if total is None else number("total", total, above=0)
        self.propagate, self.cancel, self.hedge = propagate, cancel, hedge
        self.retry = retry if retry is not None else Retry(attempts=1)
        if self.retry.attempts > MOST_ATTEMPTS:
            refuse("attempts", self.retry.attempts, f"at most {MOST_ATTEMPTS}: more is as good as for ever")
        self.guards = Guards(limit, throttle, bulkhead, breaker)
        self._guarded = bool(self.guards)
        self.once = not self._guarded and self.retry.attempts == 1 and self.retry.budget is None
        self._waits = deadline is not None or total is not None or propagate or not self.attempts.plain
        self._breaker_was = 0
        self._now, self._calls_now = -1.0, 0

    def begin(self, number: int, expires: float, priority: float, done: Done) -> None:
        """Call `once`, and `done(status, request)` at the end: the short way for whom that is all."""
        if not self._waits:
            self.attempts.once(number, priority, done)
            return
        request = Request(number, expires, priority)
        leaves = self.env._now + self.total
        reply = self.attempts.send(request, 1, min(leaves, expires) if self.propagate else leaves)
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
                status = yield self.attempts.send(request, attempt, leaves)
                if self._guarded:
                    self.guards.tell(status, sent, env._now)
                    self._record_breaker()
            if budget is not None:
                budget.record(status == OK, env._now)
            again = status != OK and retry.wants(attempt, STATUSES[status]) and not request.cancelled
            if again:
                wait = retry.delay(attempt, env._now, self._u(), wait)
                again = env._now + wait < leaves and retry.allow(env._now)
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
                f"{MOST_AT_ONCE} calls to {self.service.name} at {now:g} s, and no time passes: "
                "somebody calls again and again at once. Let them wait: yield Timeout(shop.env, 0.1)."
            )

    def _admitted(self) -> bool:
        u = self._chance() if self.guards.throttle is not None else 0.0
        admitted = self.guards.admit(self.env._now, u)
        self._record_breaker()
        return admitted

    def _record_breaker(self) -> None:
        if self.guards.breaker is None or not self.sim.trace.watched:
            return
        state = BREAKER_STATES[self.guards.breaker.state]
        if state != self._breaker_was:
            self._breaker_was = state
            self.sim.trace.states.append((self.env._now, self.caller, BREAKER, state))

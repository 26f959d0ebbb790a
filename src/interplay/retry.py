"""Retries: how many attempts, how long to wait between them, and when to stop for everybody's sake.

No object here owns a clock or a random generator: `now` (seconds) and `u` (a float in [0, 1)) come in as
arguments, so the same object serves a simulation, a unit test, and a client of a real server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .arguments import number, one_of, refuse, whole


class Backoff(Protocol):
    """How long to wait after the `attempt`-th attempt (1, 2, …) has failed."""

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float: ...


def _check(base: float, cap: float) -> None:
    number("base", base, above=0)
    number("cap", cap, least=base)


@dataclass(frozen=True)
class Fixed:
    """The same wait each time, `base` seconds. 0 retries at once."""

    base: float = 0.0

    def __post_init__(self) -> None:
        number("base", self.base, least=0)

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float:
        return self.base


@dataclass(frozen=True)
class ExponentialBackoff:
    """min(cap, base * 2**(attempt - 1)) seconds: doubling, without jitter."""

    base: float
    cap: float

    def __post_init__(self) -> None:
        _check(self.base, self.cap)

    def ceiling(self, attempt: int) -> float:
        """The longest wait after this attempt, in seconds."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float:
        return self.ceiling(attempt)


class FullJitter(ExponentialBackoff):
    """Anywhere between 0 and the exponential wait.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float:
        return u * self.ceiling(attempt)


class EqualJitter(ExponentialBackoff):
    """Half of the exponential wait, plus anything up to the other half. Source: as FullJitter."""

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float:
        return (0.5 + 0.5 * u) * self.ceiling(attempt)


class DecorrelatedJitter(ExponentialBackoff):
    """min(cap, anywhere between base and 3 * the previous wait). Source: as FullJitter."""

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float:
        longest = 3 * max(previous, self.base)
        return min(self.cap, self.base + u * (longest - self.base))


class Budget(Protocol):
    """A limit shared by a client's requests: told of each request and reply, asked before each retry."""

    def request(self, now: float) -> None: ...

    def record(self, ok: bool, now: float) -> None: ...

    def allow(self, now: float) -> bool: ...

    @property
    def tokens(self) -> float: ...


class RetryBudget:
    """At most `ratio` retries per request: each request pays in `ratio` tokens, each retry takes one.

    `floor` retries a second are allowed on top, for clients that send little; `burst` tokens can be saved up.
    A recovering server of rate mu then sees at most (1 + ratio) times the load lambda, plus the floor: it
    recovers when lambda * (1 + ratio) + floor < mu. Finagle's RetryBudget uses 20 % and a floor of 10/s.
    """

    def __init__(self, ratio: float = 0.2, *, floor: float = 0.0, burst: float = 10.0) -> None:
        self.ratio = number("ratio", ratio, least=0, most=10)
        self.floor = number("floor", floor, least=0)
        self.burst = number("burst", burst, least=1)
        self.tokens = float(burst)
        self._refilled = 0.0

    def request(self, now: float) -> None:
        self._refill(now)
        self.tokens = min(self.burst, self.tokens + self.ratio)

    def record(self, ok: bool, now: float) -> None:
        """Outcomes do not matter to this budget."""

    def allow(self, now: float) -> bool:
        self._refill(now)
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens = max(0.0, self.tokens - 1)
        return True

    def _refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + self.floor * max(0.0, now - self._refilled))
        self._refilled = now


class GrpcThrottle:
    """gRPC's retry throttling: a failure costs one token, a success gives `ratio` back.

    Retries are allowed while more than half of `maximum` tokens are left. With ratio 0.1 the bucket neither
    fills nor drains when 1 in 11 attempts fails. Source: gRFC A6, client retries.
    """

    def __init__(self, maximum: float = 10.0, ratio: float = 0.1) -> None:
        self.maximum = number("maximum", maximum, above=0, most=1000)
        self.ratio = number("ratio", ratio, above=0)
        self.tokens = float(maximum)

    def request(self, now: float) -> None:
        """A new request neither costs nor gives."""

    def record(self, ok: bool, now: float) -> None:
        if ok:
            self.tokens = min(self.maximum, self.tokens + self.ratio)
        else:
            self.tokens = max(0.0, self.tokens - 1)

    def allow(self, now: float) -> bool:
        return self.tokens > self.maximum / 2


STATUSES_WORTH_RETRYING = ("timeout", "error", "rejected")


class Retry:
    """Up to `attempts` attempts in all (4 attempts are 3 retries), `backoff` between them, within a `budget`.

    `on` lists the statuses that are retried. The default backoff is none: the next attempt follows at once.
    """

    def __init__(
        self,
        attempts: int,
        backoff: Backoff | None = None,
        budget: Budget | None = None,
        on: tuple[str, ...] = STATUSES_WORTH_RETRYING,
    ) -> None:
        self.attempts = whole("attempts", attempts, least=1)
        self.backoff = backoff if backoff is not None else Fixed(0.0)
        self.budget = budget
        if isinstance(on, str):
            refuse("on", on, "a tuple of statuses")
        self.on = tuple(one_of("on", status, STATUSES_WORTH_RETRYING) for status in on)

    def wants(self, attempt: int, status: str) -> bool:
        """Whether another attempt may follow the `attempt`-th, which ended like this (budget aside)."""
        return attempt < self.attempts and status in self.on

    def allow(self, now: float) -> bool:
        """Whether the budget has a retry left; takes it."""
        return self.budget is None or self.budget.allow(now)

    def delay(self, attempt: int, now: float, u: float, previous: float = 0.0) -> float:
        """Seconds to wait after the `attempt`-th attempt failed; `previous` is the wait before it."""
        return self.backoff.delay(attempt, now, u, previous)

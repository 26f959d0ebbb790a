"""A client's guards: what may stop an attempt before it is sent, asked from the outermost inwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .trace import ERROR, OK

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


@dataclass(frozen=True)
class Guards:
    """Rate limit, throttle, bulkhead, breaker: each optional, each plain Python in a file of its own."""

    limit: Limit | None = None
    throttle: Throttle | None = None
    bulkhead: Slots | None = None
    breaker: Breaker | None = None

    def __bool__(self) -> bool:
        return any(guard is not None for guard in (self.limit, self.throttle, self.bulkhead, self.breaker))

    def admit(self, now: float, u: float) -> bool:
        """Whether an attempt may go out at `now` (s); `u` in [0, 1) is the throttle's chance."""
        if self.limit is not None and not self.limit.allow(now):
            return False
        if self.throttle is not None and not self.throttle.allow(now, u):
            return False
        if self.bulkhead is not None and not self.bulkhead.enter(now):
            return False
        if self.breaker is None or self.breaker.allow(now):
            return True
        if self.bulkhead is not None:
            self.bulkhead.leave(now, 0.0, None)
        return False

    def tell(self, status: int, sent: float, now: float) -> None:
        """What came of an attempt that was admitted at `sent` and ended `now` (s)."""
        if self.throttle is not None:
            self.throttle.record(status in (OK, ERROR), now)
        if self.bulkhead is not None:
            self.bulkhead.leave(now, now - sent, status == OK)
        if self.breaker is not None:
            self.breaker.record(status == OK, now, sent)

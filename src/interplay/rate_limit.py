"""Rate limits: how many requests may pass in a time.

No object here owns a clock: `now` (seconds) comes in as an argument, and must not run backwards.
"""

from __future__ import annotations

import math

from .arguments import number, whole


class TokenBucket:
    """`rate` tokens a second drip into a bucket that holds `burst`; each request takes one, or is refused.

    In any t seconds at most burst + rate * t pass (theory.token_bucket_bound). The bucket starts full, and
    what drips into a full bucket is lost: without that cap, a quiet night would pay for a flood in the
    morning.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = number("rate", rate, least=0)
        self.burst = number("burst", burst, least=1)
        self.tokens = float(burst)
        self._filled = 0.0

    def allow(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens if they are there."""
        if self.wait(now, cost) > 0:
            return False
        self.tokens -= cost
        return True

    def wait(self, now: float, cost: float = 1.0) -> float:
        """Seconds until `cost` tokens are there, for a Retry-After; takes none."""
        number("cost", cost, above=0, most=self.burst)
        self.tokens = min(self.burst, self.tokens + self.rate * max(0.0, now - self._filled))
        self._filled = now
        missing = cost - self.tokens
        if missing <= 1e-9:
            return 0.0
        return missing / self.rate if self.rate > 0 else math.inf


class LeakyBucket:
    """A queue that leaks `rate` requests a second, evenly spaced; at most `depth` wait, the rest is refused.

    The leaky bucket as a queue: it smooths a burst by delaying it. (As a meter, without delay, it is the
    token bucket seen from the other side.)
    """

    def __init__(self, rate: float, depth: int) -> None:
        self.rate = number("rate", rate, above=0)
        self.depth = whole("depth", depth, least=0)
        self._free = -math.inf  # when the next one may leave

    def enter(self, now: float) -> float | None:
        """Seconds that this request waits before it goes on, or None: refused."""
        wait = max(0.0, self._free - now)
        if wait * self.rate > self.depth + 1e-9:
            return None
        self._free = now + wait + 1 / self.rate
        return wait

    def allow(self, now: float) -> bool:
        """Whether a request gets in, for callers that cannot delay it."""
        return self.enter(now) is not None


class FixedWindow:
    """At most `limit` requests in each `window` seconds by the clock: simple, and wrong at its edges.

    `limit` requests at the end of a window and `limit` at the start of the next pass within a moment: twice
    the rate. Here as the foil to TokenBucket.
    """

    def __init__(self, limit: int, window: float = 1.0) -> None:
        self.limit = whole("limit", limit, least=1)
        self.window = number("window", window, above=0)
        self._index = -1
        self._count = 0

    def allow(self, now: float) -> bool:
        index = math.floor(now / self.window)
        if index != self._index:
            self._index, self._count = index, 0
        self._count += 1
        return self._count <= self.limit

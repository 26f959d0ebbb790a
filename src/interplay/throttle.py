"""Limits that find their own level: a client that backs off from a refusing server, a server that learns how
much it can hold.

No object here owns a clock or a random generator: `now` (seconds) and `u` (a float in [0, 1)) come in as
arguments.
"""

from __future__ import annotations

import math
from collections import deque

from .arguments import number, whole

SLOTS = 60  # a window is counted in so many slots


class AdaptiveThrottle:
    """Client-side throttling: reject here a share of what the server would reject anyway.

    Of the last `window` seconds it counts its requests and how many the server accepted, and rejects with
    probability max(0, (requests - k * accepts) / (requests + 1)). So the server sees about k times what it
    accepts: a higher k tries more and wastes more (theory.adaptive_throttle_accepted).

    Source: Site Reliability Engineering (Google, 2016), chapter 21, "Client-Side Throttling".
    """

    def __init__(self, k: float = 2.0, window: float = 120.0) -> None:
        self.k = number("k", k, least=1)
        self.window = number("window", window, above=0)
        self.requests = self.accepts = 0
        self._slots: deque[list[int]] = deque()  # [index, requests, accepts]

    def allow(self, now: float, u: float) -> bool:
        """Whether to send this request. It counts either way: what is rejected here was wanted too."""
        sends = u >= self.reject_probability(now)
        self.requests += 1
        self._slots[-1][1] += 1
        return sends

    def record(self, accepted: bool, now: float) -> None:
        """The server accepted the request, or refused it. No answer at all counts as refused."""
        self._slide(now)
        self.accepts += accepted
        self._slots[-1][2] += accepted

    def reject_probability(self, now: float) -> float:
        """The share of requests that is rejected now."""
        self._slide(now)
        return max(0.0, (self.requests - self.k * self.accepts) / (self.requests + 1))

    def _slide(self, now: float) -> None:
        index = math.floor(now / self.window * SLOTS)
        if not self._slots or self._slots[-1][0] < index:
            self._slots.append([index, 0, 0])
        while self._slots[0][0] <= index - SLOTS:
            _, requests, accepts = self._slots.popleft()
            self.requests -= requests
            self.accepts -= accepts


class ConcurrencyLimit:
    """An adaptive limit on calls at once: one more after each good call, a tenth less after each bad one.

    Bad is an error, or a latency above `slow` seconds. The limit grows only while at least half of it is in
    use, and stays between 1 and `most`. Source: Netflix concurrency-limits, AIMDLimit (additive increase,
    multiplicative decrease), with its defaults: 10 at the start, 5 s, 0.9.
    """

    def __init__(self, initial: int = 10, *, slow: float = 5.0, ratio: float = 0.9, most: int = 1000) -> None:
        self.limit = whole("initial", initial, least=1)
        self.slow = number("slow", slow, above=0)
        self.ratio = number("ratio", ratio, least=0.5, most=0.999)
        self.most = whole("most", most, least=self.limit)
        self.inside = 0

    def enter(self, now: float) -> bool:
        """Take a slot, if the limit allows one more."""
        if self.inside >= self.limit:
            return False
        self.inside += 1
        return True

    def leave(self, now: float, latency: float, ok: bool | None) -> None:
        """Give the slot back, and learn from how the call went, or nothing when none was made (`ok` is None).

        Raises RuntimeError when nobody is inside.
        """
        if self.inside == 0:
            raise RuntimeError("leave() without enter(): a slot can only be given back once.")
        if ok is not None and (not ok or latency > self.slow):
            self.limit = max(1, min(self.limit - 1, int(self.limit * self.ratio)))
        elif ok and 2 * self.inside >= self.limit:
            self.limit = min(self.most, self.limit + 1)
        self.inside -= 1

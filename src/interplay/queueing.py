"""Queue disciplines: which of the waiting calls is served next, and which are not worth serving any more.

Each holds what waits. `put` adds a call at a time, `take` gives the next one to serve, or None, and
collects in `dropped` what it threw away. A call has `arrived` and `expires` (absolute seconds; infinity:
never) and a `priority` (the smaller, the sooner).
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

from .arguments import number


class Fifo:
    """First in, first out. With `drop_expired`, calls whose caller has left are thrown away unserved."""

    def __init__(self, *, drop_expired: bool = False) -> None:
        self.drop_expired = drop_expired
        self.dropped: list[Any] = []
        self.calls: Any = deque()  # what waits; empty is false

    def __len__(self) -> int:
        return len(self.calls)

    def put(self, call: Any, now: float) -> None:
        self.calls.append(call)

    def take(self, now: float) -> Any | None:
        while self.calls:
            call = self._next()
            if not (self.drop_expired and now >= call.expires):
                return call
            self.dropped.append(call)
        return None

    def _next(self) -> Any:
        return self.calls.popleft()

    def remove(self, call: Any) -> bool:
        """Take out a call that was cancelled; False if it is not here."""
        try:
            self.calls.remove(call)
        except ValueError:
            return False
        return True

    def clear(self) -> list[Any]:
        """Everything that waited, as after a crash."""
        calls = list(self.calls)
        self.calls.clear()
        return calls


class Lifo(Fifo):
    """Last in, first out: the newest caller is the likeliest to be still there; the oldest may starve."""

    def _next(self) -> Any:
        return self.calls.pop()


class AdaptiveLifo(Fifo):
    """First in, first out while at most `normal` calls wait; last in, first out above that.

    Source: Maurer, Fail at Scale, ACM Queue 13 (2015).
    """

    def __init__(self, normal: int, *, drop_expired: bool = False) -> None:
        super().__init__(drop_expired=drop_expired)
        self.normal = number("normal", normal, least=0)

    def _next(self) -> Any:
        return self.calls.pop() if len(self.calls) > self.normal else self.calls.popleft()


class ControlledDelay(Fifo):
    """Limits how long a call may have waited: `interval` seconds, or `target` while a queue stands.

    A queue stands when it has not been empty for `interval` seconds. This is Facebook's rule (target 5 ms,
    interval 100 ms), inspired by CoDel but not RFC 8289. Source: Maurer, Fail at Scale, ACM Queue 13 (2015).
    """

    def __init__(self, target: float = 0.005, interval: float = 0.1, *, drop_expired: bool = False) -> None:
        super().__init__(drop_expired=drop_expired)
        self.target = number("target", target, above=0)
        self.interval = number("interval", interval, least=target)
        self._last_empty = 0.0

    def put(self, call: Any, now: float) -> None:
        if not self.calls:
            self._last_empty = now
        super().put(call, now)

    def take(self, now: float) -> Any | None:
        while (call := super().take(now)) is not None:
            standing = now - self._last_empty > self.interval
            if not self.calls:
                self._last_empty = now
            if now - call.arrived <= (self.target if standing else self.interval):
                return call
            self.dropped.append(call)
        return None


class Priority(Fifo):
    """The smallest `priority` first, first in first out among equals. Under overload the rest starves."""

    def __init__(self, *, drop_expired: bool = False) -> None:
        super().__init__(drop_expired=drop_expired)
        self.calls: list[tuple[float, int, Any]] = []  # a heap
        self._count = 0

    def put(self, call: Any, now: float) -> None:
        self._count += 1
        heapq.heappush(self.calls, (call.priority, self._count, call))

    def _next(self) -> Any:
        return heapq.heappop(self.calls)[2]

    def remove(self, call: Any) -> bool:
        kept = [row for row in self.calls if row[2] is not call]
        found = len(kept) < len(self.calls)
        self.calls = kept
        heapq.heapify(self.calls)
        return found

    def clear(self) -> list[Any]:
        calls = [row[2] for row in sorted(self.calls)]
        self.calls.clear()
        return calls

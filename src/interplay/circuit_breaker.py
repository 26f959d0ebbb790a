"""A circuit breaker: stop calling a service that keeps failing, and try it again now and then.

It owns no clock: `now` (seconds) comes in as an argument. Ask `allow(now)` before each attempt, and tell how
the attempt ended with `record(ok, now)`.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from .arguments import number, refuse, whole

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"


class TripRule(Protocol):
    """When a closed breaker opens: told of each result, it says whether that is enough."""

    def trips(self, ok: bool, now: float) -> bool: ...

    def clear(self) -> None: ...


class ConsecutiveFailures:
    """Trips after `failures` failures in a row. One success starts the count again.

    Failing with probability p, it takes (1 - p**k) / ((1 - p) * p**k) calls on average: theory.calls_to_trip.
    """

    def __init__(self, failures: int = 5) -> None:
        self.failures = whole("failures", failures, least=1)
        self.count = 0

    def trips(self, ok: bool, now: float) -> bool:
        self.count = 0 if ok else self.count + 1
        return self.count >= self.failures

    def clear(self) -> None:
        self.count = 0


class FailureRate:
    """Trips when `rate` of the calls of the last `window` seconds failed, and there were `minimum` at least.

    Without the minimum, one failure in a quiet night would be a failure rate of 100 %. The defaults are those
    of Hystrix: 50 % of at least 20 calls in 10 s (wiki, "Configuration").
    """

    def __init__(self, rate: float = 0.5, *, window: float = 10.0, minimum: int = 20) -> None:
        self.rate = number("rate", rate, above=0, most=1)
        self.window = number("window", window, above=0)
        self.minimum = whole("minimum", minimum, least=1)
        self.clear()

    def trips(self, ok: bool, now: float) -> bool:
        self._calls.append((now, ok))
        self._failures += not ok
        while self._calls[0][0] <= now - self.window:
            self._failures -= not self._calls.popleft()[1]
        return len(self._calls) >= self.minimum and self._failures >= self.rate * len(self._calls)

    def clear(self) -> None:
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0


class CircuitBreaker:
    """Closed: calls pass. Open, for `open_for` seconds: none does. Half-open: `probes` calls do, as a test.

    `failures` in a row open it, or whatever rule is given: `CircuitBreaker(FailureRate(0.5))`. When all
    probes succeed it closes; when one fails it opens again. Rejected calls change nothing, and neither do
    answers to calls sent before the last change of state: a slow timeout from before is no verdict on the
    probe. Probes that never answer are replaced after another `open_for` seconds.

    Say `ok=False` only for what a sick service does (a timeout, an error, a rejection); a 404 is a good
    answer. The defaults: 5 failures as in Envoy's outlier detection, 5 s as in Hystrix.
    Source: M. Nygard, Release It! (2nd edition, 2018), chapter 5.
    """

    def __init__(self, failures: int | TripRule = 5, *, open_for: float = 5.0, probes: int = 1) -> None:
        if isinstance(failures, (int, float)):
            failures = ConsecutiveFailures(failures)
        elif not hasattr(failures, "trips"):
            refuse("failures", failures, "a whole number of at least 1, or a rule such as FailureRate(0.5)")
        self.rule = failures
        self.open_for = number("open_for", open_for, above=0)
        self.probes = whole("probes", probes, least=1)
        self.state = CLOSED
        self.since = 0.0  # when it last changed its state, in seconds
        self._sent = self._succeeded = 0  # probes

    def allow(self, now: float) -> bool:
        """Whether a call may be sent now. Each True is to be followed by one `record`."""
        if self.state == CLOSED:
            return True
        spent = self.state == OPEN or self._sent == self.probes
        if spent and now >= self.since + self.open_for:
            self._become(HALF_OPEN, now)
        if self.state == OPEN or self._sent == self.probes:
            return False
        self._sent += 1
        return True

    def record(self, ok: bool, now: float, sent: float | None = None) -> None:
        """A call ended like this. `sent`, in seconds, lets the breaker pass over what it is too late for."""
        if self.state == OPEN or (sent is not None and sent < self.since):
            return
        if self.state == CLOSED:
            if self.rule.trips(ok, now):
                self._become(OPEN, now)
        elif not ok:
            self._become(OPEN, now)
        else:
            self._succeeded += 1
            if self._succeeded == self.probes:
                self._become(CLOSED, now)

    def _become(self, state: str, now: float) -> None:
        self.state, self.since = state, now
        self._sent = self._succeeded = 0
        self.rule.clear()

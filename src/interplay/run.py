"""What a run came to: latency, goodput, attempts, and the same over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .arguments import number
from .trace import CALLS, OK, OPEN, STATUSES, Trace


class Latency:
    """Response times of the requests that ended well, in seconds. Percentiles are nearest-rank."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds = np.sort(np.asarray(seconds, float))

    def percentile(self, q: float) -> float:
        """The smallest time that `q` per cent of the requests did not exceed; nan if there were none."""
        number("q", q, above=0, most=100)
        n = len(self.seconds)
        return float(self.seconds[max(0, math.ceil(q / 100 * n - 1e-9) - 1)]) if n else math.nan

    @property
    def mean(self) -> float:
        return float(self.seconds.mean()) if len(self.seconds) else math.nan

    @property
    def p50(self) -> float:
        return self.percentile(50)

    @property
    def p99(self) -> float:
        return self.percentile(99)


@dataclass(frozen=True)
class Series:
    """Measures in windows of equal length. `time` is each window's middle (s); rates are per second."""

    time: np.ndarray
    offered: np.ndarray
    goodput: np.ndarray
    attempts: np.ndarray
    p99: np.ndarray


class Run:
    """The result of a simulation, with its whole trace."""

    def __init__(self, trace: Trace, seed: int) -> None:
        self.trace = trace
        self.seed = seed
        self.until = trace.until

    @cached_property
    def _status(self) -> list[int]:
        return [row[3] for row in self.trace.requests]

    @cached_property
    def latency(self) -> Latency:
        """Response times of the requests that ended well."""
        return Latency([row[2] - row[1] for row in self.trace.requests if row[3] == OK])

    @property
    def requests(self) -> int:
        """How many requests users began."""
        return len(self._status)

    @property
    def ok(self) -> int:
        """How many requests ended well."""
        return self._status.count(OK)

    @property
    def in_flight(self) -> int:
        """How many requests were still open at the end."""
        return self._status.count(OPEN)

    @property
    def failed(self) -> int:
        """How many requests ended badly."""
        return self.requests - self.ok - self.in_flight

    @property
    def statuses(self) -> dict[str, int]:
        """How many requests ended in each status."""
        return {name: self._status.count(i) for i, name in enumerate(STATUSES) if i in self._status}

    @property
    def offered(self) -> float:
        """Requests begun per second."""
        return self.requests / self.until

    @property
    def goodput(self) -> float:
        """Requests that ended well, per second."""
        return self.ok / self.until

    @property
    def attempts(self) -> int:
        """How many times any client sent a request to any service, retries included."""
        if not self.trace.watched:
            raise RuntimeError('Messages were not recorded: that takes Simulation(record="everything").')
        return sum(1 for m in self.trace.messages if m[4] in CALLS)

    def arrivals(self, service: str) -> int:
        """How many attempts reached this service."""
        node = self.trace.node(service)
        return sum(1 for span in self.trace.spans if span[3] == node)

    def series(self, window: float = 1.0) -> Series:
        """Offered load, goodput, attempts and the 99th percentile, in windows of `window` seconds."""
        number("window", window, above=0, most=self.until)
        n = max(1, math.ceil(self.until / window - 1e-9))
        edges = np.arange(n + 1) * window
        rows = self.trace.requests
        starts = np.array([r[1] for r in rows])
        good = [(r[2], r[2] - r[1]) for r in rows if r[3] == OK]
        ends = np.array([g[0] for g in good])
        took = np.array([g[1] for g in good])
        sent = np.array([m[0] for m in self.trace.messages if m[4] in CALLS])
        which = np.minimum((ends / window).astype(int), n - 1)
        p99 = np.array([Latency(list(took[which == i])).p99 for i in range(n)])

        def rate(times: np.ndarray) -> np.ndarray:
            return np.histogram(times, edges)[0] / window

        return Series(edges[:-1] + window / 2, rate(starts), rate(ends), rate(sent), p99)

    def queue_at(self, service: str, t: float) -> int:
        """How many requests wait at this service at time `t`."""
        times, values = self.trace.gauge(service, "queue")
        return int(values[int(np.searchsorted(times, t, side="right")) - 1])

    def __repr__(self) -> str:
        return (
            f"<Run of {self.until:g} s, seed {self.seed}: {self.requests} requests, {self.ok} ok, "
            f"{self.failed} failed, {self.in_flight} open; "
            f"p50 {self.latency.p50:.3g} s, p99 {self.latency.p99:.3g} s>"
        )

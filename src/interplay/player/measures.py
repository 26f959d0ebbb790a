"""A run in numbers, from the packed trace: rates and queues over time for the picture, totals, a comparison.

The page reads its own numbers off the trace (page/measure.js), over `sliding(until)` seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..trace import BROWSER, CALLS, GAUGES, OK, OPEN, QUEUE, REQUEST, Node, Trace

FINE = 4  # queues are sampled this many times a window


def _record(columns: str) -> np.dtype:
    """The numpy record of "name:type name:type ..." as the page gets it: little-endian, without gaps."""
    return np.dtype([(name, "<" + kind) for name, kind in (column.split(":") for column in columns.split())])


RECORDS = {table: _record(columns) for table, columns in BROWSER.items()}


@dataclass(frozen=True)
class Tables:
    """A trace as numpy tables (fields as in trace.py), with the bytes that go to the page."""

    nodes: list[Node]
    until: float
    packed: dict[str, bytes]
    messages: np.ndarray
    spans: np.ndarray
    requests: np.ndarray
    states: np.ndarray
    offsets: np.ndarray
    markers: list[tuple[float, str, int]]
    notes: list[tuple[float, int, int, str, bool, int]]
    groups: list[tuple[int, str]]

    @classmethod
    def of(cls, trace: Trace) -> Tables:
        """Pack a trace once, and read the packed bytes as tables."""
        packed = trace.packed()
        rows = {name: np.frombuffer(packed[name], record) for name, record in RECORDS.items()}
        told = {"markers": sorted(trace.markers), "notes": trace.notes, "groups": trace.groups}
        return cls(trace.nodes, trace.until, packed, **rows, **told)  # type: ignore[arg-type]

    def of_kind(self, *kinds: str) -> list[int]:
        """The numbers of the nodes of these kinds."""
        return [i for i, node in enumerate(self.nodes) if node.kind in kinds]

    @property
    def services(self) -> list[int]:
        """The numbers of the nodes that are services."""
        return self.of_kind("service")

    def gauge(self, node: int, gauge: int) -> tuple[np.ndarray, np.ndarray]:
        """The steps of one gauge of one node: times (s) and values, from time 0."""
        rows = self.states[(self.states["node"] == node) & (self.states["gauge"] == gauge)]
        first = 1.0 if GAUGES[gauge] == "up" else 0.0
        return np.concatenate([[0.0], rows["time"]]), np.concatenate([[first], rows["value"]])

    def at(self, node: int, gauge: int, times: np.ndarray) -> np.ndarray:
        """The gauge's value at each of `times`."""
        steps, values = self.gauge(node, gauge)
        return values[np.searchsorted(steps, times, side="right") - 1]


def window_of(until: float) -> float:
    """A round length (s) that cuts a run into some 40 to 100 windows."""
    rough = until / 80
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= rough * 0.999)


def sliding(until: float) -> float:
    """Over how many seconds, up to now, the page counts what it tells per second: one, if the run has ten."""
    return max(window_of(until), round(min(1.0, until / 10), 6))


@dataclass(frozen=True)
class Measures:
    """Windows of `window` seconds: `time` is each one's middle (s), rates are per second, p99 in seconds.

    `first` and `again` are first tries and retries (and hedges) that reach a service; `queue` is what waits
    at a service, a process or a queue, or is still to be read at a log, sampled FINE times in each window.
    """

    window: float
    time: np.ndarray
    offered: np.ndarray
    goodput: np.ndarray
    p99: np.ndarray
    first: dict[int, np.ndarray]
    again: dict[int, np.ndarray]
    queue: dict[int, np.ndarray]


def measure(tables: Tables, window: float | None = None) -> Measures:
    """Rates, percentiles and queues of a run, in windows (s) of a round length unless one is given."""
    window = window or window_of(tables.until)
    n = max(1, math.ceil(tables.until / window - 1e-9))
    edges = np.arange(n + 1) * window

    def rate(times: np.ndarray) -> np.ndarray:
        return np.histogram(times, edges)[0] / window

    requests, messages = tables.requests, tables.messages
    good = requests[requests["status"] == OK]
    calls = messages[np.isin(messages["kind"], CALLS)]
    fine = np.arange(n * FINE + 1) * window / FINE
    first, again, queue = {}, {}, {}
    for node in tables.services:
        here = calls[calls["target"] == node]
        first[node] = rate(here["arrives"][here["kind"] == REQUEST])
        again[node] = rate(here["arrives"][here["kind"] != REQUEST])
    for node in tables.of_kind("service", "process", "queue", "log"):
        queue[node] = tables.at(node, QUEUE, fine)
    return Measures(
        window, edges[:-1] + window / 2, rate(requests["start"]), rate(good["end"]),
        _p99(good, window, n), first, again, queue,
    )  # fmt: skip


def _p99(good: np.ndarray, window: float, n: int) -> np.ndarray:
    """The nearest-rank 99th percentile of what was answered in each window; nan where nothing was."""
    where = np.minimum((good["end"] / window).astype(int), n - 1)
    took = (good["end"] - good["start"])[np.lexsort((good["end"] - good["start"], where))]
    count = np.bincount(where, minlength=n) if len(good) else np.zeros(n, int)
    last = np.cumsum(count) - count + np.maximum(np.ceil(0.99 * count - 1e-9).astype(int) - 1, 0)
    return np.array([float(took[i]) if c else math.nan for i, c in zip(last, count, strict=True)])


def totals(tables: Tables) -> dict[str, float]:
    """Counts of a run: users who asked, were served, failed, still wait; attempts and retries."""
    status, kind = tables.requests["status"], tables.messages["kind"]
    asked, ok, waiting = len(status), int((status == OK).sum()), int((status == OPEN).sum())
    attempts = int(np.isin(kind, CALLS).sum())
    retries = attempts - int((kind == REQUEST).sum())
    return {
        "asked": asked, "ok": ok, "failed": asked - ok - waiting, "waiting": waiting,
        "attempts": attempts, "retries": retries,
    }  # fmt: skip


def difference(one: Tables, other: Tables) -> dict[str, int]:
    """Two runs with the same users, user by user: how many are served in only one of them."""
    served = [set(t.requests["request"][t.requests["status"] == OK].tolist()) for t in (one, other)]
    return {"only_one": len(served[0] - served[1]), "only_other": len(served[1] - served[0])}

"""What a run leaves behind: nodes, messages, spans, requests and states, as plain rows.

Figures, the player and the labs read only this. Times are simulated seconds; nodes are numbers, in the
order in which they were created.

=========  ==========================================================================================
nodes      Node(name, kind, workers); node 0 is the users' side
links      (source, target): who calls whom
messages   (sent, arrives, source, target, kind, attempt, request); a lost message arrives at infinity
spans      (request, span, parent, node, arrived, started, ended, status, attempt): one attempt
requests   (request, start, end, status, attempts): what a user saw; `end` is nan while it is open
states     (time, node, gauge, value): `value` holds until the next row of that node and gauge
markers    (time, label, node): what was done to the shop, in words; node -1 means the whole shop
=========  ==========================================================================================
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

MESSAGE_KINDS = ("request", "retry", "reply", "error", "rejected", "event", "compensation", "dead letter")
STATUSES = ("ok", "timeout", "error", "rejected", "open")
GAUGES = ("busy", "queue", "up", "breaker", "tokens")

REQUEST, RETRY, REPLY, ERROR_REPLY, REJECTION = range(5)
OK, TIMEOUT, ERROR, REJECTED, OPEN = range(5)
BUSY, QUEUE, UP, BREAKER, TOKENS = range(5)

MESSAGE = np.dtype(
    [
        ("sent", "<f4"),
        ("arrives", "<f4"),
        ("source", "u1"),
        ("target", "u1"),
        ("kind", "u1"),
        ("attempt", "u1"),
        ("request", "<u4"),
    ]
)
SPAN = np.dtype(
    [
        ("arrived", "<f4"),
        ("started", "<f4"),
        ("ended", "<f4"),
        ("request", "<u4"),
        ("span", "<u4"),
        ("parent", "<u4"),
        ("node", "u1"),
        ("status", "u1"),
        ("attempt", "<u2"),
    ]
)
USER_REQUEST = np.dtype(
    [
        ("start", "<f4"),
        ("end", "<f4"),
        ("request", "<u4"),
        ("status", "u1"),
        ("attempts", "u1"),
        ("unused", "<u2"),
    ]
)
STATE = np.dtype([("time", "<f4"), ("value", "<f4"), ("node", "u1"), ("gauge", "u1"), ("unused", "<u2")])


class Node(NamedTuple):
    """A part of the shop. `kind` is "users" or "service"; `workers` is None for users."""

    name: str
    kind: str
    workers: int | None


class Trace:
    """The record of one run; see this file's head for the rows."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.links: list[tuple[int, int]] = []
        self.messages: list[tuple[float, float, int, int, int, int, int]] = []
        self.spans: list[tuple[int, int, int, int, float, float, float, int, int]] = []
        self.requests: list[tuple[int, float, float, int, int]] = []
        self.states: list[tuple[float, int, int, float]] = []
        self.markers: list[tuple[float, str, int]] = []
        self.until = 0.0

    def node(self, name: str) -> int:
        """The number of the node with this name; KeyError names the ones there are."""
        for i, node in enumerate(self.nodes):
            if node.name == name:
                return i
        raise KeyError(f"There is no node {name!r}; there are {', '.join(n.name for n in self.nodes)}.")

    def in_flight(self, t: float) -> int:
        """How many messages are between two nodes at time `t` (lost ones do not count)."""
        return sum(1 for m in self.messages if m[0] <= t < m[1] < float("inf"))

    def gauge(self, node: str, gauge: str) -> tuple[list[float], list[float]]:
        """The steps of one gauge of one node: times in seconds, and the values from then on."""
        n, g = self.node(node), GAUGES.index(gauge)
        times, values = [0.0], [1.0 if g == UP else 0.0]
        for time, row_node, row_gauge, value in self.states:
            if row_node == n and row_gauge == g:
                times.append(time)
                values.append(value)
        return times, values

    def packed(self) -> dict[str, bytes]:
        """The rows as little-endian records: 16 bytes a message, 28 a span, 16 a request, 12 a state.

        Each table is sorted by its first time. Attempts above 255 are shown as 255.
        """
        return {
            "messages": _pack(MESSAGE, self.messages, (0, 1, 2, 3, 4, 5, 6), "sent"),
            "spans": _pack(SPAN, self.spans, (4, 5, 6, 0, 1, 2, 3, 7, 8), "arrived"),
            "requests": _pack(USER_REQUEST, self.requests, (1, 2, 0, 3, 4), "start"),
            "states": _pack(STATE, self.states, (0, 3, 1, 2), "time"),
        }

    def digest(self) -> str:
        """A short hash of the whole record: equal for equal runs."""
        rows = (self.nodes, self.links, self.messages, self.spans, self.requests, self.states, self.markers)
        return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def _pack(dtype: np.dtype, rows: list, columns: tuple[int, ...], order: str) -> bytes:
    packed = np.zeros(len(rows), dtype)
    if rows:
        table = list(zip(*rows, strict=True))
        for name, column in zip(dtype.names or (), columns, strict=False):
            values = np.asarray(table[column])
            field = dtype[name]
            if field.kind == "u":
                values = np.minimum(values, np.iinfo(field).max)
            packed[name] = values
        packed = packed[np.argsort(packed[order], kind="stable")]
    return packed.tobytes()

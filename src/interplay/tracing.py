"""Where a request's time went: the critical path through its spans."""

from __future__ import annotations

import math
from typing import NamedTuple

from .arguments import refuse
from .trace import CALLS, Trace


class Segment(NamedTuple):
    """A part of the critical path: at this node the request "waits", is "worked on", or is "between" nodes.

    "between" is the network, a wait before a retry, or the wait for an attempt that never came back.
    """

    node: str
    what: str
    start: float
    end: float


class _Span(NamedTuple):
    number: int
    parent: int
    node: str
    arrived: float
    started: float
    ended: float


def critical_path(trace: Trace, request: int) -> list[Segment]:
    """The chain of segments that decided when the user had an answer, without gaps from start to end.

    Read backwards from the answer: whoever ended last among the calls that were waited for held things up,
    and before it, the one before. Spans that ended after their caller had left are not on it. The lengths
    add up to the request's latency. ArgumentError for a request that is unknown or still open.
    """
    user = next((row for row in trace.requests if row[0] == request), None)
    if user is None or math.isnan(user[2]):
        refuse("request", request, "a request of this trace that has ended")
    children: dict[int, list[_Span]] = {}
    for number, span, parent, node, arrived, started, ended, _, _ in trace.spans:
        if number == request and not math.isnan(ended):
            name = trace.nodes[node].name
            begun = ended if math.isnan(started) else started
            children.setdefault(parent, []).append(_Span(span, parent, name, arrived, begun, ended))
    path: list[Segment] = []
    _walk(trace.nodes[0].name, "between", 0, user[1], user[2], children, path)
    path.reverse()
    return path


def _walk(
    node: str,
    what: str,
    span: int,
    start: float,
    end: float,
    children: dict[int, list[_Span]],
    path: list[Segment],
) -> None:
    """Add what happened at `span` between `start` and `end`, latest first."""
    cursor = end
    for child in sorted(children.get(span, ()), key=lambda c: c.ended, reverse=True):
        if child.ended > cursor or child.ended < start:
            continue  # nobody waited for it any more, or it lies on the path of another
        _add(path, node, what if cursor == end and span else "between", child.ended, cursor)
        _walk(child.node, "worked on", child.number, child.started, child.ended, children, path)
        _add(path, child.node, "waits", child.arrived, child.started)
        cursor = child.arrived
    first = what if span else "between"
    _add(path, node, first, start, cursor)


def _add(path: list[Segment], node: str, what: str, start: float, end: float) -> None:
    if end > start:
        path.append(Segment(node, what, start, end))


def hop_count(trace: Trace, request: int) -> int:
    """How many calls were sent for this request, retries and hedges included."""
    return sum(1 for message in trace.messages if message[6] == request and message[4] in CALLS)

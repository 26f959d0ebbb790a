"""Rate, errors, duration: what a dashboard shows of each service, counted from its spans.

Averages of all that happened: they say that something is slow, and not which request, nor why. For that
there are traces. Source: T. Wilkie, The RED Method (2015).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from .arguments import number
from .run import Latency, Run
from .trace import OK, OPEN


class Red(NamedTuple):
    """Of one service: spans that ended a second, the share of errors, and how long it worked on them (s)."""

    rate: float
    errors: float
    duration: Latency


def red(
    run: Run, *, start: float = 0.0, end: float = math.inf, of: Collection[int] | None = None
) -> dict[str, Red]:
    """The RED metrics of each node that worked, from the spans that ended from `start` up to `end` (s).

    A span's duration runs from when the service began to work on it, without the time in its line before
    (0 for what it refused): that of OpenTelemetry's span metrics connector, a span's end less its start.
    `of` counts the spans of these requests only, as one does who has nothing but sampled traces.
    """
    number("start", start, least=0)
    end = min(run.until, number("end", end, above=start))
    took: dict[str, list[float]] = {}
    bad: dict[str, int] = {}
    for request, _, _, node, _, started, ended, status, _ in run.trace.spans:
        if status == OPEN or not start <= ended < end or not (of is None or request in of):
            continue
        name = run.trace.nodes[node].name
        took.setdefault(name, []).append(0.0 if math.isnan(started) else ended - started)
        bad[name] = bad.get(name, 0) + (status != OK)
    return {
        name: Red(len(seconds) / (end - start), bad[name] / len(seconds), Latency(seconds))
        for name, seconds in took.items()
    }

"""Deadlines: the one moment after which nobody waits for the answer, handed down the chain of calls.

`expires` and `now` are moments on this machine's clock, in seconds; everything else is a length of time. On
the wire goes what is left, in whole milliseconds, never the moment: another machine's clock shows another
time. gRPC's grpc-timeout header does the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .arguments import number, refuse


def remaining(expires: float, now: float) -> float:
    """Seconds that are left, never below 0."""
    return max(0.0, expires - now)


def expired(expires: float, now: float) -> bool:
    """Whether the caller has left."""
    return now >= expires


def child_deadline(expires: float, now: float, own: float = math.inf, reserve: float = 0.0) -> float:
    """When a call made now expires: in `own` seconds, and `reserve` seconds before the caller's deadline.

    The reserve is for what is still to be done with the answer. Not later than the caller's deadline,
    whatever `own` is: the timeout does not start again at each hop. Not before `now`: then there is no time
    for the call.
    """
    number("own", own, least=0)
    number("reserve", reserve, least=0)
    return max(now, min(now + own, expires - reserve))


def to_wire(expires: float, now: float) -> int:
    """What is left, in whole milliseconds, rounded down. 0: do not even send."""
    left = remaining(expires, now)
    if left == math.inf:
        refuse("expires", expires, "a finite time: leave the header out when there is no deadline")
    return math.floor(left * 1000 + 1e-6)


def from_wire(milliseconds: int, now: float) -> float:
    """When a request that arrived now expires, by this machine's clock. The way here is not counted."""
    return now + number("milliseconds", milliseconds, least=0) / 1000


def split(left: float, weights: Sequence[float], reserve: float = 0.0) -> list[float]:
    """Share out `left` seconds, less `reserve`, over hops one after the other, in proportion to `weights`.

    Weights are for instance the hops' p99 latencies: shares that are longer than those will do, shorter ones
    will not. All 0 when nothing is left.
    """
    number("reserve", reserve, least=0)
    if not weights or min(weights) < 0 or sum(weights) == 0:
        refuse("weights", weights, "numbers of at least 0, one of them above 0")
    whole = max(0.0, left - reserve)
    return [whole * weight / sum(weights) for weight in weights]

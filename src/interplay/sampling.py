"""Which traces are kept: a share of them, drawn at their beginning, or those worth it, chosen at their end.

Head sampling costs nothing for what is not kept, and knows nothing yet: it misses what is rare. Tail sampling
sees the whole trace, and must hold every span until it has decided.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

from .arguments import number, whole
from .run import Run
from .trace import OK, OPEN
from .trace_context import Context, trace_id

DIGITS = 13  # as many as a float holds


def luck(trace: str) -> float:
    """A number in [0, 1) that everybody who knows this trace's id agrees on: its last digits.

    Source: W3C Trace Context, level 2, where these are the random ones.
    """
    return int(trace[-DIGITS:], 16) / 16**DIGITS


class HeadSampler:
    """Keeps a `share` of all traces. The first service decides, and the others do as it did.

    They need not ask: the decision comes along in the context, and from the same id follows the same.
    """

    def __init__(self, share: float) -> None:
        self.share = number("share", share, least=0, most=1)

    def keeps(self, trace: str, parent: Context | None = None) -> bool:
        """Whether to keep this trace; `parent` is the context that it came with, if any."""
        return parent.sampled if parent is not None else luck(trace) < self.share


class Decision(NamedTuple):
    """What became of a trace: kept or not, and why: "error", "slow", "share" or "dropped"."""

    trace: str
    kept: bool
    why: str


class _Held:
    def __init__(self, due: float) -> None:
        self.due, self.spans, self.error, self.seconds = due, 0, False, 0.0


class TailSampler:
    """Decides `wait` seconds after a trace's first span has come in, when most of the others have, too.

    Kept are all traces with an error, all with a span of `slow` seconds or more, and a `share` of the rest.
    At most `room` traces are held: when there are more, the oldest is decided on at once.

    A clock it has none: it is told the time `now` (s). Spans that come after the decision do not change it:
    `counts` has them as "late", the traces by their fate ("error", "slow", "share", "dropped"), and as
    "early" those decided on for want of room.
    """

    def __init__(
        self, *, wait: float, slow: float = math.inf, share: float = 0.0, room: float = math.inf
    ) -> None:
        self.wait = number("wait", wait, least=0)
        self.slow = number("slow", slow, above=0)
        self.rest = HeadSampler(share)
        self.room = room if room == math.inf else whole("room", room, least=1)
        self.counts: Counter[str] = Counter()
        self.decided: dict[str, Decision] = {}
        self._held: dict[str, _Held] = {}  # the oldest first

    @property
    def held(self) -> int:
        """Spans in memory now."""
        return sum(held.spans for held in self._held.values())

    def record(self, trace: str, seconds: float, now: float, *, error: bool = False) -> list[Decision]:
        """A span of this trace has ended, and took so many seconds; the decisions that are due by now."""
        decisions = self.advance(now)
        if trace in self.decided:
            self.counts["late"] += 1
            return decisions
        held = self._held.setdefault(trace, _Held(now + self.wait))
        held.spans += 1
        held.error = held.error or error
        held.seconds = max(held.seconds, seconds)
        if len(self._held) > self.room:
            self.counts["early"] += 1
            decisions.append(self._decide(next(iter(self._held))))
        return decisions

    def advance(self, now: float) -> list[Decision]:
        """The decisions that are due by now, in the order in which the traces began."""
        due = []
        for trace, held in self._held.items():
            if held.due > now:
                break
            due.append(trace)
        return [self._decide(trace) for trace in due]

    def _decide(self, trace: str) -> Decision:
        held = self._held.pop(trace)
        why = "error" if held.error else "slow" if held.seconds >= self.slow else "share"
        kept = why != "share" or self.rest.keeps(trace)
        decision = self.decided[trace] = Decision(trace, kept, why if kept else "dropped")
        self.counts[decision.why] += 1
        return decision


def head_sample(run: Run, sampler: HeadSampler) -> set[int]:
    """The requests of a run that a head sampler keeps."""
    return {row[0] for row in run.trace.requests if sampler.keeps(trace_id(row[0], run.seed))}


def tail_sample(run: Run, sampler: TailSampler) -> set[int]:
    """The requests of a run that a tail sampler keeps, when each span is handed to it as it ends.

    What the user saw is a span, too. What is still open at the end of the run is not handed over.
    """
    ended = [(row[6], row[6] - row[4], row[7], row[0]) for row in run.trace.spans if row[7] != OPEN]
    ended += [(row[2], row[2] - row[1], row[3], row[0]) for row in run.trace.requests if row[3] != OPEN]
    for end, seconds, status, request in sorted(ended):
        sampler.record(trace_id(request, run.seed), seconds, end, error=status != OK)
    sampler.advance(math.inf)
    kept = {decision.trace for decision in sampler.decided.values() if decision.kept}
    return {row[0] for row in run.trace.requests if trace_id(row[0], run.seed) in kept}

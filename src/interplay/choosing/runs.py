"""The run behind each rule: the recommended pattern beside the runner-up, on the same seeds.

`contrast` says by how much the first choice is better in the measure that decides, with an interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..experiment import Interval, interval
from .costs import play
from .rules import RULES

RULE = {rule.name: rule for rule in RULES}


class Evidence(NamedTuple):
    """An interaction for which a rule holds, what breaks (FAULTS), and the measure (of Costs) that decides.

    `better` is "more" or "less"; by at least `margin` the first choice is better than the runner-up. `knobs`
    are those of both shops (a `headroom` below 1 is a peak that nobody has planned for).
    """

    interaction: Mapping[str, Any]
    fault: str
    measure: str
    better: str
    margin: float
    knobs: Mapping[str, float] | None = None


RUNS = {
    "one transaction": Evidence({"changes": 3, "teams": 1, "rate": 30}, "none", "p50", "less", 0.02),
    "several databases": Evidence({"changes": 3, "rate": 60}, "none", "ok", "more", 0.3),
    "history": Evidence({"changes": 1, "audit": True}, "none", "told", "more", 0.7),
    "in one process": Evidence({"teams": 1, "rate": 50}, "none", "p50", "less", 0.005),
    "in the same commit": Evidence(
        {"answer": "never", "changes": 1, "teams": 1, "listeners": 2}, "none", "behind", "less", 0.02
    ),
    "large": Evidence(
        {"answer": "never", "listeners": 2, "payload": 3000, "rate": 12}, "none", "behind", "less", 0.2
    ),
    "long work": Evidence({"answer": "soon", "changes": 1}, "none", "ok", "more", 0.3, {"headroom": 0.7}),
    "ask one": Evidence({}, "none", "p50", "less", 0.05),
    "ask several": Evidence({"listeners": 4}, "none", "p50", "less", 0.02),
    "read a copy": Evidence({"may_fail": False, "stale": 5.0}, "down", "ok", "more", 0.1),
    "read the truth": Evidence({"may_fail": False}, "bad", "ok", "more", 0.2),
    "take it on": Evidence({"changes": 1, "may_fail": False}, "down", "done", "more", 0.1),
    "change, and tell": Evidence({"changes": 1, "listeners": 3}, "down", "ok", "more", 0.1),
    "a job": Evidence({"answer": "never"}, "down", "done", "more", 0.1),
    "in order": Evidence(
        {"answer": "never", "order": "by key", "rate": 60}, "none", "disorder", "less", 0.05
    ),
    "tell several": Evidence({"answer": "never", "listeners": 3}, "none", "lost", "less", 0.9),
    "tell what changed": Evidence(
        {"answer": "never", "changes": 1, "listeners": 2}, "killed", "lost", "less", 0.005
    ),
}  # fmt: skip


class Contrast(NamedTuple):
    """The measure for the first choice and for the runner-up, and by how much the first is better."""

    first: Interval
    runner_up: Interval
    better_by: Interval
    margin: float

    @property
    def shown(self) -> bool:
        """Whether the whole interval is beyond the margin."""
        return self.better_by.low > self.margin


def contrast(name: str, seeds: Iterable[int] = range(1, 6), **how: Any) -> Contrast:
    """Play the two choices of a rule on the same seeds. `how` goes to the shop of the first choice."""
    rule, evidence = RULE[name], RUNS[name]
    sign = 1 if evidence.better == "more" else -1
    rows = []
    for seed in seeds:
        both: dict[str, Any] = {"fault": evidence.fault, "seed": seed, "knobs": evidence.knobs}
        one = play(rule.pattern, evidence.interaction, **{**both, **how})
        other = play(rule.runner_up, evidence.interaction, **both)
        rows.append((getattr(one, evidence.measure), getattr(other, evidence.measure)))
    ones, others = zip(*rows, strict=True)
    better = [sign * (a - b) for a, b in rows]
    return Contrast(interval(ones), interval(others), interval(better), evidence.margin)

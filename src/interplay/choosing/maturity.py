"""How far an organisation has come: five levels in six dimensions, and the next milestone.

The levels and their two axes (ad hoc to optimised, reactive to predictive) are those of the course's outline;
the dimensions and their statements are ours. A level is what you do always and can show, and it stands on the
one below: who predicts, but has no standard, is at level 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..arguments import one_of, refuse, whole


class Level(NamedTuple):
    """A level's name, and how such an organisation meets trouble."""

    name: str
    stance: str


LEVELS = {
    1: Level("ad hoc", "reactive"),
    2: Level("repeated", "reactive"),
    3: Level("standardised", "proactive"),
    4: Level("measured", "proactive"),
    5: Level("optimised", "predictive"),
}

DIMENSIONS: dict[str, tuple[str, str, str, str]] = {
    "choice": (
        "Somebody can say of each interaction which pattern it has.",
        "There is a written decision table, and new interactions follow it.",
        "Each choice names the numbers that it must reach, and they are measured.",
        "Choices are tried in a simulation or an experiment before they are built.",
    ),
    "failure": (
        "Every call has a deadline.",
        "Retries with budget and jitter, and breakers, are set in one place for all.",
        "Service levels and error budgets are measured, and decide what comes next.",
        "Faults are put in on purpose, regularly, before they come by themselves.",
    ),
    "data": (
        "Every effect that matters bears to come twice.",
        "News leaves by an outbox, and transactions over services are sagas.",
        "Lost, doubled and late effects are counted.",
        "Crash points are searched before a release.",
    ),
    "sight": (
        "Logs carry the request's number through all services.",
        "All calls and messages are traced in one standard form.",
        "Alerts follow what users notice (burn rate).",
        "Trends raise a hand before users notice.",
    ),
    "change": (
        "A release can be taken back within an hour.",
        "Contracts are tested, and each release is made the same way.",
        "Releases go out by share (canary), and numbers stop them.",
        "Load and capacity are forecast, and the forecast is checked.",
    ),
    "people": (
        "Each service has a team that answers for it.",
        "There is a course or a guide, and reviews use it.",
        "What an incident taught is written down and checked a quarter later.",
        "Teams improve the standard, and can show by how much.",
    ),
}
"""By dimension: what must be true for level 2, 3, 4 and 5. What others stand on comes first."""

Organisation = Mapping[str, Sequence[bool]]


def level(dimension: str, answers: Sequence[bool]) -> int:
    """The level of one dimension: 1, and one more for each true statement, up to the first that is not."""
    one_of("dimension", dimension, tuple(DIMENSIONS))
    if len(answers) != 4 or not all(isinstance(answer, bool) for answer in answers):
        refuse(dimension, answers, "four times True or False, for the levels 2 to 5")
    return 1 + [*answers, False].index(False)


def levels(organisation: Organisation) -> dict[str, int]:
    """The level of each dimension, for {"choice": [True, False, False, False], ...}."""
    missing = [name for name in DIMENSIONS if name not in organisation]
    if missing:
        refuse(
            "organisation",
            sorted(organisation),
            "the answers of all dimensions; missing: " + ", ".join(missing),
        )
    return {name: level(name, organisation[name]) for name in DIMENSIONS}


def overall(organisation: Organisation) -> int:
    """The level of the whole: that of its weakest dimension, for a chain breaks there."""
    return min(levels(organisation).values())


class Milestone(NamedTuple):
    """A step: in this dimension to this level, which is reached when the statement is true."""

    dimension: str
    level: int
    statement: str


def plan(organisation: Organisation, target: int = 3) -> list[Milestone]:
    """The steps until all dimensions are at `target`: always in the weakest one, the first of equals."""
    whole("target", target, least=1)
    one_of("target", target, tuple(LEVELS))
    now, steps = levels(organisation), []
    while min(now.values()) < target:
        weakest = min(now, key=lambda name: now[name])
        now[weakest] += 1
        steps.append(Milestone(weakest, now[weakest], DIMENSIONS[weakest][now[weakest] - 2]))
    return steps


def next_milestone(organisation: Organisation) -> Milestone | None:
    """The first step of the plan to the next level; None for who is at level 5 in everything."""
    return next(iter(plan(organisation, min(overall(organisation) + 1, 5))), None)

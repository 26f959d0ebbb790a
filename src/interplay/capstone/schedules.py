"""Fault schedules for the whole shop, as plain data: the same number gives the same schedule.

    {"seed": 7, "faults": [{"kind": "slow", "service": "payments", "start": 4.1, "end": 8.6, "factor": 10.0}],
     "spikes": [{"start": 3.0, "end": 6.0, "rate": 12.0}], "poison": [7.2], "points": {"131": "crash"}}

`faults` are those of `Simulation.faults`, `spikes` are more orders a second, `poison` are moments at which a
message comes that nobody can read, and `points` are places between two actions of a process (see points.py).
Where a schedule has a "crowd", so many come: {"pages": 5.0, "orders": 1.0, "busy": 15.0, "until": 45.0}, a
second, until `busy`; then all is whole again, and what is under way can end, `until` (s).
"""

from __future__ import annotations

import random
from typing import Any

CROWD = {"pages": 5.0, "orders": 1.0, "busy": 15.0, "until": 45.0}
SMALL = {"pages": 0.0, "orders": 0.5, "busy": 8.0, "until": 30.0}  # for a saga or a consumer alone
STEPS = ("orders", "inventory", "payments", "shipping", "notifications", "analytics")
LINKS = (("gateway", "orders"), ("gateway", "inventory"), ("orders", "payments"), ("orders", "inventory"))
KINDS = ("slow dependency", "crash", "partition", "poison message", "load spike", "duplicate delivery")
Schedule = dict[str, Any]


def schedule(number: int, *, seed: int = 0, small: bool = False) -> Schedule:
    """Schedule `number` of the series `seed`: two to four faults of different kinds.

    A `small` one is for a saga or a consumer alone: fewer orders, no pages, and points that fit.
    """
    luck = random.Random(f"{seed} {number}")
    made: Schedule = {
        "seed": luck.randrange(10**6), "faults": [], "spikes": [], "poison": [], "points": {}
    }  # fmt: skip
    latest, points, rates = (4.0, 120, [2.0, 4.0, 6.0]) if small else (10.0, 500, [6.0, 12.0, 18.0])
    for kind in luck.sample(KINDS, luck.randint(2, 4)):
        start = round(luck.uniform(1, latest), 2)
        end = round(start + luck.uniform(1, 4), 2)
        if kind == "slow dependency":
            slow = {"service": luck.choice(STEPS[1:4]), "factor": luck.choice([5.0, 10.0, 20.0])}
            made["faults"].append({"kind": "slow", **slow, "start": start, "end": end})
        elif kind == "crash":
            made["faults"].append(
                {"kind": "crash", "service": luck.choice(STEPS), "start": start, "end": end}
            )
            made["points"] |= {str(luck.randrange(points)): "crash" for _ in range(luck.randint(1, 3))}
        elif kind == "partition":
            made["faults"].append({"between": luck.choice(LINKS), "start": start, "end": end})
        elif kind == "poison message":
            made["poison"] = sorted(round(luck.uniform(1, latest + 4), 2) for _ in range(luck.randint(1, 2)))
        elif kind == "load spike":
            made["spikes"].append({"start": start, "end": end, "rate": luck.choice(rates)})
        else:
            twice = {str(luck.randrange(points)): "twice" for _ in range(luck.randint(3, 12))}
            made["points"] |= twice | {str(luck.randrange(points)): "lose" for _ in range(2)}
    return made | ({"crowd": dict(SMALL)} if small else {})


def schedules(count: int, *, seed: int = 0, small: bool = False) -> list[Schedule]:
    """The first `count` schedules of the series `seed`."""
    return [schedule(number, seed=seed, small=small) for number in range(count)]


def words(schedule: Schedule) -> list[str]:
    """A schedule in words, a sentence each, in the order of time; the points come last."""
    said = [(fault["start"], _fault(fault)) for fault in schedule["faults"]]
    for spike in schedule["spikes"]:
        more = f"{spike['rate']:g} more orders a second come"
        said.append((spike["start"], f"{_span(spike)} {more}"))
    for moment in schedule["poison"]:
        said.append((moment, f"at {moment:g} s a message comes to notifications that nobody can read"))
    told = [text for _, text in sorted(said)]
    for kind, what in POINTS.items():
        at = sorted(int(point) for point, fault in schedule["points"].items() if fault == kind)
        if at:
            told.append(f"at point{'s' * (len(at) > 1)} {', '.join(map(str, at))} {what}")
    return told


POINTS = {
    "crash": "the process that acts there crashes, for a second",
    "lose": "what is sent is lost",
    "twice": "what is sent comes twice",
    "late": "what is sent comes late",
}


def _span(fault: dict[str, Any]) -> str:
    return f"from {fault['start']:g} to {fault['end']:g} s"


def _fault(fault: dict[str, Any]) -> str:
    if "between" in fault:
        return f"{_span(fault)} nothing passes between {' and '.join(fault['between'])}"
    if fault["kind"] == "slow":
        return f"{_span(fault)} {fault['service']} takes {fault['factor']:g} times as long"
    return f"{_span(fault)} {fault['service']} is down"

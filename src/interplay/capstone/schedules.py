"""Fault schedules for the whole shop, as plain data: the same number gives the same schedule.

    {"seed": 7, "faults": [{"kind": "slow", "service": "payments", "start": 4.1, "end": 8.6, "factor": 10.0}],
     "spikes": [{"start": 3.0, "end": 6.0, "rate": 12.0}], "poison": [7.2], "points": {"131": "crash"}}

`faults` are those of `Simulation.faults`, `spikes` are more orders a second, `poison` are moments at which a
message comes that nobody can read, and `points` are places between two actions of a process (see points.py).
"""

from __future__ import annotations

import random
from typing import Any

BUSY, CALM = 15.0, 30.0  # s: customers come; then all is whole again, and what is under way can end
STEPS = ("orders", "inventory", "payments", "shipping", "notifications", "analytics")
LINKS = (("gateway", "orders"), ("gateway", "inventory"), ("orders", "payments"), ("orders", "inventory"))
KINDS = ("slow dependency", "crash", "partition", "poison message", "load spike", "duplicate delivery")
Schedule = dict[str, Any]


def schedule(number: int, *, seed: int = 0) -> Schedule:
    """Schedule `number` of the series `seed`: two to four faults of different kinds."""
    luck = random.Random(f"{seed} {number}")
    made: Schedule = {
        "seed": luck.randrange(10**6), "faults": [], "spikes": [], "poison": [], "points": {}
    }  # fmt: skip
    for kind in luck.sample(KINDS, luck.randint(2, 4)):
        start = round(luck.uniform(1, 10), 2)
        end = round(start + luck.uniform(1, 4), 2)
        if kind == "slow dependency":
            slow = {"service": luck.choice(STEPS[1:4]), "factor": luck.choice([5.0, 10.0, 20.0])}
            made["faults"].append({"kind": "slow", **slow, "start": start, "end": end})
        elif kind == "crash":
            made["faults"].append(
                {"kind": "crash", "service": luck.choice(STEPS), "start": start, "end": end}
            )
            made["points"] |= {str(luck.randrange(500)): "crash" for _ in range(luck.randint(1, 3))}
        elif kind == "partition":
            made["faults"].append({"between": luck.choice(LINKS), "start": start, "end": end})
        elif kind == "poison message":
            made["poison"] = sorted(round(luck.uniform(1, 14), 2) for _ in range(luck.randint(1, 2)))
        elif kind == "load spike":
            made["spikes"].append({"start": start, "end": end, "rate": luck.choice([6.0, 12.0, 18.0])})
        else:
            twice = {str(luck.randrange(500)): "twice" for _ in range(luck.randint(3, 12))}
            made["points"] |= twice | {str(luck.randrange(500)): "lose" for _ in range(2)}
    return made


def schedules(count: int, *, seed: int = 0) -> list[Schedule]:
    """The first `count` schedules of the series `seed`."""
    return [schedule(number, seed=seed) for number in range(count)]

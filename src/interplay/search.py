"""Search for the shortest fault schedule that breaks a promise.

First every single fault at every point, then schedules of several by hypothesis, which also makes what it
found shorter.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .points import Points
from .run import Run

if TYPE_CHECKING:
    from .simulation import Simulation

Build = Callable[[], "Simulation"]
Judge = Callable[["Simulation"], str | None]


@dataclass
class Found:
    """What a search came to. `broken` says in words what went wrong, and is None when nothing did.

    `faults` is the shortest schedule that did it, `run` its run, `happened` the faults in words. `schedules`
    were played; they passed `points`, at `places` that differ.

    To see the run: `sequence(found.run)` draws it, and `Player(found.replay, until=5)` plays it, message by
    message.
    """

    broken: str | None = None
    faults: dict[int, str] = field(default_factory=dict)
    run: Run | None = None
    happened: list[str] = field(default_factory=list)
    schedules: int = 0
    points: int = 0
    places: set[tuple[str, str, int, str]] = field(default_factory=set)
    build: Build | None = field(default=None, repr=False)

    def replay(self, faults: bool = True) -> Simulation:
        """The shop again, ready to run, with the `faults` that were found or without any."""
        if self.build is None:
            raise RuntimeError("This was not found by a search: there is no shop to be built.")
        shop = self.build()
        shop.points = Points(self.faults if faults else {})
        return shop


def play(build: Build, faults: Mapping[int, str], until: float) -> tuple[Simulation, Points, Run]:
    """Build the shop, run it with these faults, and return it with its points and its run."""
    shop = build()
    shop.points = points = Points(faults)
    return shop, points, shop.run(until=until)


def search(
    build: Build,
    judge: Judge,
    *,
    until: float,
    kinds: Sequence[str] = ("crash", "lose", "twice", "late"),
    most: int = 3,
    tries: int = 200,
    seed: int = 1,
) -> Found:
    """Look for at most `most` faults of these `kinds` after which `judge(shop)` says what is broken.

    `build` makes a new shop each time; it runs for `until` simulated seconds. After all single faults,
    hypothesis tries `tries` schedules. The same seed finds the same.
    """
    from hypothesis import HealthCheck, Phase, find, settings, strategies
    from hypothesis.errors import NoSuchExample

    found = Found(build=build)

    def breaks(faults: Mapping[int, str]) -> bool:
        shop, points, run = play(build, faults, until)
        broken = judge(shop)
        found.schedules += 1
        found.points += points.visited
        found.places |= points.places
        if broken is None:
            return False
        found.broken, found.run, found.happened = broken, run, points.happened
        found.faults = dict(faults)
        return True

    _, points, _ = play(build, {}, until)
    for faults in [{}, *({point: kind} for point in range(points.visited) for kind in kinds)]:
        if breaks(faults):
            return found
    if most < 2 or not tries:
        return found
    schedules = strategies.dictionaries(
        strategies.integers(0, 2 * points.visited), strategies.sampled_from(list(kinds)), max_size=most
    )
    effort = settings(
        max_examples=tries, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        shortest = find(schedules, breaks, settings=effort, random=random.Random(seed))
    except NoSuchExample:
        return found
    breaks(shortest)
    return found

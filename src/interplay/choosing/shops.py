"""A small shop for each pattern: the same interaction, built in different ways, and something that breaks.

web asks orders, and orders does what the interaction is about, with the services in `names`. Each asks for a
little work of theirs; when the answer is needed soon, that is long work. Users come for BUSY seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

from ..arguments import number, one_of
from ..call import Reply, Request
from ..simulation import Simulation
from ..streams import Constant, Distribution, Exponential
from .interaction import Interaction, read
from .rules import PATTERNS

SERVICES = ("inventory", "payments", "shipping", "notifications", "analytics")
BUSY, UNTIL = 10.0, 20.0  # s
DOWN = (4.0, 6.0)  # s, when something is down
OWN, WORK, LONG = 0.005, 0.010, 0.300  # s of work, on average: of orders, of a service, and when it is long
NETWORK = 0.002  # s, one way
BANDWIDTH = 100_000.0  # kB/s, about a gigabit
IN_A_ROW = 5  # requests that concern the same key
MOST_TASKS = 3  # of a transaction
FAULTS = {
    "none": "nothing breaks",
    "down": f"the first service is down for {DOWN[1] - DOWN[0]:g} s",
    "bad": "the first service fails three calls in ten; of three replicas, one fails nine in ten",
    "killed": "orders is killed nine times, and started again",
}
KNOBS = {"deadline": 1.0, "headroom": 2.0, "attempts": 3, "every": 0.05, "visibility": 5.0, "partitions": 12}
"""What can be turned: the caller's deadline (s); workers per busy worker; the mesh's attempts; seconds
between two looks of a relay, a view or who waits; a queue's lease (s); a log's partitions."""

Journey = Callable[[Request], Generator[Any, Any, Any]]
BUILD: dict[str, Callable[[Shop], Journey]] = {}


def builds(pattern: str) -> Callable[[Callable[[Shop], Journey]], Callable[[Shop], Journey]]:
    """Enter a function that builds a pattern's parts, and returns the users' journey."""

    def enter(function: Callable[[Shop], Journey]) -> Callable[[Shop], Journey]:
        BUILD[pattern] = function
        return function

    return enter


class Shop:
    """An interaction built as a `pattern`, with a fault of FAULTS. `simulation` is ready to run until UNTIL.

    `done` has, by service, when the work of each request was done: {number: time}, in that order; `twice` how
    often something was done again. `promised` are the requests that orders has said yes to. `ages` are those
    of the copies that were read (s); `told` counts the past states that could still be told.
    """

    def __init__(
        self,
        pattern: str,
        interaction: Interaction | Mapping[str, Any],
        *,
        fault: str = "none",
        seed: int = 1,
        knobs: Mapping[str, float] | None = None,
    ) -> None:
        self.pattern = one_of("pattern", pattern, tuple(PATTERNS))
        self.asked, self.fault = read(interaction), one_of("fault", fault, tuple(FAULTS))
        for name in knobs or {}:
            one_of("a knob's name", name, tuple(KNOBS))
        self.knobs: dict[str, Any] = {**KNOBS, **(knobs or {})}
        number("headroom", self.knobs["headroom"], above=0)
        self.simulation = Simulation(seed, delay=Constant(NETWORK), users="web")
        several = self.asked.changes > 1 or pattern in ("saga", "two-phase commit")
        tasks = min(max(self.asked.changes, 2), MOST_TASKS)
        self.names = SERVICES[: tasks if several else self.asked.listeners]
        self.done: dict[str, dict[int, float]] = {name: {} for name in self.names}
        self.twice, self.sidecars = 0, 0
        self.promised: list[int] = []
        self.ages: list[float] = []
        self.told: Callable[[], int] = lambda: 0
        journey = BUILD[self.pattern](self)
        self.simulation.users(journey, rate=self.asked.rate, end=BUSY)
        self.break_it()

    @property
    def work(self) -> float:
        """Seconds that a service works for one request, on average."""
        return LONG if self.asked.answer == "soon" else WORK

    @property
    def time(self) -> Distribution:
        """The same as a distribution."""
        return Exponential(self.work)

    def workers(self, seconds: float) -> int:
        """How many workers a service needs that is held for so long by each request, with headroom."""
        return max(2, math.ceil(self.knobs["headroom"] * self.asked.rate * seconds))

    def note(self, name: str, request: int) -> None:
        """A service has done its work for a request."""
        if request in self.done[name]:
            self.twice += 1
        self.done[name].setdefault(request, self.simulation.env.now)

    def key(self, request: int) -> str:
        """What a request is about: a few in a row are about the same."""
        return f"k{request // IN_A_ROW}"

    def ask(self, request: Request, kind: str = "place") -> Generator[Any, Any, Reply]:
        """A user asks orders, which is a process."""
        message = {"kind": kind, "number": request.number, "key": self.key(request.number)}
        deadline = self.knobs["deadline"]
        return (yield from self.simulation.ask(request, "orders", message, deadline=deadline))

    def break_it(self) -> None:
        """Put the fault in."""
        parts, first = self.simulation.parts, self.names[0]
        hit = [name for name in parts if base(name) == first] or list(parts)[:1]
        if self.fault == "down":
            for name in hit:
                self.simulation.fault("crash", name, start=DOWN[0], end=DOWN[1])
        elif self.fault == "bad":
            share = 0.9 if len(hit) > 1 else 0.3
            self.simulation.fault("errors", hit[0], start=0.1, end=UNTIL, share=share)
        elif self.fault == "killed":
            for second in range(1, 10):
                self.simulation.fault("crash", next(iter(parts)), start=second, end=second + 0.1)


def base(name: str) -> str:
    """A part's name, without the number of its replica."""
    return name.rstrip("0123456789").rstrip()

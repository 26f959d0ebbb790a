"""A schedule that breaks a design: made shorter, drawn, and played message by message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..figures import Picture
from ..sequence import MOST, sequence
from ..simulation import Simulation
from .schedules import Schedule
from .score import Outcome, judge, play
from .shop import POISON, Design, Shop

if TYPE_CHECKING:
    from ..player import Player

LAYOUT = {
    "web": (0, 1), "gateway": (1, 1), "orders": (2, 1),
    "inventory queue": (3, 0), "payments queue": (3, 1), "shipping queue": (3, 2),
    "inventory": (4, 0), "payments": (4, 1), "shipping": (4, 2),
    "relay": (2, 3), "letters queue": (3, 3), "orders log": (3, 4),
    "notifications": (4, 3), "analytics": (4, 4),
}  # fmt: skip


def without_faults(schedule: Schedule) -> Schedule:
    """The same customers, and nothing that goes wrong."""
    return {**schedule, "faults": [], "spikes": [], "poison": [], "points": {}}


def _less(schedule: Schedule) -> Iterator[Schedule]:
    """The schedule, each time without one of its parts."""
    for part in ("spikes", "faults", "poison"):
        for i in range(len(schedule[part])):
            yield {**schedule, part: schedule[part][:i] + schedule[part][i + 1 :]}
    for point in schedule["points"]:
        yield {**schedule, "points": {p: kind for p, kind in schedule["points"].items() if p != point}}


def _broken(outcome: Outcome) -> str | None:
    return outcome.broken


def shortest(
    design: Design, schedule: Schedule, broken: Callable[[Outcome], Any] = _broken, **how: Any
) -> Schedule:
    """The schedule with only those faults that are needed to break the design: no single one can go.

    `broken(outcome)` says whether it is broken. A schedule that does not break it comes back as it was.
    """
    again = bool(broken(play(design, schedule, **how)))
    while again:
        found = (less for less in _less(schedule) if broken(play(design, less, **how)))
        less = next(found, None)
        again = less is not None
        schedule = less if less is not None else schedule
    return schedule


def replay(design: Design, schedule: Schedule, faults: bool = True, **how: Any) -> Simulation:
    """The shop, ready to run, for a player or a figure; with the `faults`, or without any."""
    return Shop(
        design, schedule if faults else without_faults(schedule), record="everything", **how
    ).simulation


NEWS = ("order accepted", "order done", "order refused", "confirmed", "records", "offset", "ack")


def story(design: Design, schedule: Schedule, *, news: bool = True, **how: Any) -> Picture:
    """The sequence diagram of what was broken: all messages of that order, or of that poison.

    Where nothing is broken, it is the first order. Without `news`, it ends at the outbox. The text of the
    diagram is its `alt`.
    """
    shop = Shop(design, schedule, record="everything", **how)
    run = shop.simulation.run(until=shop.until)
    outcome = judge(shop, run.trace.requests, schedule)
    named = re.search(r"\b(o\d+|poison \d+)\b", outcome.broken or "")
    orders = {order["number"]: request for request, order in shop.kinds.items() if order is not None}
    name = named[0] if named else min(orders, key=lambda number: orders[number])
    request = orders.get(name, POISON + int(name.split()[-1]) if name.startswith("poison") else 0)
    names = {} if news else run.trace.message_names()
    rows = enumerate(run.trace.messages)
    sent = [row[0] for i, row in rows if row[6] == request and names.get(i) not in NEWS]
    end = sent[MOST] - 1e-9 if len(sent) > MOST else max(sent) + 0.2
    return sequence(run, request=request, end=end, without=() if news else NEWS)


def paste(schedule: Schedule, design: str = "Design(config(), saga, consumer)") -> str:
    """The line that plays this schedule in a notebook."""
    return f"from interplay.capstone import Design, designs, watch; watch({design}, {schedule!r})"


def watch(design: Design, schedule: Schedule, **how: Any) -> Player:
    """A schedule in the player, message by message, and what would have been without the faults."""
    from ..player import Player

    def shop(faults: bool = True) -> Simulation:
        return replay(design, schedule, faults, **how)

    until = Shop(design, schedule, **how).until
    return Player(shop, until=until, compare={"no fault": {"faults": False}}, layout=LAYOUT)

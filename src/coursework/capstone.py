"""What the test cells of the capstone's lab share: they play designs of the whole shop under fault schedules.

A run that breaks a promise is shown in words, as a sequence diagram, and with the line that replays it. All
that is played comes from schedules that the cells give: the same design gets the same mark.
"""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from coursework.checks import Expect
from interplay.capstone import Design, Outcome, Score, Shop, paste, schedules, shortest, story, words
from interplay.capstone.levels import LEVELS
from interplay.capstone.score import judge
from interplay.figures import Picture
from interplay.points import Points
from interplay.run import Run

Schedule = dict[str, Any]

FLOOD = 8000
"""Messages after which a run is stopped; a run without pages is stopped after a third of them."""

PROMISES = {
    "books": "no money and no stock is lost or invented, no order forgotten, and the news is true",
    "letters": "each letter once, none for what nobody can read, and nothing left in the queue",
    "broken": "no promise is broken, under no schedule",
}
LAVISH = 2500
"""Messages a schedule, on average, after which no more are played: about twice what is allowed."""
SHORTER = 8_000
"""Messages that are sent to make a failing schedule shorter."""

_scores: dict[str, Score] = {}


def run(design: Design, schedule: Schedule) -> tuple[Shop, Outcome]:
    """Play a schedule; the shop after it, and what became of it. A flood of messages breaks the books."""
    shop = Shop(design, schedule)
    run, flooded = _run(shop)
    outcome = judge(shop, run.trace.requests, schedule)
    if flooded:
        said = f"a flood: {outcome.messages} messages in {shop.simulation.env.now:.0f} s"
        outcome = replace(outcome, books=f"{said}, and the run was stopped there")
    return shop, outcome


def _run(shop: Shop) -> tuple[Run, bool]:
    """Run a shop, until it ends or sends a flood; whether it did."""
    most = FLOOD if shop.crowd["pages"] else FLOOD // 3
    sent = shop.simulation.network
    run = shop.simulation.run(until=shop.until, progress=lambda _: sent.sent < most)
    return run, sent.sent >= most


def scored(design: Design, series: int, count: int) -> Score:
    """The score of a configuration under the first `count` schedules of a series; played once and kept.

    One that sends far too much is scored by the schedules up to there.
    """
    key = json.dumps([design.config, series, count], sort_keys=True)
    if key not in _scores:
        outcomes: list[Outcome] = []
        for schedule in schedules(count, seed=series):
            outcomes.append(run(design, schedule)[1])
            if sum(outcome.messages for outcome in outcomes) > LAVISH * count:
                break
        _scores[key] = Score(outcomes)
    return _scores[key]


def keeps(
    expect: Expect,
    design: Design,
    given: Iterable[Schedule],
    *,
    promise: str = "broken",
    mine: str = "Design(config(), saga, consumer)",
) -> list[Outcome]:
    """Expect that no schedule breaks a promise: the "books", the "letters" or both ("broken").

    The first that does is shown. `mine` is how a learner writes the design. Returns the outcomes.
    """
    outcomes: list[Outcome] = []
    listed = list(given)
    for number, schedule in enumerate(listed, 1):
        outcome = run(design, schedule)[1]
        whole(expect, design, outcome, f"schedule {number} of {len(listed)}", promise=promise, mine=mine)
        outcomes.append(outcome)
        messages = sum(outcome.messages for outcome in outcomes)
        said = f"a flood: {messages} messages in {number} of {len(listed)} schedules"
        expect.true(messages <= LAVISH * len(listed), said, f"at most {LAVISH * len(listed)} in all of them")
    return outcomes


def whole(
    expect: Expect, design: Design, outcome: Outcome, name: str, *, promise: str = "broken", mine: str
) -> None:
    """Expect that a run that was played has kept its promise; show it otherwise."""
    broken = getattr(outcome, promise)
    if not broken:
        return
    schedule = outcome.schedule
    if not broken.startswith("a flood"):
        schedule = shorter(design, schedule, promise)
        broken = getattr(run(design, schedule)[1], promise)
        expect.picture(Story(story(design, schedule)))
    less = "" if schedule == outcome.schedule else ", made shorter"
    expect.picture("\n".join(told(schedule, f"{name}{less}", mine)))
    expect.true(False, broken, PROMISES[promise], given=name)


class _Enough(Exception):
    """Making a schedule shorter has taken its share."""


def shorter(design: Design, schedule: Schedule, promise: str = "broken") -> Schedule:
    """The schedule without faults that are not needed to break the promise, as far as SHORTER messages go."""
    left, best = SHORTER, schedule

    def breaks(outcome: Outcome) -> bool:
        nonlocal left, best
        broken = bool(getattr(outcome, promise))
        best = outcome.schedule if broken else best
        left -= outcome.messages
        if left < 0:
            raise _Enough
        return broken

    with contextlib.suppress(_Enough):
        for kind in ("late", "twice", "lose", "crash"):
            less = {point: fault for point, fault in best["points"].items() if fault != kind}
            if less != best["points"]:
                breaks(run(design, {**best, "points": less})[1])
        return shortest(design, best, breaks)
    return best


def told(schedule: Schedule, name: str, mine: str) -> Iterator[str]:
    """A schedule in words, and the line that plays it."""
    yield f"{name}: what goes wrong"
    yield from (f"  {number}. {text}" for number, text in enumerate(words(schedule), 1))
    yield "to see it message by message, paste this line into a new cell and run it:"
    yield paste(schedule, mine)


class Story:
    """A sequence diagram, as a check shows it."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    def text(self) -> str:
        """The diagram in words, a sentence a line."""
        lines = [(line, len(list(same))) for line, same in itertools.groupby(self.picture.alt.split(". "))]
        return ".\n".join(line if count == 1 else f"{line} ({count} times)" for line, count in lines)

    def figure(self) -> Any:
        """The diagram."""
        return self.picture.figure


def meets(expect: Expect, score: Score, *names: str, yardstick: Callable[[], Score] | None = None) -> None:
    """Expect that the score meets these levels (see interplay.capstone.levels).

    Where the schedules are so hard that the design of the `yardstick` misses one, doing as well is enough.
    """
    for level in LEVELS:
        value = score.value(level)
        if level.name not in names or level.met(value):
            continue
        wanted, given = level.wanted, f"{len(score.outcomes)} schedules"
        if yardstick is not None:
            best = yardstick().value(level)
            wanted += f", or as good as the good mix, which came to {level.shown(best)}"
            as_good = level._replace(least=best) if level.most is None else level._replace(most=best)
            if as_good.met(value):
                continue
        expect.true(False, f"{level.name}: {level.shown(value)}, {level.what}", wanted, given=given)


class _Passed(Points):
    """Notes who passed each point, and with which action."""

    def __init__(self, faults: Mapping[int, str]) -> None:
        super().__init__(faults)
        self.passed: list[tuple[str, str]] = []

    def reach(self, process: Any, envelope: Any, place: int, action: Any) -> int:
        self.passed.append((process.name, "" if action is None else action["do"]))
        return super().reach(process, envelope, place, action)


def points(design: Design, schedule: Schedule, process: str, *, sends: bool = False) -> list[int]:
    """The points of a run at which this process acts, or only those at which it `sends` something."""
    return _of(_passed(design, schedule), process, sends=sends)


def _passed(design: Design, schedule: Schedule) -> list[tuple[str, str]]:
    """Who passed each point of a run, and with which action."""
    shop = Shop(design, schedule)
    faults = shop.simulation.points.faults if shop.simulation.points else {}
    shop.simulation.points = passed = _Passed(faults)
    _run(shop)
    return passed.passed


def _of(passed: list[tuple[str, str]], process: str, *, sends: bool) -> list[int]:
    wanted = ("send", "ack", "nack", "reply") if sends else None
    return [
        number
        for number, (name, do) in enumerate(passed)
        if name == process and (wanted is None or do in wanted)
    ]


def harder(
    design: Design, given: Iterable[Schedule], luck: Random, **more: Mapping[str, int]
) -> list[Schedule]:
    """The schedules with more faults, each at a point that is drawn of those that this design passes.

    `orders={"crash": 2}` is two crashes of orders; other kinds than a crash fall on what a process sends.
    """
    found = []
    for schedule in given:
        passed = _passed(design, schedule)
        added: dict[str, str] = {}
        for process, kinds in more.items():
            for kind, count in kinds.items():
                there = _of(passed, process, sends=kind != "crash")
                added |= {str(point): kind for point in luck.sample(there, min(count, len(there)))}
        found.append({**schedule, "points": schedule["points"] | added})
    return found


def at(schedule: Schedule, kind: str, numbers: Iterable[int]) -> list[Schedule]:
    """The schedule with one fault of this kind, once at each of these points."""
    return [{**schedule, "points": {str(number): kind}} for number in sorted(numbers)]


def calm(seed: int, *, poison: Iterable[float] = (), orders: float = 4.0) -> Schedule:
    """A few orders within two seconds and a bit, and nothing that goes wrong."""
    crowd = {"pages": 0.0, "orders": orders, "busy": 2.2, "until": 25.0}
    return {
        "seed": seed, "faults": [], "spikes": [], "poison": list(poison), "points": {}, "crowd": crowd
    }  # fmt: skip


def commands(
    saga: Callable[..., Any], design: Design, schedule: Schedule
) -> tuple[Mapping[str, list[str]], Outcome]:
    """What a saga says and hears for each order, such as ["sends ship", "hears of ship"]; and the run."""
    heard: dict[str, list[str]] = {}

    def listening(state: Any, event: Any) -> Any:
        said = heard.setdefault(event["order"]["number"], [])
        if event["kind"] == "answer":
            said.append(f"hears of {event['command']}")
        answer = saga(state, event)
        actions = answer.get("actions") if isinstance(answer, Mapping) else ()
        for action in actions if isinstance(actions, list | tuple) else ():
            if isinstance(action, Mapping) and action.get("do") == "send":
                said.append(f"sends {action.get('command')}")
        return answer

    return heard, run(design._replace(saga=listening), schedule)[1]

"""The STEP harness: drives a learner's function event by event, and searches for a schedule that breaks it.

A STEP is a function of plain data, `step(state, event) -> {"state": ..., "actions": [...]}`. Its state is
memory: a crash loses it. Its actions are carried out one at a time on a world that the check supplies, and
what the world has done stays done. The harness can crash between any two actions, and counts the points at
which it could.

    def judge(run):                      # None, or what was observed and what was expected
        allowed = run.count("retry")
        return None if allowed <= 3 else (f"{allowed} retries", "at most 3")

    @checks.that("the budget bounds the retries", cause="...", look="...")
    def _(expect):
        events = [{"kind": "request"}, {"kind": "retry"}]
        never_fails(expect, budget, name="budget", start={"tokens": 1.0}, events=events, judge=judge)
"""

import copy
import random
import textwrap
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from coursework.checks import Expect, show
from coursework.plain import plain

SHAPE = '{"state": ..., "actions": [...]}'
Step = Callable[[Any, Any], Any]
Judge = Callable[["Run"], tuple[str, str] | None]


class World(Protocol):
    """What the actions act on. It outlives a crash."""

    def do(self, action: Any) -> list[Any]:
        """Carry out one action; return the events that follow from it, to be handled next."""

    def restart(self) -> list[Any]:
        """The process is back with an empty memory; return the events it finds, such as redeliveries."""


class NoWorld:
    """For a STEP that only decides: actions have no effect but being noted in the run."""

    def do(self, action: Any) -> list[Any]:
        """Note the action, and nothing more."""
        return []

    def restart(self) -> list[Any]:
        """Nothing comes back after a crash."""
        return []


@dataclass
class Entry:
    """One event of a run, the actions that were carried out for it, and the state after it."""

    event: Any
    actions: list[Any] = field(default_factory=list)
    state: Any = None
    note: str = ""


@dataclass
class Run:
    """What happened: the events in order. `points` counts the places where a crash could fall."""

    entries: list[Entry] = field(default_factory=list)
    world: Any = None
    points: int = 0
    error: Exception | None = None

    @property
    def actions(self) -> list[Any]:
        """All actions that were carried out, in order."""
        return [action for entry in self.entries for action in entry.actions]

    def count(self, action: Any) -> int:
        """How often exactly this action was carried out."""
        return self.actions.count(action)

    def text(self) -> str:
        """The sequence as text: one line an event, with the actions that answered it."""
        rows = [
            (
                f"{n}.",
                _brief(e.event),
                ", ".join(map(_brief, e.actions)) or "nothing",
                _brief(e.state),
                e.note,
            )
            for n, e in enumerate(self.entries, 1)
        ]
        rows = [("", "event", "your actions", "your state after it", ""), *rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            f"{number:<{widths[0]}} {event:<{widths[1]}} -> {actions:<{widths[2]}}  {state} {note}".rstrip()
            for number, event, actions, state, note in rows
        )

    def figure(self) -> Any:
        """The sequence as a diagram: events come from the left, actions go to the right, time runs down."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        lines = sum(1 + max(1, len(entry.actions) + bool(entry.note)) for entry in self.entries)
        figure = Figure(figsize=(7.5, 0.6 + 0.28 * lines))
        FigureCanvasAgg(figure)  # measures the labels
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-1.02, 1.02), ylim=(lines - 0.2, -1.5))
        axes.axis("off")
        axes.plot([0, 0], [-0.7, lines - 0.4], color="#999999", linewidth=6, alpha=0.35)
        axes.text(0, -1, "your function", ha="center", weight="bold")
        axes.text(-1, -1, "events", weight="bold")
        axes.text(1, -1, "actions", ha="right", weight="bold")
        y = 0
        for entry in self.entries:
            _arrow(axes, -1, y, _brief(entry.event), "#0072B2", "-")
            for action in entry.actions:
                y += 1
                _arrow(axes, 0.02, y, _brief(action), "#D55E00", "--")
            if entry.note:
                y += 1
                axes.text(0.05, y - 0.08, entry.note, color="#B00000", weight="bold", fontsize=9, va="bottom")
            y += 1 if entry.actions or entry.note else 2
        return figure


class BadAnswer(Exception):
    """The learner's function returned something else than a state and a list of actions."""


def play(
    step: Step, events: list[Any], start: Any, world: World | None = None, crash_at: int | None = None
) -> Run:
    """Handle `events` in order, and those that follow from the actions; crash at point number `crash_at`,
    if any.

    A point lies before each action and after the last one of an event. After a crash the state is `start`
    again, and the world's `restart()` says what comes back. An error of the learner's own ends the run, and
    is kept in it.
    """
    run = Run(world=world or NoWorld())
    state, waiting = copy.deepcopy(start), list(events)
    try:
        while waiting and len(run.entries) < 1000:
            entry = Entry(event=copy.deepcopy(waiting.pop(0)))
            run.entries.append(entry)
            new_state, actions = _answer(step(copy.deepcopy(state), copy.deepcopy(entry.event)))
            crashed, follow = False, []
            for action in [*actions, None]:
                run.points += 1
                if run.points - 1 == crash_at:
                    crashed = True
                    break
                if len(entry.actions) < len(actions):
                    entry.actions.append(action)
                    follow += run.world.do(action)
            state = copy.deepcopy(start) if crashed else new_state
            entry.state, entry.note = copy.deepcopy(state), "crash: the memory is lost" if crashed else ""
            waiting = (run.world.restart() if crashed else follow) + waiting
    except Exception as error:  # the learner's own, or a wrong shape
        run.error = error
    return run


def search(
    step: Step,
    *,
    start: Any,
    events: Any,
    judge: Judge,
    world: Callable[[], World] = NoWorld,
    crashes: bool = False,
    longest: int = 8,
    tries: int = 100,
    seed: int = 0,
) -> tuple[Run | None, int]:
    """Search for the shortest schedule whose run fails `judge` or ends in an error: (that run or None,
    points).

    `events` is a list of possible events or a hypothesis strategy for one. With `crashes`, each schedule is
    also played once for every point at which a crash can fall. The same seed finds the same schedule.
    Raises hypothesis' Flaky for a step that remembers something outside its state.
    """
    from hypothesis import HealthCheck, Phase, find, settings, strategies
    from hypothesis.errors import Flaky, NoSuchExample

    one = strategies.sampled_from(events) if isinstance(events, list) else events
    visited = 0

    def failing(schedule: list[Any]) -> Run | None:
        nonlocal visited
        run = play(step, schedule, start, world())
        visited += run.points
        runs = [run]
        if crashes and not run.error:
            runs += (play(step, schedule, start, world(), crash_at=point) for point in range(run.points))
        return next((run for run in runs if run.error or judge(run)), None)

    effort = settings(
        max_examples=tries,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        schedules = strategies.lists(one, min_size=1, max_size=longest)
        shortest = find(
            schedules,
            lambda schedule: failing(schedule) is not None,
            settings=effort,
            random=random.Random(seed),
        )
    except NoSuchExample:
        return None, visited
    run = failing(shortest)
    if run is None:
        raise Flaky("the shortest failing schedule does not fail when it is played again")
    return run, visited


def never_fails(expect: Expect, step: Step, *, name: str = "", judge: Judge, **how: Any) -> int:
    """Expect that no schedule breaks `step`; show the shortest one that does. Returns the points visited.

    The keyword arguments are those of `search`. The seed comes from `name`, so that it stays the same.
    """
    from hypothesis.errors import Flaky

    seed = how.pop("seed", zlib.crc32(name.encode()))
    try:
        run, visited = search(step, judge=judge, seed=seed, **how)
    except Flaky:
        again = "the same schedule, played twice from the beginning, ended in two ways"
        expect.true(False, again, "one way: all that your function remembers is in `state`")
    if run is None:
        return visited
    expect.picture(run)
    if run.error and not isinstance(run.error, BadAnswer):
        raise run.error
    observed, expected = (str(run.error), SHAPE) if run.error else judge(run) or ("", "")
    n = len(run.entries)
    given = f"{n} {'event' if n == 1 else 'events'}, the shortest schedule that was found (seed {seed})"
    expect.true(False, observed=observed, expected=expected, given=given)
    return visited


def _answer(answer: Any) -> tuple[Any, list[Any]]:
    answer = plain(answer)
    if answer is None:
        raise BadAnswer("None (is a `return` missing?)")
    if (
        not isinstance(answer, dict)
        or set(answer) != {"state", "actions"}
        or not isinstance(answer["actions"], list)
    ):
        raise BadAnswer(show(answer))
    return answer["state"], answer["actions"]


def _brief(value: Any) -> str:
    """An event, action or state in few characters: {"kind": "retry", "now": 2} is "retry now=2"."""
    if isinstance(value, dict):
        words = [str(value[key]) for key in ("kind", "do") if key in value]
        return (
            " ".join([*words, *(f"{k}={show(v)}" for k, v in value.items() if k not in ("kind", "do"))])
            or "{}"
        )
    return value if isinstance(value, str) else show(value)


def _arrow(axes: Any, x: float, y: float, label: str, color: str, style: str) -> None:
    """An arrow with its label above, which is cut until it is no longer than the arrow."""
    look = {"arrowstyle": "->", "color": color, "linestyle": style, "linewidth": 1.5}
    axes.annotate("", (x + 0.97, y), (x, y), arrowprops=look)
    words = axes.text(x + 0.03, y - 0.08, "", fontsize=9, va="bottom")
    for most in range(60, 4, -1):
        words.set_text(_cut(label, most))
        if axes.transData.inverted().transform(words.get_window_extent())[1][0] < x + 0.95:
            break


def _cut(label: str, most: int) -> str:
    """At most so many characters of a label: whole words, or the beginning of a single long one."""
    short = textwrap.shorten(label, most, placeholder=" …")
    return label[: most - 1] + "…" if short.strip() == "…" else short

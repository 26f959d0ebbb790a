"""A sequence diagram of a run: who sent what to whom, in which order, and what broke.

Time runs down, one row for each thing that happens, so that what is close in time can be read, too; where
for long nothing happens, it says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .arguments import refuse
from .figures import BLACK, MESSAGE_STYLE, RED, Picture
from .run import Run
from .trace import MESSAGE_KINDS, UP

MOST = 80
"""Messages that one diagram shows."""
PATCH: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.4}
LABEL: dict[str, Any] = {"va": "center", "bbox": PATCH}


class _Message(NamedTuple):
    row: int
    sent: float
    arrives: float
    source: int
    target: int
    kind: str
    name: str


def sequence(
    run: Run,
    *,
    start: float = 0.0,
    end: float = math.inf,
    without: Collection[str] = (),
    request: int | None = None,
) -> Picture:
    """The messages of a run from `start` to `end` (s), drawn from lifeline to lifeline.

    `without` leaves out messages of these names, such as {"ack"}; `request` keeps those of one request, and
    what was written for it. A message that was lost ends at a cross, a square is a commit, and where a node
    was down its lifeline is hatched. ArgumentError when there is no message, or more than a page can show.
    """
    messages = _messages(run, start, end, without, request)
    if not messages:
        refuse("what to draw", "no message", "a part of the run in which messages are sent")
    if len(messages) > MOST:
        refuse("what to draw", f"{len(messages)} messages", f"at most {MOST}: give start, end or without")
    trace = run.trace
    notes = [note for note in trace.notes if note[4] or request in (None, note[5])]
    noted_last = max((note[0] for note in notes if note[0] <= end), default=0.0)
    last = max(noted_last, *(_until(message) for message in messages))
    broken = {note[2] for note in notes if note[4] and start <= note[0] <= end}
    nodes = sorted({node for m in messages for node in (m.source, m.target)} | broken)
    place = {node: x for x, node in enumerate(nodes)}
    first = messages[0].sent
    moments: list[tuple[float, float, str, Any]] = []  # (time, order at that time, what, of it)
    for message in messages:
        moments.append((message.sent, message.row + 0.5, "sent", message))
        if message.arrives < math.inf:
            moments.append((message.arrives, message.row + 0.5, "arrives", message))
    for time, row, node, text, fault, _ in notes:
        if node in place:
            moments.append((time, row, "fault" if fault else "note", (node, text)))
    noted = {(note[0], note[3]) for note in trace.notes}
    moments += [(m[0], -1, "fault", (m[2], m[1])) for m in trace.markers if m[:2] not in noted]
    ups = [s for s in trace.states if s[1] in place and s[2] == UP]
    moments += [(s[0], math.inf if s[3] == 0 else -2, "up", (s[1], s[3])) for s in ups]
    moments = sorted((m for m in moments if first <= m[0] <= last), key=lambda m: m[:2])
    rows = _rows(moments)
    height = rows[-1] + 1

    width = max(7.5, 1.75 * len(nodes))
    figure = Figure(figsize=(width, 0.8 + 0.24 * height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.axis("off")
    axes.set(xlim=(-0.75, len(nodes) - 0.4), ylim=(height + 0.2, -1.6))
    for node, x in place.items():
        axes.plot([x, x], [-0.6, height], color="#bbbbbb", linewidth=1.2, zorder=0)
        axes.text(x, -0.9, trace.nodes[node].name, ha="center", weight="bold", fontsize=10)
    _draw(axes, moments, rows, place)
    return Picture(figure, _in_words(run, moments))


def _pauses(moments: list[tuple[float, float, str, Any]]) -> dict[int, float]:
    """Before which moments nothing happens for long, and how long that is (s): 200 times the usual."""
    seen = [i for i, moment in enumerate(moments) if moment[2] != "up"]
    gaps = {i: moments[i][0] - moments[h][0] for h, i in pairwise(seen)}
    usual = median([gap for gap in gaps.values() if gap > 1e-9] or [math.inf])
    return {i: gap for i, gap in gaps.items() if gap > 200 * usual}


def _rows(moments: list[tuple[float, float, str, Any]]) -> list[float]:
    """How far down each moment is drawn: one row each, and one more for a pause."""
    pauses, y, rows = _pauses(moments), -1.0, []
    for i, moment in enumerate(moments):
        y += (moment[2] != "up") + (i in pauses)
        rows.append(y)
    return rows


def _draw(
    axes: Axes, moments: list[tuple[float, float, str, Any]], rows: list[float], place: dict[int, int]
) -> None:
    """Everything that happens, downwards."""
    sent: dict[int, float] = {}
    down: dict[int, float] = {}
    before = -1.0
    for i, pause in _pauses(moments).items():
        words = f"{pause:.3g} s in which nothing is sent"
        axes.axhline(rows[i] - 1, color="#999999", linewidth=0.8, linestyle=(0, (1, 4)), zorder=0)
        axes.text(-0.72, rows[i] - 1, words, fontsize=7, style="italic", color="#666666", **LABEL)
    y = 0.0
    for (time, _, what, it), y in zip(moments, rows, strict=True):
        if time > before and what != "up":
            label = f"{time:.3f}".rstrip("0").rstrip(".") + " s"
            axes.text(-0.72, y, label, fontsize=7, va="center", color="#666666")
            before = time
        if what == "sent":
            sent[it.row] = y
            if math.isinf(it.arrives):
                _arrow(axes, it, place, y, y + 0.5)
        elif what == "arrives" and it.row in sent:
            _arrow(axes, it, place, sent[it.row], y)
        elif what == "fault":
            x = place.get(it[0], 0)
            axes.plot([x], [y], color=RED, marker="X", markersize=9, linestyle="none", zorder=4)
            right = x <= len(place) / 2
            axes.text(
                x + (0.08 if right else -0.08),
                y,
                it[1],
                color=RED,
                fontsize=8,
                ha="left" if right else "right",
                **LABEL,
            )
        elif what == "note":
            x = place[it[0]]
            axes.plot([x], [y], color=BLACK, marker="s", markersize=4, linestyle="none", zorder=4)
            axes.text(x + 0.05, y, it[1], fontsize=7, style="italic", **LABEL)
        elif what == "up" and it[1] == 0:
            down.setdefault(it[0], y)
        elif what == "up" and it[0] in down:
            _down(axes, place[it[0]], down.pop(it[0]), y)
    for node, start in down.items():
        _down(axes, place[node], start, y + 1)


def _messages(
    run: Run, start: float, end: float, without: Collection[str], request: int | None
) -> list[_Message]:
    names = run.trace.message_names()
    found = []
    for row, (sent, arrives, source, target, kind, _, number) in enumerate(run.trace.messages):
        name = names.get(row, MESSAGE_KINDS[kind])
        if start <= sent <= end and name not in without and request in (None, number):
            found.append(_Message(row, sent, arrives, source, target, MESSAGE_KINDS[kind], name))
    return found


def _until(message: _Message) -> float:
    return message.sent if math.isinf(message.arrives) else message.arrives


def _down(axes: Axes, x: int, start: float, end: float) -> None:
    """Hatch a lifeline where its node was down."""
    axes.fill_betweenx(
        [start, end], x - 0.05, x + 0.05, facecolor="#f6dbc7", edgecolor=RED, hatch="////", zorder=1
    )


def _arrow(axes: Axes, message: _Message, place: dict[int, int], y0: float, y1: float) -> None:
    colour = MESSAGE_STYLE[message.kind][0]
    x0, x1 = place[message.source], place[message.target]
    lost = math.isinf(message.arrives)
    if lost:
        x1 = (x0 + x1) / 2  # type: ignore[assignment]
        axes.plot([x1], [y1], color=RED, marker="x", markersize=7, linestyle="none")
    dashes = "dashed" if message.kind in ("reply", "error", "rejected") else "solid"
    arrow = {"arrowstyle": "-" if lost else "->", "color": colour, "linewidth": 1.4, "linestyle": dashes}
    axes.annotate("", (x1, y1), (x0, y0), arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0})
    words = message.name + (", lost" if lost else "")
    right = x1 >= x0
    axes.text(
        x0 + (0.05 if right else -0.05),
        y0 - 0.1,
        words,
        fontsize=8,
        ha="left" if right else "right",
        va="bottom",
        bbox=PATCH,
    )


def _in_words(run: Run, moments: list[tuple[float, float, str, Any]]) -> str:
    """The diagram as text: one sentence for each thing that happens, in order."""
    name = [node.name for node in run.trace.nodes]
    told = []
    pauses = _pauses(moments)
    for i, (_, _, what, it) in enumerate(moments):
        if i in pauses:
            told.append(f"For {pauses[i]:.3g} s nothing is sent")
        if what == "sent":
            lost = ", which is lost" if math.isinf(it.arrives) else ""
            told.append(f"{name[it.source]} sends {it.name} to {name[it.target]}{lost}")
        elif what == "note":
            told.append(f"{name[it[0]]}: {it[1]}")
        elif what == "fault":
            told.append(it[1])
    return "Sequence diagram. " + ". ".join(told) + "."

"""Figures of runs: goodput over time, messages in space and time, waterfalls, theory beside measurement.

Each function returns a Picture, which a notebook shows with its alternative text. The colours are those of
Okabe and Ito; each has a second cue, a dash, a marker or a label.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .arguments import refuse
from .experiment import Interval
from .run import Run
from .trace import MESSAGE_KINDS, OK, OPEN, STATUSES

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#222222",
)
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
DASHES = ("solid", "dashed", "dotted", "dashdot", (0, (5, 1)), (0, (1, 3)))
MESSAGE_STYLE = {  # colour, marker at the arriving end
    "request": (BLUE, "o"),
    "retry": (ORANGE, "^"),
    "reply": (GREEN, "s"),
    "error": (RED, "X"),
    "rejected": (RED, "D"),
    "event": (SKY, "P"),
    "compensation": (PURPLE, "v"),
    "dead letter": (BLACK, "*"),
    "hedge": (ORANGE, "p"),
    "cancel": (BLACK, "|"),
}
# A span's bars, as the player draws them.
WAITS: dict[str, Any] = {"color": "white", "edgecolor": "#888888", "hatch": "||||"}
WORKS: dict[str, Any] = {"color": BLUE, "edgecolor": BLUE}
FOR_NOBODY: dict[str, Any] = {"color": "#f6dbc7", "edgecolor": RED, "hatch": "////"}


class Picture:
    """A figure with its alternative text, as a notebook shows it."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    def png(self, dpi: int = 144) -> bytes:
        """The picture as PNG."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        width = int(self.figure.get_figwidth() * 96)
        data = base64.b64encode(self.png()).decode()
        image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" width="{width}">'
        return {"text/html": image, "text/plain": self.alt}


def canvas(rows: int = 1, width: float = 7.5, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """An empty figure with `rows` panels over one horizontal axis; sizes in inches."""
    figure = Figure(figsize=(width, height * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0].tolist()
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, panels


def _shade_faults(axes: Axes, run: Run) -> None:
    started: dict[str, float] = {}
    for time, label, _ in run.trace.markers:
        what, _, verb = label.rpartition(" ")
        if verb == "starts":
            started[what] = time
        elif verb == "ends" and what in started:
            axes.axvspan(started.pop(what), time, color="#bbbbbb", alpha=0.4, linewidth=0)
    for time in started.values():
        axes.axvspan(time, run.until, color="#bbbbbb", alpha=0.4, linewidth=0)


def over_time(runs: Mapping[str, Run], window: float = 1.0, title: str = "") -> Picture:
    """Goodput and attempts per second of one or several runs; faults of the first are shaded."""
    if not runs:
        refuse("runs", dict(runs), "at least one run, as {label: run}")
    figure, (top, bottom) = canvas(rows=2, height=2.2)
    first = next(iter(runs.values()))
    for axes in (top, bottom):
        _shade_faults(axes, first)
    offered = first.series(window)
    top.plot(offered.time, offered.offered, color=BLACK, linewidth=0.8, alpha=0.5, label="offered")
    said = []
    for (label, run), colour, dash in zip(runs.items(), COLOURS, DASHES, strict=False):
        series = run.series(window)
        top.plot(series.time, series.goodput, color=colour, linestyle=dash, label=label)
        bottom.plot(series.time, series.attempts, color=colour, linestyle=dash, label=label)
        said.append(
            f"{label}: {series.goodput[: len(series.goodput) // 4].mean():.3g} good requests a second in the "
            f"first quarter, {series.goodput[-len(series.goodput) // 4 :].mean():.3g} in the last, "
            f"up to {series.attempts.max():.3g} attempts a second"
        )
    top.set_ylabel("goodput (1/s)")
    bottom.set_ylabel("attempts (1/s)")
    bottom.set_xlabel("simulated time (s)")
    top.set_ylim(bottom=0)
    bottom.set_ylim(bottom=0)
    top.legend(fontsize=8, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    top.set_title(title, loc="right", fontsize=10)
    return Picture(figure, "Goodput and attempts over time. " + ". ".join(said) + ". Faults are shaded.")


def spacetime(run: Run, request: int, start: float | None = None, end: float | None = None) -> Picture:
    """Every message of one request, drawn from node to node (upwards) as time runs to the right.

    A lost message ends half-way. `start` and `end` (s) cut out a part.
    """
    messages = [m for m in run.trace.messages if m[6] == request]
    if not messages:
        refuse("request", request, f"a request of this run, 1 to {run.requests}")
    nodes = sorted({n for m in messages for n in (m[2], m[3])})
    place = {n: i for i, n in enumerate(nodes)}
    figure, (axes,) = canvas(height=0.7 + 0.75 * len(nodes))
    axes.grid(visible=False)
    drawn: dict[str, int] = {}
    for sent, arrives, source, target, kind, _, _ in messages:
        name = MESSAGE_KINDS[kind]
        colour, marker = MESSAGE_STYLE[name]
        y0, y1 = place[source], place[target]
        if math.isinf(arrives):
            name = f"{name}, lost"
            axes.plot([sent, sent], [y0, (y0 + y1) / 2], color=colour, linestyle="dotted")
        else:
            axes.plot([sent, arrives], [y0, y1], color=colour, linewidth=1.2)
            axes.plot([arrives], [y1], color=colour, marker=marker, linestyle="none", markersize=6)
        drawn[name] = drawn.get(name, 0) + 1
    for name in drawn:
        colour, marker = MESSAGE_STYLE[name.removesuffix(", lost")]
        axes.plot([], [], color=colour, marker=marker, label=name)
    axes.set_yticks(range(len(nodes)), [run.trace.nodes[n].name for n in nodes])
    axes.set_ylim(-0.4, len(nodes) - 0.6)
    for y in range(len(nodes)):
        axes.axhline(y, color="#999999", linewidth=0.6, zorder=0)
    if start is not None or end is not None:
        axes.set_xlim(start, end)
    axes.set_xlabel("simulated time (s)")
    axes.legend(fontsize=8, frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(0, 1))
    counts = ", ".join(f"{n} × {name}" for name, n in drawn.items())
    return Picture(figure, f"Messages of request {request} from node to node over time: {counts}.")


def _nobody_waits(run: Run, spans: Sequence[tuple]) -> dict[int, float]:
    """For each span of one request, by its number, the time from which nobody waits for it; inf if always.

    The user is gone, the caller's own work has ended, or the next attempt has come (a hedge has its
    attempt's number, and is one more, not the next); and so for everything below it. For a message that was
    sent nobody waits from the start, and so it is with all that it sets going: that is never for nobody.
    """
    again = {(s[2], s[3], s[8] - 1): s[4] for s in reversed(spans)}
    user = next((r[2] for r in run.trace.requests if r[0] == spans[0][0]), math.nan)
    ended = {s[1]: s[6] for s in spans}
    over: dict[int, float] = {}
    sent: set[int] = set()
    for _, span, parent, node, arrived, _, _, _, attempt in spans:
        if run.trace.nodes[node].kind == "process" or parent in sent:
            sent.add(span)
            over[span] = math.inf
            continue
        above = [ended[parent]] if ended.get(parent, math.nan) > arrived else []
        gone = [user, again.get((parent, node, attempt), math.inf), over.get(parent, math.inf), *above]
        over[span] = min(time for time in gone if not math.isnan(time))
    return over


def waterfall(run: Run, request: int) -> Picture:
    """The spans of one request, one row each: thin upright lines while it waits, solid while it is worked on.

    Hatched as in the player: the work goes on, but nobody waits for it any more.
    """
    spans = sorted((s for s in run.trace.spans if s[0] == request), key=lambda s: s[4])
    user = next((r for r in run.trace.requests if r[0] == request), None)
    if user is None:
        refuse("request", request, f"a request of this run, 1 to {run.requests}")
    over = _nobody_waits(run, spans) if spans else {}
    figure, (axes,) = canvas(height=0.9 + 0.3 * (len(spans) + 1))
    axes.grid(visible=False)
    stop = run.until if math.isnan(user[2]) else user[2]
    axes.barh(0, stop - user[1], left=user[1], color="#bbbbbb", edgecolor=BLACK, height=0.6)
    labels = [f"user: {STATUSES[user[3]]}"]
    said = [f"The user waited {stop - user[1]:.3g} s and got: {STATUSES[user[3]]}"]
    for row, (_, span, _, node, arrived, started, ended, status, attempt) in enumerate(spans, 1):
        finish = run.until if math.isnan(ended) else ended
        begin = finish if math.isnan(started) else started
        left = min(max(over[span], begin), finish)
        vain = finish - left if finish - left > 1e-6 else 0.0
        axes.barh(row, begin - arrived, left=arrived, height=0.6, **WAITS)
        axes.barh(row, left - begin, left=begin, height=0.6, **WORKS)
        axes.barh(row, vain, left=left, height=0.6, **FOR_NOBODY)
        name = run.trace.nodes[node].name
        state = "too late" if vain and status == OK else STATUSES[status]
        labels.append(f"{name}, attempt {attempt}: {state}")
        said.append(
            f"{name}, attempt {attempt}: waited {begin - arrived:.3g} s, worked {finish - begin:.3g} s, "
            + (f"{vain:.3g} s of that for nobody, " if vain else "")
            + ("still open" if status == OPEN else state)
        )
    last = max([stop, *(s[6] for s in spans if not math.isnan(s[6]))])
    margin = 0.02 * (last - user[1])
    axes.set_xlim(user[1] - margin, last + margin)
    axes.barh(0, 0, left=stop, label="waits for a worker", **WAITS)
    axes.barh(0, 0, left=stop, label="is worked on", **WORKS)
    axes.barh(0, 0, left=stop, label="work for nobody", **FOR_NOBODY)
    axes.axvline(stop, color=BLACK, linestyle="dashed", linewidth=0.8, label="the user stops waiting")
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("simulated time (s)")
    figure.legend(fontsize=8, frameon=False, ncols=4, loc="outside upper right")
    return Picture(figure, f"Waterfall of request {request}. " + "; ".join(said) + ".")


def against_theory(
    labels: Sequence[str],
    measured: Sequence[Interval],
    theory: Sequence[float],
    quantity: str,
    source: str = "theory",
) -> Picture:
    """Measured means with their intervals, beside what theory or a publication says, one row per label."""
    if not len(labels) == len(measured) == len(theory):
        refuse("labels", list(labels), f"as many as measured ({len(measured)}) and theory ({len(theory)})")
    figure, (axes,) = canvas(height=0.9 + 0.42 * len(labels))
    axes.grid(visible=False)
    rows = range(len(labels))
    axes.plot(
        list(theory),
        list(rows),
        marker="|",
        markersize=20,
        color=RED,
        linestyle="none",
        markeredgewidth=2,
        label=source,
    )
    axes.errorbar(
        [m.mean for m in measured],
        list(rows),
        xerr=[[m.mean - m.low for m in measured], [m.high - m.mean for m in measured]],
        fmt="o",
        color=BLUE,
        capsize=4,
        label=f"measured, {measured[0].n} runs, 95 % interval",
    )
    axes.set_yticks(list(rows), list(labels))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(quantity)
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    said = [
        f"{label}: measured {m.mean:.4g} ({m.low:.4g} to {m.high:.4g}), {source} {value:.4g}"
        for label, m, value in zip(labels, measured, theory, strict=True)
    ]
    return Picture(figure, f"{quantity}. " + "; ".join(said) + ".")

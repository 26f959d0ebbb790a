"""The radar chart of a maturity assessment, and how outcomes of an ROI spread."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi

from matplotlib.figure import Figure

from ..arguments import refuse
from ..figures import BLACK, BLUE, COLOURS, DASHES, RED, Picture, canvas
from .maturity import LEVELS
from .roi import Return

MARKERS = "osD^"


def radar(charts: Mapping[str, Mapping[str, int]], title: str = "") -> Picture:
    """One line for each of `charts`: {name: {dimension: level}}, such as today's and the goal's.

    Each has its colour, its dash and its marker; the alternative text has all levels.
    """
    if not charts or len({tuple(chart) for chart in charts.values()}) != 1:
        refuse("charts", dict(charts), "at least one chart, all with the same dimensions")
    dimensions = list(next(iter(charts.values())))
    angles = [2 * pi * i / len(dimensions) for i in range(len(dimensions))]
    figure = Figure(figsize=(5.2, 4.2), layout="constrained", facecolor="white")
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_offset(pi / 2)  # type: ignore[attr-defined]
    axes.set_theta_direction(-1)  # type: ignore[attr-defined]
    for (name, chart), colour, dash, marker in zip(charts.items(), COLOURS, DASHES, MARKERS, strict=False):
        values = [chart[dimension] for dimension in dimensions]
        closed = [*values, values[0]], [*angles, angles[0]]
        axes.plot(closed[1], closed[0], color=colour, linestyle=dash, marker=marker, label=name)
        axes.fill(closed[1], closed[0], color=colour, alpha=0.08)
    axes.set_xticks(angles, dimensions)
    axes.set_yticks(list(LEVELS), [str(level) for level in LEVELS], fontsize=8)
    axes.set_ylim(0, 5)
    axes.set_title(title, fontsize=10)
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=len(charts))
    said = [
        f"{name}: " + ", ".join(f"{dimension} {level}" for dimension, level in chart.items())
        for name, chart in charts.items()
    ]
    return Picture(figure, "Levels of maturity, 1 to 5, as a radar. " + "; ".join(said) + ".")


def spread(result: Return) -> Picture:
    """How often each return came out, with 1x, the median and the interval."""
    figure, (axes,) = canvas(height=2.4)
    top = float(result.samples[int(0.995 * len(result.samples))])
    axes.hist(result.samples, bins=60, range=(0, top), color=BLUE, alpha=0.5)
    axes.axvline(1, color=RED, linestyle="dashed", label="1x: it pays back what it costs")
    axes.axvline(result.median, color=BLACK, label="median")
    axes.axvspan(result.low, result.high, color="#bbbbbb", alpha=0.3, linewidth=0, label="interval")
    axes.set(xlabel="gain over cost", ylabel="outcomes")
    axes.legend(fontsize=8, frameon=False)
    return Picture(figure, f"How often each return came out: {result}.")

"""A picture of a line with workers: when each request arrived, how long it waited, when it was worked on.

A check of a queue shows it when it fails:

    expect.picture(of_waits(gaps, services, right, mine))
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple


class Bar(NamedTuple):
    """One request: it waits from `arrives` to `starts` and is worked on until `ends` (seconds)."""

    arrives: float
    starts: float
    ends: float


def bars(gaps: Sequence[float], waits: Sequence[float], services: Sequence[float]) -> list[Bar]:
    """The bars of requests with these gaps between arrivals, waits and service times (seconds)."""
    rows = zip(accumulate(gaps), waits, services, strict=False)
    return [Bar(arrives, arrives + wait, arrives + wait + work) for arrives, wait, work in rows]


def of_waits(
    gaps: Sequence[float], services: Sequence[float], right: Sequence[float], mine: Any, first: int = 1
) -> "Timeline":
    """The right waits beside a learner's; the right ones alone where `mine` is no list of as many numbers.

    `first` is the number of the first request: 0 where the task counts like that.
    """
    runs = {"as it should be": bars(gaps, right, services)}
    if isinstance(mine, list | tuple) and len(mine) == len(right) and all(map(_finite, mine)):
        runs["yours"] = bars(gaps, mine, services)
    return Timeline(runs, first)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


class Timeline:
    """Several runs of the same requests under one time axis: `runs` maps a title to its bars."""

    def __init__(self, runs: Mapping[str, Sequence[Bar]], first: int = 1) -> None:
        self.first = first
        self.runs = {title: list(rows) for title, rows in runs.items()}
        self.end = max([1e-9, *(bar.ends for rows in self.runs.values() for bar in rows)])

    def text(self, width: int = 48) -> str:
        """One line a request: dots while it waits, `#` while it is worked on."""
        scale = width / self.end
        lines = []
        for title, rows in self.runs.items():
            lines.append(title)
            for number, bar in enumerate(rows, self.first):
                before, start, end = (round(max(0.0, t) * scale) for t in bar)
                line = " " * before + "." * (start - before) + "#" * max(1, end - start)
                lines.append(f"{number:>4} |{line:<{width}}| waits {bar.starts - bar.arrives:.3g} s")
        return "\n".join([*lines, f"      0{'':{width - 2}}{self.end:.3g} s"])

    def figure(self) -> Any:
        """The same as a figure: one panel a run."""
        from interplay.figures import BLUE, ORANGE, canvas

        most = max(1, *(len(rows) for rows in self.runs.values()))
        figure, panels = canvas(rows=len(self.runs), height=0.8 + 0.22 * most)
        for axes, (title, rows) in zip(panels, self.runs.items(), strict=True):
            numbers = range(self.first, self.first + len(rows))
            come, start = [bar.arrives for bar in rows], [bar.starts for bar in rows]
            waiting = [bar.starts - bar.arrives for bar in rows]
            work = [bar.ends - bar.starts for bar in rows]
            look = {"color": "white", "edgecolor": ORANGE, "hatch": "////"}
            axes.barh(numbers, waiting, 0.7, come, label="waits", **look)  # type: ignore[arg-type]
            axes.barh(numbers, work, 0.7, start, color=BLUE, label="is worked on")
            axes.set(title=title, ylabel="request", yticks=list(numbers), xlim=(0, 1.02 * self.end))
            axes.invert_yaxis()
        panels[0].legend(fontsize=8, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
        panels[-1].set_xlabel("seconds")
        return figure

"""Experiments: repeat a run over seeds, and say how sure the answer is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from .arguments import number, refuse

T = TypeVar("T")


class Interval(NamedTuple):
    """A mean and its confidence interval over `n` independent runs."""

    mean: float
    low: float
    high: float
    n: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.mean:.4g} ({self.low:.4g} to {self.high:.4g}, {self.n} runs)"


def interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Student's t interval for the mean of independent values, one per run."""
    from scipy.stats import t  # here, because importing it takes most of a second

    number("level", level, above=0, most=0.9999)
    xs = np.asarray(list(values), float)
    if len(xs) < 2:
        refuse("values", xs.tolist(), "at least two runs: one says nothing about chance")
    mean = float(xs.mean())
    half = float(t.ppf((1 + level) / 2, len(xs) - 1) * xs.std(ddof=1) / len(xs) ** 0.5)
    return Interval(mean, mean - half, mean + half, len(xs))


def replicate(measure: Callable[[int], float], seeds: Iterable[int] = range(1, 11)) -> list[float]:
    """`measure(seed)` for each seed."""
    return [measure(seed) for seed in seeds]


def paired(
    one: Callable[[int], float],
    other: Callable[[int], float],
    seeds: Sequence[int] = range(1, 11),
    level: float = 0.95,
) -> Interval:
    """The difference `one(seed) - other(seed)` on the same seeds: both meet the same arrivals and work."""
    return interval((one(seed) - other(seed) for seed in seeds), level)


def sweep(
    measure: Callable[[T, int], float],
    values: Iterable[T],
    seeds: Iterable[int] = range(1, 11),
    *,
    level: float = 0.95,
    file: str | Path | None = None,
    processes: int | None = None,
    scheduler: str | None = None,
    progress: bool = True,
) -> list[Interval]:
    """`measure(value, seed)` over all seeds, as one interval per value.

    It uses all cores, or so many `processes`, once that is worth it; or a Dask cluster, by the address of its
    `scheduler` ("tcp://127.0.0.1:8786"). The numbers are the same everywhere. With a `file`, each result is
    kept there as it comes: interrupted, and called again with the same file, it goes on where it was. (It
    knows a measure by its name only: take a new file when you have changed it.)
    """
    from .sweeping import run_all

    number("level", level, above=0, most=0.9999)
    every, seeds = list(values), list(seeds)
    if len(set(seeds)) < 2:
        refuse("seeds", seeds, "at least two: one run says nothing about chance")
    results = run_all(
        measure, every, seeds, file=file, processes=processes, scheduler=scheduler, progress=progress
    )
    return [interval(each, level) for each in results]

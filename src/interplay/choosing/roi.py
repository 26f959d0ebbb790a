"""What a change returns on its cost, reckoned from your own numbers, with their uncertainty.

No number here is ours. You say between what and what each one lies; the result is a range, too, and how often
it does not pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arguments import number, refuse, whole

Range = tuple[float, float] | tuple[float, float, float]
"""(low, high): anything between is equally likely; (low, likely, high): a triangle, its peak at likely."""


class Return(NamedTuple):
    """Gain over cost: the median, the interval from `low` to `high`, and the share of outcomes below 1x.

    `samples` are all of them, sorted.
    """

    median: float
    low: float
    high: float
    below_one: float
    samples: np.ndarray

    def __str__(self) -> str:
        return (
            f"{self.median:.2g}x ({self.low:.2g}x to {self.high:.2g}x); "
            f"{100 * self.below_one:.0f} % of the outcomes are below 1x"
        )


def roi(
    once: Mapping[str, Range],
    yearly: Mapping[str, Range],
    gains: Mapping[str, Range | Sequence[Range]],
    *,
    years: float = 3.0,
    level: float = 0.9,
    samples: int = 10_000,
    seed: int = 1,
) -> Return:
    """The return over some `years`: all gains over all costs.

    `once` is what it costs to build, `yearly` what it costs to run, `gains` what it brings a year; a gain
    that is a list of ranges is their product, such as outages avoided a year times what one costs. The
    interval holds the share `level` of the outcomes.
    """
    number("years", years, above=0)
    number("level", level, above=0, most=0.9999)
    whole("samples", samples, least=100)
    if not once and not yearly:
        refuse("once", once, "at least one cost, here or in yearly: nothing is free")
    if not gains:
        refuse("gains", gains, "at least one gain")
    generator = np.random.default_rng(seed)

    def draw(name: str, between: Any) -> np.ndarray:
        if isinstance(between, list):
            return np.prod([draw(name, each) for each in between], axis=0)
        return _draw(generator, name, between, samples)

    def total(items: Mapping[str, Any]) -> np.ndarray:
        return np.sum([np.zeros(samples), *(draw(name, between) for name, between in items.items())], axis=0)

    cost, gain = total(once) + years * total(yearly), years * total(gains)
    if np.any(cost <= 0):
        refuse("the costs", [*once, *yearly], "above 0 together: nothing is free")
    result = np.sort(gain / cost)
    low, median, high = np.quantile(result, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Return(float(median), float(low), float(high), float(np.mean(result < 1)), result)


def _draw(generator: np.random.Generator, name: str, between: Any, samples: int) -> np.ndarray:
    """So many values of a range."""
    ends = tuple(between) if isinstance(between, Sequence) and not isinstance(between, str) else ()
    if len(ends) not in (2, 3) or list(ends) != sorted(ends) or ends[0] < 0:
        refuse(name, between, "(low, high) or (low, likely, high), ascending, at least 0")
    if ends[0] == ends[-1]:
        return np.full(samples, float(ends[0]))
    low, *likely, high = map(float, ends)
    if likely:
        return generator.triangular(low, likely[0], high, samples)
    return generator.uniform(low, high, samples)

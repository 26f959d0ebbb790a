"""How hard each part and question was, and whether it tells strong from weak."""

import math
from dataclasses import dataclass
from statistics import fmean

from coursework.layout import Assignment
from coursework.marking.one import Result

FEW = 30
"""With fewer marked submissions than this, a discrimination is a hint and no more."""


@dataclass(frozen=True)
class Item:
    """A test cell or question over the class: shares from 0 to 1, and the item-rest correlation.

    `right` is the share with all the points, `mean` the mean share of the points. `discrimination` is the
    point-biserial correlation (Pearson's, where there are partial marks) of the item with the sum of the
    assignment's other items; None where either of them is the same for everybody.
    """

    what: Assignment
    name: str
    n: int
    right: float
    mean: float
    discrimination: float | None


def items(results: list[Result]) -> list[Item]:
    """The items of one assignment, in the order of their names, from the submissions that have a mark."""
    marked = [result for result in results if result.marks]
    names = {name: None for result in marked for name in result.marks or {}}
    found = []
    for name in sorted(names, key=_natural):
        having = [result.marks for result in marked if result.marks and name in result.marks]
        shares = [marks[name][0] / marks[name][1] if marks[name][1] else 0.0 for marks in having]
        rest = [sum(mark for other, (mark, _) in marks.items() if other != name) for marks in having]
        right = fmean(share >= 1 for share in shares)
        found.append(Item(marked[0].what, name, len(having), right, fmean(shares), correlation(shares, rest)))
    return found


def correlation(xs: list[float], ys: list[float]) -> float | None:
    """Pearson's; None where one of the two does not vary."""
    if len(xs) < 3:
        return None
    x, y = fmean(xs), fmean(ys)
    sxx, syy = sum((a - x) ** 2 for a in xs), sum((b - y) ** 2 for b in ys)
    if sxx < 1e-12 or syy < 1e-12:
        return None
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / math.sqrt(sxx * syy)


def caveat(n: int) -> str:
    """How far a discrimination from `n` submissions may be off, in words."""
    if n < 4:
        return "With fewer than four marked submissions, discrimination says nothing."
    off = math.tanh(1.96 / math.sqrt(n - 3))  # Fisher's interval round 0
    said = f"With {n} marked submissions chance alone gives values up to ±{off:.2f}."
    return said + (" Take them as a hint where to look, and not as a judgement." if n < FEW else "")


def _natural(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name, 0)

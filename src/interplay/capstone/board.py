"""The score board: designs beside each other, promises first, then the service levels, then the cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from matplotlib.figure import Figure

from ..arguments import refuse
from ..figures import BLACK, BLUE, RED, Picture
from .levels import LEVELS
from .score import Score

PROMISES = {"books": "broken_books", "letters": "broken_letters"}
MET: dict[str, Any] = {"color": BLUE, "edgecolor": BLUE}
MISSED: dict[str, Any] = {"color": "#f6dbc7", "edgecolor": RED, "hatch": "////"}


class Cell:
    """One number of the board: its `value`, as it is `shown`, and whether it is good enough."""

    def __init__(self, value: float, shown: str, met: bool) -> None:
        self.value, self.shown, self.met = value, shown, met

    def __str__(self) -> str:
        return f"{'✓' if self.met else '✗'} {self.shown}"


def rows(scores: Mapping[str, Score]) -> dict[str, dict[str, Cell]]:
    """The cells of the board: by measure, then by design."""
    if not scores:
        refuse("scores", dict(scores), "at least one score, as {name: score}")
    found: dict[str, dict[str, Cell]] = {}
    for name, attribute in PROMISES.items():
        broken = {design: getattr(score, attribute) for design, score in scores.items()}
        found[f"{name} broken"] = {
            design: Cell(len(runs), f"in {len(runs)} of {len(scores[design].outcomes)}", not runs)
            for design, runs in broken.items()
        }
    for level in LEVELS:
        values = {design: score.value(level) for design, score in scores.items()}
        found[level.name] = {
            design: Cell(value, level.shown(value), level.met(value)) for design, value in values.items()
        }
    return found


class Board:
    """The score board as a table. ✓ is good enough, ✗ is not."""

    def __init__(self, scores: Mapping[str, Score]) -> None:
        self.rows = rows(scores)
        self.designs = list(scores)
        self.wanted = {f"{name} broken": "in none" for name in PROMISES}
        self.wanted |= {level.name: level.wanted for level in LEVELS}

    def __str__(self) -> str:
        lines = [["", *self.designs, "wanted"]]
        lines += [[name, *map(str, row.values()), self.wanted[name]] for name, row in self.rows.items()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        padded = (zip(line, widths, strict=True) for line in lines)
        return "\n".join("  ".join(f"{text:<{width}}" for text, width in line).rstrip() for line in padded)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ["", *self.designs, "wanted"])
        body = ""
        for name, row in self.rows.items():
            cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in row.values())
            body += f'<tr><th scope="row">{name}</th>{cells}<td>{escape(self.wanted[name])}</td></tr>'
        html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return {"text/html": html, "text/plain": str(self)}


def table(scores: Mapping[str, Score]) -> Board:
    """The score board as a table: `table({"mine": score(design, schedules(40))})`."""
    return Board(scores)


def board(scores: Mapping[str, Score]) -> Picture:
    """The score board as a figure: a panel a measure, a bar a design, a line for what is wanted.

    A bar that is hatched is not good enough. A bar that would be too long ends in an arrow.
    """
    found, designs = rows(scores), list(scores)
    figure = Figure(figsize=(9.6, 1.5 + 0.62 * len(designs)), layout="constrained", facecolor="white")
    panels = figure.subplots(2, 4, sharey=True).ravel()
    limits = {f"{name} broken": 0.0 for name in PROMISES}
    limits |= {level.name: level.limit for level in LEVELS}
    wanted = {level.name: f", {level.wanted}" for level in LEVELS}
    for axes, (name, row) in zip(panels, found.items(), strict=True):
        _panel(axes, name + wanted.get(name, ", in none"), list(row.values()), limits[name])
        axes.set_yticks(range(len(designs)), designs)
        axes.set_ylim(len(designs) - 0.4, -0.6)
    said = [
        f"{design}: " + ", ".join(f"{name} {row[design].shown}" for name, row in found.items())
        + f"; not good enough: {', '.join(n for n, row in found.items() if not row[design].met) or 'nothing'}"
        for design in designs
    ]  # fmt: skip
    return Picture(figure, "Score board. " + ". ".join(said) + ".")


def _panel(axes: Any, title: str, cells: list[Cell], limit: float) -> None:
    finite = [cell.value for cell in cells if math.isfinite(cell.value)]
    most = max([1e-9, limit, *finite])
    good = [cell.value for cell in cells if cell.met]
    edge = min(most, max([3 * limit, *good])) if limit else most
    for y, cell in enumerate(cells):
        length = min(cell.value, edge)
        axes.barh(y, length, height=0.6, **(MET if cell.met else MISSED))
        arrow = " →" if cell.value > edge else ""
        within = length > 0.5 * edge
        words = cell.shown + arrow
        style: dict[str, Any] = {"color": "white" if within and cell.met else BLACK, "fontsize": 8}
        if within and not cell.met:  # the hatching is under it
            style["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
        axes.text(length - 0.02 * edge if within else length + 0.02 * edge, y, words, va="center",
                  ha="right" if within else "left", **style)  # fmt: skip
    if limit:
        axes.axvline(limit, color=BLACK, linestyle="dashed", linewidth=1)
    axes.set_xlim(0, 1.02 * edge)
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelbottom=False, bottom=False, labelsize=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)

"""A real run beside simulated ones of the same design under the same schedule.

One run of 15 s has few orders, and so much luck in it. What luck does is seen in the simulated ones:
between `low` and `high` are 90 % of them, and a real value in there is one that the simulation would not be
surprised by.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..arguments import whole
from ..capstone import Design, Outcome, Score, play


def _median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2] if times else math.nan


class Measure(NamedTuple):
    """What is measured of a score, and how it is shown."""

    what: str
    of: Callable[[Score], float]
    form: str = "{:.3g}"
    scale: float = 1.0


def _answers(kind: str) -> Callable[[Score], float]:
    return lambda score: _median([t for outcome in score.outcomes for t in outcome.answers[kind]])


MEASURES = (
    Measure("pages: a good answer within 0.5 s", lambda s: s.soon("page"), "{:.1f} %", 100),
    Measure("pages: median", _answers("page"), "{:.0f} ms", 1000),
    Measure("pages that show old stock", lambda s: s.old, "{:.1f} %", 100),
    Measure("orders: a good answer within 1 s", lambda s: s.soon("order"), "{:.1f} %", 100),
    Measure("orders: median", _answers("order"), "{:.0f} ms", 1000),
    Measure(
        "news: median of staleness",
        lambda s: _median([t for o in s.outcomes for t in o.staleness]),
        "{:.2f} s",
    ),
    Measure("news: 99th percentile", lambda s: s.stale, "{:.2f} s"),
    Measure("messages for each request", lambda s: s.messages, "{:.1f}"),
    Measure("books broken", lambda s: len(s.broken_books) / len(s.outcomes), "{:.0f} % of the runs", 100),
    Measure("letters broken", lambda s: len(s.broken_letters) / len(s.outcomes), "{:.0f} % of the runs", 100),
)


@dataclass
class Beside:
    """`real` is the score of one run, `simulated` that of several."""

    real: Score
    simulated: Score

    def lines(self) -> list[dict[str, Any]]:
        """By measure: the real value, the simulated one of all runs, `low` to `high` of single runs.

        `usual` says whether the real value is among those of 90 % of the runs; `shown` has the texts.
        """
        found = []
        for what, of, form, scale in MEASURES:
            each = np.array([of(Score([outcome])) for outcome in self.simulated.outcomes])
            low, high = (float(np.quantile(each, q, method="nearest")) for q in (0.05, 0.95))
            row: dict[str, Any] = {"what": what, "real": of(self.real), "simulated": of(self.simulated)}
            row |= {"low": low, "high": high, "usual": low <= row["real"] <= high}
            row["shown"] = {
                name: _shown(form, scale, row[name]) for name in ("real", "simulated", "low", "high")
            }
            found.append(row)
        return found

    @property
    def broken(self) -> list[str]:
        """What is broken in the real run, in words; empty when every promise is kept."""
        return [
            words for outcome in self.real.outcomes for words in (outcome.books, outcome.letters) if words
        ]

    def _table(self) -> list[list[str]]:
        rows = [["", "real", "simulated", "90 % of the runs"]]
        for line in self.lines():
            shown = line["shown"]
            between = shown["low"] if shown["low"] == shown["high"] else f"{shown['low']} to {shown['high']}"
            if line["what"].endswith("broken"):
                between, shown["real"] = "", "yes" if line["real"] else "no"
            rows.append([line["what"], shown["real"], shown["simulated"], between])
        return rows

    def _said(self) -> list[str]:
        counts = [len(self.real.outcomes[0].answers[kind]) for kind in ("page", "order")]
        said = [
            f"Real: one run with {counts[0]} pages and {counts[1]} orders. Simulated: "
            f"{len(self.simulated.outcomes)} runs."
        ]
        return [*said, *(f"Broken: {words}." for words in self.broken)]

    def __str__(self) -> str:
        table = self._table()
        widths = [max(len(row[i]) for row in table) for i in range(4)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
            )
            for row in table
        ]
        return "\n".join([*(line.rstrip() for line in lines), *self._said()])

    def _repr_html_(self) -> str:
        head, *rows = self._table()

        def cells(row: list[str], kind: str) -> str:
            first, *others = (html.escape(cell) for cell in row)
            return f'<tr><th scope="row" style="text-align:left">{first}</th>' + "".join(
                f"<{kind}>{cell}</{kind}>" for cell in others
            )

        body = "</tr>".join([cells(head, "th"), *(cells(row, "td") for row in rows), ""])
        said = "".join(f"<p>{html.escape(words)}</p>" for words in self._said())
        return f"<table>{body}</table>{said}"


def beside(design: Design, real: Outcome, schedule: dict[str, Any], runs: int = 20) -> Beside:
    """Simulate the same design under the same schedule, without its points, `runs` times."""
    whole("runs", runs, least=1)
    alike = [{**schedule, "seed": schedule["seed"] + n, "points": {}} for n in range(1, runs + 1)]
    return Beside(Score([real]), Score([play(design, one) for one in alike]))


def _shown(form: str, scale: float, value: float) -> str:
    if math.isinf(value):
        return "never"
    return "–" if math.isnan(value) else form.format(scale * value)

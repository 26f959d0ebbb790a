"""The pictures of the class's page: how the marks are spread, and how hard each item was."""

import base64
import io
from statistics import fmean, median

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from coursework.analysis.items import Item
from interplay.figures import BLUE, ORANGE, canvas

BINS = 10


def marks_spread(marks: list[float], most: float) -> tuple[Figure, str]:
    """A histogram of the marks, and what it shows in words."""
    figure, (axes,) = canvas()
    edges = [most * n / BINS for n in range(BINS + 1)]
    counts, _, _ = axes.hist(marks, bins=edges, color=BLUE, edgecolor="white")
    axes.axvline(median(marks), color=ORANGE, linestyle="--", label=f"median {median(marks):g}")
    axes.set(xlabel=f"points of {most:g}", ylabel="learners", xlim=(0, most))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    spread = ", ".join(
        f"{edges[n]:g} to {edges[n + 1]:g}: {int(count)}" for n, count in enumerate(counts) if count
    )
    words = f"Marks of {len(marks)} learners: median {median(marks):g}, mean {fmean(marks):.3g} of {most:g}. "
    return figure, f"{words}Learners by points: {spread}."


def difficulty(items: list[Item]) -> tuple[Figure, str]:
    """A bar an item: its mean share of the points, the hardest on top, with its discrimination beside it."""
    ranked = sorted(items, key=lambda item: item.mean, reverse=True)
    figure, (axes,) = canvas(height=0.8 + 0.28 * len(ranked))
    axes.barh(range(len(ranked)), [100 * item.mean for item in ranked], 0.7, color=BLUE)
    for place, item in enumerate(ranked):
        told = "–" if item.discrimination is None else f"{item.discrimination:+.2f}"
        axes.text(101, place, told, va="center", fontsize=9)
    axes.set(yticks=range(len(ranked)), yticklabels=[item.name for item in ranked], xlim=(0, 112))
    axes.set(xlabel="mean share of the points, %; the number is the discrimination", xticks=range(0, 101, 20))
    axes.grid(visible=False)
    bars = ", ".join(f"{item.name} {100 * item.mean:.0f} %" for item in reversed(ranked))
    return figure, f"Mean share of the points, from the hardest: {bars}."


def as_data(figure: Figure) -> str:
    """The figure as the address of a picture that is in the page itself."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"

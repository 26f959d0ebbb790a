"""The page's code: the files of page/, joined in the order in which they build on each other."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PAGE = Path(__file__).parent / "page"

PLAYER = (
    "decode.js",  # bytes to columns
    "measure.js",  # what is true of a run at a time
    "words.js",  # numbers and sentences
    "dom.js",  # small helpers for the document
    "glyphs.js",  # the shapes and colours of messages
    "cards.js",  # services: workers, queue, what protects them
    "brokers.js",  # queues, logs, topics
    "lanes.js",  # messages on their way
    "stage.js",  # a row: cards and lanes of one run
    "chart.js",  # panels over the same time axis
    "timeline.js",  # play, step, scrub, moments
    "controls.js",  # sliders, choices, break it, compare, say it again
    "follow.js",  # one request and its waterfall
    "player.js",  # all of it together
)
PREDICT = ("dom.js", "predict.js")


@cache
def script(names: tuple[str, ...]) -> str:
    """The joined JavaScript module; its last file holds the export."""
    return "\n".join(f"// ---- {name}\n{(PAGE / name).read_text('utf-8')}" for name in names)


@cache
def style(*names: str) -> str:
    """The joined style sheets."""
    return "\n".join((PAGE / name).read_text("utf-8") for name in names)

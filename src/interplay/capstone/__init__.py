"""The whole shop under a fault schedule: one configuration, one saga and one consumer are a design.

================  ====================================================================================
configuration.py  what may stand in a configuration, and what is wrong with one
desk.py           orders, which asks the design's saga about one order at a time
listeners.py      notifications, which asks the design's consumer; analytics; the relay of the outbox
shop.py           the shop, built from a design and a schedule
schedules.py      fault schedules as plain data, from a seed, and in words
levels.py         the service levels and the cost, as data
score.py          what became of it: promises first, then the service levels, then the cost
board.py          the score board: designs beside each other
replay.py         a schedule that breaks a design: made shorter, drawn, played
designs.py        four designs to compare with
================  ====================================================================================
"""

from .board import board, table
from .configuration import SETTINGS, problems
from .designs import changed, designs
from .levels import LEVELS, Level
from .replay import LAYOUT, paste, replay, shortest, story, watch
from .schedules import schedule, schedules, words
from .score import Outcome, Score, play, score
from .shop import Design, Shop

__all__ = [
    "LAYOUT", "LEVELS", "SETTINGS", "Design", "Level", "Outcome", "Score", "Shop", "board", "changed",
    "designs", "paste", "play", "problems", "replay", "schedule", "schedules", "score", "shortest",
    "story", "table", "watch", "words",
]  # fmt: skip

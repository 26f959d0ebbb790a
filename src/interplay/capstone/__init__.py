"""The whole shop under a fault schedule: one configuration, one saga and one consumer are a design.

================  ====================================================================================
configuration.py  what may stand in a configuration, and what is wrong with one
desk.py           orders, which asks the design's saga about one order at a time
listeners.py      notifications, which asks the design's consumer; analytics; the relay of the outbox
shop.py           the shop, built from a design and a schedule
schedules.py      fault schedules as plain data, from a seed
score.py          what became of it: promises first, then the service levels, then the cost
designs.py        four designs to compare with
================  ====================================================================================
"""

from .configuration import SETTINGS, problems
from .designs import changed, designs
from .schedules import schedule, schedules
from .score import Outcome, Score, play, score
from .shop import Design, Shop

__all__ = [
    "SETTINGS", "Design", "Outcome", "Score", "Shop", "changed", "designs", "play", "problems", "schedule",
    "schedules", "score",
]  # fmt: skip

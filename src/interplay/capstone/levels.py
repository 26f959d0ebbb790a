"""The service levels and the cost of the whole shop, as data: what is wanted, and how it is said.

Promises come before these, and are in no need of a limit: no money and no stock may be lost or invented, no
letter lost or written twice, under no schedule.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SOON = {"page": 0.5, "order": 1.0}  # s; an answer within so long is a good one


class Level(NamedTuple):
    """A measure of a score: `least` or `most` is wanted of `what`. `form` shows `scale` times the value."""

    name: str
    what: str
    form: str
    least: float | None = None
    most: float | None = None
    scale: float = 1
    cost: bool = False

    def met(self, value: float) -> bool:
        """Whether this value is good enough."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def limit(self) -> float:
        """The number that is wanted."""
        return (self.most or 0.0) if self.least is None else self.least

    @property
    def wanted(self) -> str:
        """What is wanted, in words."""
        return f"at {'most' if self.least is None else 'least'} {self.shown(self.limit, '{:g}')}"

    def shown(self, value: float, number: str = "") -> str:
        """The value, as it is shown on the score board; `number` is another way to write it."""
        return (re.sub("{.*}", number, self.form) if number else self.form).format(self.scale * value)


LEVELS = (
    Level("pages", "a good answer within 0.5 s", "{:.1f} %", least=0.97, scale=100),
    Level("old pages", "pages of what was in stock some time ago", "{:.1f} %", most=0.14, scale=100),
    Level("orders", "a good answer within 1 s", "{:.1f} %", least=0.90, scale=100),
    Level("staleness", "until analytics knows, 99th percentile", "{:.2f} s", most=2.5),
    Level("messages", "for each request", "{:.1f}", most=12.0, cost=True),
    Level("workers", "that are paid for", "{:.0f}", most=26, cost=True),
)

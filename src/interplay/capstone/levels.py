"""The service levels and the cost of the whole shop, as data: what is wanted, and how it is said.

Promises come before these, and are in no need of a limit: no money and no stock may be lost or invented, no
letter lost or written twice, under no schedule.
"""

from __future__ import annotations

from typing import NamedTuple

SOON = {"page": 0.5, "order": 1.0}  # s; an answer within so long is a good one


class Level(NamedTuple):
    """A measure of a score: `least` or `most` is wanted. `says` has a place for the value, as it is shown."""

    name: str
    says: str
    least: float | None = None
    most: float | None = None
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
        return f"at {'most' if self.least is None else 'least'} {self.shown(self.limit)}"

    def shown(self, value: float) -> str:
        """The value, as it is shown on the score board."""
        return self.says.format(value)


LEVELS = (
    Level("pages", "{:.1%} within 0.5 s", least=0.97),
    Level("old pages", "{:.1%} of the pages", most=0.14),
    Level("orders", "{:.1%} within 1 s", least=0.93),
    Level("staleness", "{:.2f} s, 99th percentile", most=2.0),
    Level("messages", "{:.1f} a request", most=12.0, cost=True),
    Level("workers", "{:.0f}", most=26, cost=True),
)

"""Hedging: ask a second replica when the first is late, and use whichever answers first.

No clock: `now` (seconds) comes in as an argument.
"""

from __future__ import annotations

from .arguments import number
from .retry import RetryBudget


class Hedge:
    """A second attempt `after` seconds without an answer, for at most `share` of the requests.

    Choose `after` near the 95th percentile of the latency: then one request in twenty is hedged, and the
    tail is the chance that both are slow. At high load the second copies make everybody slower: each request
    pays in `share` tokens, each hedge takes one, and at most `burst` are saved up. Send the hedge to another
    replica, and cancel the loser.

    Source: J. Dean, L. A. Barroso, The Tail at Scale, CACM 56 (2013).
    """

    def __init__(self, after: float, share: float = 0.05, *, burst: float = 10.0) -> None:
        self.after = number("after", after, least=0)
        self.share = number("share", share, least=0, most=1)
        self._budget = RetryBudget(share, burst=burst)

    @property
    def tokens(self) -> float:
        """Hedges that could be sent now."""
        return self._budget.tokens

    def request(self, now: float) -> None:
        """A new request: it pays in."""
        self._budget.request(now)

    def allow(self, now: float) -> bool:
        """Whether a hedge may be sent now; takes a token."""
        return self._budget.allow(now)

"""The network: every message takes some time, a share of them never arrives, and links can be cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import simpy

from .after import After
from .arguments import number
from .streams import Distribution, Streams
from .trace import Trace

if TYPE_CHECKING:
    from .call import Call


class Network:
    """Carries messages between nodes: one-way `delay` (a distribution, seconds), `loss` a share in [0, 1)."""

    def __init__(
        self, env: simpy.Environment, streams: Streams, trace: Trace, delay: Distribution, loss: float = 0.0
    ) -> None:
        self.env = env
        self.sent = 0  # messages so far
        self.loss = number("loss", loss, least=0, most=1)
        self.cut: list[frozenset[int]] = []  # pairs of nodes that do not reach each other now
        self._record = trace.messages.append if trace.watched else None
        self._delay = streams.draws("network delay", delay)
        self._luck = streams.generator("network loss").random

    def send(self, source: int, target: int, kind: int, call: Call, deliver: Callable[[Any], None]) -> None:
        """Deliver a message of this call after its delay: `deliver(event)`, unless it is lost."""
        self.sent += 1
        delay = call.extra + self._delay()
        lost = (self.loss or self.cut) and self._loses(source, target)
        if self._record is not None:
            now = self.env._now
            arrives = math.inf if lost else now + delay
            self._record((now, arrives, source, target, kind, call.attempt, call.number))
        if lost:
            return
        if delay == 0:
            deliver(None)
        else:
            After(self.env, delay, deliver)

    def _loses(self, source: int, target: int) -> bool:
        return self._luck() < self.loss or frozenset((source, target)) in self.cut

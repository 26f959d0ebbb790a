"""The network: every message takes some time, a share of them never arrives, and links can be cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import simpy
from simpy.events import Timeout

from .arguments import number
from .streams import Constant, Distribution, Streams
from .trace import Trace


class Network:
    """Carries messages between nodes: one-way `delay` (a distribution, seconds), `loss` a share in [0, 1)."""

    def __init__(
        self, env: simpy.Environment, streams: Streams, trace: Trace, delay: Distribution, loss: float = 0.0
    ) -> None:
        self.env = env
        self.loss = number("loss", loss, least=0, most=1)
        self.cut: list[frozenset[int]] = []  # pairs of nodes that do not reach each other now
        self._record = trace.messages.append
        self._delay = streams.draws("network delay", delay)
        self._constant = float(delay.value) if isinstance(delay, Constant) else None
        self._luck = streams.generator("network loss").random

    def send(
        self,
        source: int,
        target: int,
        kind: int,
        attempt: int,
        request: int,
        deliver: Callable[[Any], None],
        extra: float = 0.0,
    ) -> None:
        """Deliver a message after its delay and `extra` seconds: `deliver(event)`, unless it is lost."""
        now = self.env.now
        delay = extra + (self._constant if self._constant is not None else self._delay())
        if (self.loss and self._luck() < self.loss) or (self.cut and frozenset((source, target)) in self.cut):
            self._record((now, math.inf, source, target, kind, attempt, request))
            return
        self._record((now, now + delay, source, target, kind, attempt, request))
        if delay == 0:
            deliver(None)
        else:
            Timeout(self.env, delay).callbacks.append(deliver)

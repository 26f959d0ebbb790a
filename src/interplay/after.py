"""What happens later: the engine's only kind of event that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL, Event

from .arguments import refuse


class After(Event):
    """Calls `callback(event)` after `delay` seconds; `value` is the event's."""

    __slots__ = ()

    def __init__(
        self, env: simpy.Environment, delay: float, callback: Callable[[Any], Any], value: Any = None
    ) -> None:
        if not delay >= 0:
            refuse("delay", delay, "a number of at least 0")
        self.env = env
        self.callbacks = [callback]
        self._ok = True
        self._value = value
        heappush(env._queue, (env._now + delay, NORMAL, next(env._eid), self))  # as env.schedule does


def run(env: simpy.Environment, until: float) -> None:
    """Let everything happen that is due before `until` (s): env.run without a call for each event."""
    queue = env._queue
    while queue and queue[0][0] < until:
        env._now, _, _, event = heappop(queue)
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)
        if not event._ok and not event.defused:
            raise event._value
    env._now = until

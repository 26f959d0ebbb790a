"""The simulated clock: simpy's, with a short way for what happens a million times."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import simpy
from simpy.events import NORMAL, Event

from .arguments import refuse


class Clock(simpy.Environment):
    """A simpy environment; asking it for the time is quicker, and is done in nearly every function here."""

    now = property(operator.attrgetter("_now"))


class After(Event):
    """Calls `callback(event)` after `delay` seconds: simpy's Timeout with one callback, in one step."""

    __slots__ = ()

    def __init__(
        self, env: simpy.Environment, delay: float, callback: Callable[[Any], None], value: Any = None
    ) -> None:
        if not delay >= 0:
            refuse("delay", delay, "a number of at least 0")
        self.env = env
        self.callbacks = [callback]
        self._ok = True
        self._value = value
        env.schedule(self, NORMAL, delay)

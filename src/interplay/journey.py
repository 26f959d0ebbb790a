"""Driving a generator of events, without the cost of a simpy process.

A `simpy.Process` schedules two events of its own, one to begin and one to end. A user's journey or a
service's handler needs neither: it begins at once, and whoever waits for it is told by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from simpy.events import Event

from .arguments import refuse


class _Driver:
    """Resumes a generator after each event that it waits for."""

    __slots__ = ("done", "steps")

    def __init__(self, steps: Generator[Event, Any, Any], done: Callable[[Any], None]) -> None:
        self.steps = steps
        self.done = done

    def resume(self, event: Event | None) -> None:
        while True:
            try:
                if event is None:
                    waits_for = next(self.steps)
                elif event._ok:
                    waits_for = self.steps.send(event._value)
                else:
                    event.defused = True
                    waits_for = self.steps.throw(event._value)
            except StopIteration as end:
                self.done(end.value)
                return
            try:
                callbacks = waits_for.callbacks
            except AttributeError:
                refuse("what was yielded", waits_for, "an event; write `yield from client.call(request)`")
            if callbacks is not None:
                callbacks.append(self.resume)
                return
            event = waits_for


def drive(steps: Generator[Event, Any, Any], done: Callable[[Any], None]) -> None:
    """Run `steps` now, resume it after each event that it yields, and call `done(result)` at its end.

    An exception of the generator, or of an event that failed, ends the whole simulation: it is a mistake in
    somebody's code, and the traceback shows the line.
    """
    if not hasattr(steps, "send"):
        refuse("a journey", steps, "a generator function: one with `yield from client.call(request)` in it")
    _Driver(steps, done).resume(None)

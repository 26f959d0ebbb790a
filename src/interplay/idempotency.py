"""An idempotent consumer: a message that comes again has no second effect.

What it has seen is kept in an inbox, a table beside the data that the effect changes, and both are written
in one commit. Marks that are older than the `window` are forgotten; it has to be longer than the time after
which a message can still come again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from .actions import Answer, Write, ack, commit, step
from .arguments import number

Effect = Callable[[dict[str, Any], Any], Iterable[Write]]
FORGET_AT_ONCE = 2
"""So many old marks are taken away with each new one: the inbox shrinks, and no message takes long."""


def fresh(inbox: dict[Any, float], mark: Any, now: float, window: float = math.inf) -> bool:
    """Whether this mark is new: not in the inbox, or there from more than `window` seconds ago."""
    seen = inbox.get(mark)
    return seen is None or now - seen > window


def remember(inbox: dict[Any, float], mark: Any, now: float, window: float = math.inf) -> list[Write]:
    """The writes that mark a message as seen, and forget a few whose time is over."""
    oldest = itertools.islice(inbox.items(), FORGET_AT_ONCE)
    old = [key for key, seen in oldest if now - seen > window and key != mark]
    return [*(("inbox", key, None) for key in old), ("inbox", mark, None), ("inbox", mark, now)]


def idempotent(
    effect: Effect, *, key: Callable[[Any], Any] = lambda body: body["id"], window: float = math.inf
) -> Callable[[Any, Any], Answer]:
    """A STEP that consumes a queue: `effect(stored, body)` returns the writes that a new message causes.

    `key(body)` is what tells two messages apart. It has to be the same whenever the message is sent again,
    and different for whatever is meant to have an effect of its own.
    """
    number("window", window, above=0)

    def consume(state: Any, event: Any) -> Answer:
        if event["kind"] != "delivery":
            return step(state)
        stored, now, body = state["stored"], event["now"], event["body"]
        inbox, mark = stored.get("inbox", {}), key(body)
        if not fresh(inbox, mark, now, window):
            return step(state, ack(event))
        return step(state, commit(*remember(inbox, mark, now, window), *effect(stored, body)), ack(event))

    return consume

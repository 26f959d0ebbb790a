"""Consumers that lose nothing: the work first, then the acknowledgement, and a fate for what fails.

The work itself is a function `handle(stored, message)` of the process's database (for reading) and a message.
It returns the writes to be committed (none for what was done before), None when it cannot do it now, or
"invalid" for what nobody will ever be able to do. A message comes at least once, so `handle` must see to it
that the second time does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from .actions import (
    Action,
    Answer,
    Event,
    Write,
    ack,
    call,
    commit,
    extend,
    nack,
    step,
    timer,
)
from .arguments import number, whole
from .retry import ExponentialBackoff

Handle = Callable[[dict[str, Any], Any], Iterable[Write] | Literal["invalid"] | None]
Step = Callable[[Any, Event], Answer]


def fate(deliveries: int, limit: int, base: float, cap: float) -> float | Literal["dead"]:
    """What becomes of a message that has failed in all of its `deliveries` so far.

    Seconds to wait before the next one, min(cap, base * 2**(deliveries - 1)), or "dead" from `limit` on.
    """
    if whole("deliveries", deliveries, least=1) >= whole("limit", limit, least=1):
        return "dead"
    return ExponentialBackoff(base, cap).ceiling(deliveries)


def _refusal(delivery: Event, limit: int, base: float, cap: float) -> Action:
    delay = fate(delivery["deliveries"], limit, base, cap)
    return nack(delivery, requeue=False) if delay == "dead" else nack(delivery, delay=delay)


def consumer(handle: Handle, *, limit: int = 5, base: float = 1.0, cap: float = 60.0) -> Step:
    """A STEP for a queue: it commits, and then acknowledges.

    What fails comes again after `base` seconds, then after twice as long, and so on up to `cap`. After
    `limit` deliveries it is a dead letter; what is invalid is one at once.
    """
    fate(1, limit, base, cap)

    def consume(state: Any, event: Event) -> Answer:
        if event["kind"] != "delivery":
            return step(state)
        writes = handle(state["stored"], event["body"])
        if writes == "invalid":
            return step(state, nack(event, requeue=False))
        if writes is None:
            return step(state, _refusal(event, limit, base, cap))
        return step(state, commit_all(writes), ack(event))

    return consume


def long_consumer(
    client: str,
    handle: Handle,
    *,
    every: float,
    lease: float,
    limit: int = 5,
    base: float = 1.0,
    cap: float = 60.0,
) -> Step:
    """A STEP for work that takes longer than a lease: a call of `client`, with a heartbeat meanwhile.

    Each `every` seconds the lease is renewed for `lease` seconds. When the call has ended well, `handle` says
    what to commit. After a crash nobody renews the lease: the message is soon with somebody else.
    """
    number("lease", lease, above=number("every", every, above=0))
    fate(1, limit, base, cap)

    def consume(state: Any, event: Event) -> Answer:
        kind, at_work = event["kind"], state.get("at work", ())
        if kind == "delivery":
            again = timer(every, {**event, "kind": "still at work"})
            state = {**state, "at work": (*at_work, event["receipt"])}
            return step(state, call(client, {**event, "kind": "answered"}), again)
        if kind == "still at work" and event["receipt"] in at_work:
            return step(state, extend(event, lease), timer(every, event))
        if kind == "answered":
            state = {**state, "at work": tuple(r for r in at_work if r != event["receipt"])}
            writes = handle(state["stored"], event["body"]) if event["status"] == "ok" else None
            if writes == "invalid":
                return step(state, nack(event, requeue=False))
            if writes is None:
                return step(state, _refusal(event, limit, base, cap))
            return step(state, commit_all(writes), ack(event))
        return step(state)

    return consume


def commit_all(writes: Any) -> Action | None:
    """One commit of all writes; none when there are none."""
    writes = tuple(writes)
    return commit(*writes) if writes else None

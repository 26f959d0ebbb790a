"""Four designs of the whole shop, to compare one's own with: three with a flaw, and a good mix.

`SYNC` asks one service after the other while the customer waits, and writes nothing down in between.
`RETRY` does the same with a record, and meets every failure with more attempts.
`ASYNC` puts everything into queues, each customer is answered at once, and news comes late.
`MIX` answers when the order has a record, goes on from it after a crash, waits longer each time it has to ask
again, and publishes by the outbox.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..actions import Action, Answer, Event, step
from .desk import Saga
from .listeners import Consumer
from .shop import Design

PLAN = (("reserve", "release"), ("charge", "refund"), ("ship", None))


def following(log: Mapping[str, bool]) -> str | None:
    """The command that an order with these answers needs next; None when it has ended."""
    for do, _ in PLAN:
        if do not in log:
            return do
        if not log[do]:
            break
    else:
        return None
    undos = [undo for do, undo in reversed(PLAN) if undo is not None and log.get(do) and undo not in log]
    return undos[0] if undos else None


def saga(patience: float = 1.0, growth: float = 2.0, most: float = 8.0) -> Saga:
    """A saga that goes on from its record, and asks again for what nobody has answered.

    It does so after `patience` seconds, then after `growth` times as long, up to `most`: whoever is slow gets
    no flood of the same question. A timer of an earlier question is not taken for that of the present one.
    """

    def ask(command: str, wait: float, now: float, *before: Action) -> Answer:
        question: list[Action] = [{"do": "send", "command": command}, {"do": "timer", "after": wait}]
        return step({"waits": command, "wait": wait, "until": now + wait}, *before, *question)

    def go_on(record: dict[str, Any], now: float, *, new: bool = False) -> Answer:
        command, did = following(record), all(record.values())
        news = "accepted" if new else None if command else "done" if did else "refused"
        written: Action = {"do": "commit", "record": record, "news": news}
        return ask(command, patience, now, written) if command else step({}, written, {"do": "reply"})

    def handle(state: Any, event: Event) -> Answer:
        record, kind, now = event["record"], event["kind"], event["now"]
        if kind == "place" and record is None:
            return go_on({}, now, new=True)
        if record is None:
            return step(state)
        command = following(record)
        if kind == "answer":
            if command is None or event["command"] != command:
                return step(state)
            if not event["ok"] and command in ("release", "refund"):
                return step(state)  # it has to be done: the timer asks again
            return go_on({**record, command: event["ok"]}, now)
        if command is None:
            return step(state, {"do": "reply"} if kind == "place" else None)
        if kind == "started":
            return ask(command, patience, now)
        if kind == "timer" and state.get("waits") == command and now > state["until"] - 0.01:
            return ask(command, min(growth * state["wait"], most), now)
        return step(state)

    return handle


def consumer(state: Any, event: Event) -> Answer:
    """A letter for each message, once: the letter and the record in one commit, then the acknowledgement."""
    if event["order"] is None:
        return step(state, {"do": "dead"})
    write = None if event["recorded"] else {"do": "write and record"}
    return step(state, write, {"do": "ack"})


def forgetful_saga(state: Any, event: Event) -> Answer:
    """Asks one after the other, from memory: what it did not write down, a crash makes it forget."""
    kind, log = event["kind"], dict(state.get("log", {}))
    if kind == "answer" and event["command"] == state.get("waits"):
        log[event["command"]] = event["ok"]
    elif kind != "place":
        return step(state)
    command = following(log)
    if command is None:
        news = "done" if all(log.values()) else "refused"
        last: list[Action] = [
            {"do": "commit", "record": log},
            {"do": "publish", "news": news},
            {"do": "reply"},
        ]
        return step({"log": log}, *last)
    first = {"do": "publish", "news": "accepted"} if kind == "place" else None
    return step({"log": log, "waits": command}, first, {"do": "send", "command": command})


def hasty_consumer(state: Any, event: Event) -> Answer:
    """Acknowledges first, and writes to whoever the message names."""
    return step(state, {"do": "ack"}, {"do": "write"})


def changed(config: Mapping[str, Any], **parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A copy of a configuration with some entries changed: `changed(mix, pages={"attempts": 1})`."""
    copied = copy.deepcopy({name: dict(part) for name, part in config.items()})
    for name, values in parts.items():
        copied[name] |= values
    return copied


MIX: dict[str, dict[str, Any]] = {
    "gateway": {"workers": 12, "pages_per_second": None, "orders_per_second": None, "orders_at_once": 8},
    "pages": {
        "timeout": 0.25,
        "attempts": 2,
        "first_wait": 0.05,
        "breaker_after": 3,
        "when_down": "last known",
    },
    "orders": {"answer": "when accepted", "timeout": 0.25, "attempts": 4, "first_wait": 0.1},
    "commands": {"by": "message"},
    "news": {"notifications": "queue", "analytics": "log", "every": 0.5},
    "queues": {"visibility": 5.0, "deliveries": 5},
    "workers": {
        "orders": 2,
        "inventory": 2,
        "payments": 3,
        "shipping": 2,
        "notifications": 2,
        "analytics": 1,
    },
}
SYNC = changed(
    MIX,
    gateway={"workers": 12, "orders_per_second": None, "orders_at_once": None},
    pages={"timeout": 60, "attempts": 1, "breaker_after": None, "when_down": "an error"},
    orders={"answer": "when done", "timeout": 60, "attempts": 1},
    news={"notifications": "message", "analytics": "message"},
)
RETRY = changed(
    SYNC,
    pages={"timeout": 0.1, "attempts": 6, "first_wait": 0.0},
    orders={"answer": "when done", "timeout": 1.0, "attempts": 6, "first_wait": 0.0},
)
ASYNC = changed(
    MIX,
    gateway={"orders_per_second": None, "orders_at_once": None},
    pages={"timeout": 5.0, "attempts": 1, "breaker_after": None, "when_down": "an error"},
    orders={"timeout": 5.0, "attempts": 1},
    commands={"by": "queue"},
    news={"every": 5.0},
    queues={"visibility": 10.0},
)


def designs() -> dict[str, Design]:
    """The four designs by name."""
    quick: Consumer = consumer
    return {
        "all synchronous": Design(SYNC, forgetful_saga, hasty_consumer),
        "retry everything": Design(RETRY, saga(patience=0.1, growth=1.0), hasty_consumer),
        "all asynchronous": Design(ASYNC, saga(patience=10.0, growth=1.0, most=10.0), quick),
        "a good mix": Design(MIX, saga(), quick),
    }

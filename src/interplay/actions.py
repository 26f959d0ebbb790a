"""What a STEP can ask for: plain data, carried out one at a time by the process that runs it.

A STEP is a function `step(state, event) -> {"state": ..., "actions": [...]}`. Its state is memory, which a
crash loses; only what it commits stays. `state["stored"]` is what has been committed, for reading only.
"""

from __future__ import annotations

from typing import Any

Action = dict[str, Any]
Event = dict[str, Any]
Answer = dict[str, Any]  # {"state": ..., "actions": [...]}
Write = tuple[str, Any, Any]


def step(state: Any, *actions: Action | None) -> Answer:
    """A STEP's answer: the state after the event, and the actions in order (None is left out)."""
    return {"state": state, "actions": [action for action in actions if action is not None]}


def send(to: str, message: Event, kind: str = "event", request: int | None = None) -> Action:
    """Send a message to a process, a queue, a topic or a log. `kind` is how the trace shows it.

    It belongs to the request that is being handled, or to the one with the number `request`: what a process
    sends after a crash would belong to nobody.
    """
    return {"do": "send", "to": to, "message": message, "as": kind, "request": request}


def put(to: str, message: Event, **options: Any) -> Action:
    """Send a message with options: to a queue `delay` (s) and `priority`, to a topic or a log a `key`.

    With `confirm=tag`, {"kind": "confirmed", "tag": tag} comes back when the broker has it.
    """
    return {"do": "send", "to": to, "message": message, "as": "event", "options": options}


def commit(*writes: Write) -> Action:
    """Write to the process's own database, all or nothing. A write is (table, key, value).

    The value None deletes the row; the key None appends to a table that is a list.
    """
    return {"do": "commit", "writes": writes}


def timer(after: float, event: Event) -> Action:
    """Have this event in `after` seconds, unless there is a crash before."""
    return {"do": "timer", "after": after, "event": event}


def reply(status: str = "ok", request: int | None = None) -> Action:
    """Answer the user: of the request that is being handled, or of the one with this number."""
    return {"do": "reply", "status": status, "request": request}


def ack(delivery: Event) -> Action:
    """Tell the queue that this delivery is done with."""
    return {"do": "ack", "to": delivery["queue"], "receipt": delivery["receipt"]}


def nack(delivery: Event, *, requeue: bool = True, delay: float = 0.0) -> Action:
    """Give this delivery back: to be delivered again after `delay` seconds, or as a dead letter."""
    return {
        "do": "nack",
        "to": delivery["queue"],
        "receipt": delivery["receipt"],
        "requeue": requeue,
        "delay": delay,
    }


def extend(delivery: Event, seconds: float) -> Action:
    """Renew the lease of this delivery: it is to run for `seconds` from when the queue hears of it."""
    return {"do": "extend", "to": delivery["queue"], "receipt": delivery["receipt"], "seconds": seconds}


def commit_offset(records: Event) -> Action:
    """Tell the log that the group has handled this partition up to the end of these records."""
    return {
        "do": "offset",
        "to": records["log"],
        "group": records["group"],
        "partition": records["partition"],
        "offset": records["next"],
        "generation": records["generation"],
    }


def call(client: str, then: Event) -> Action:
    """Call a service through the client of that name; the event `then` comes back with a `status`."""
    return {"do": "call", "to": client, "then": then}


def write(stored: dict[str, Any], writes: Any) -> None:
    """Carry out the writes of a commit on a database: a dict of tables, each a dict of rows or a list."""
    for table, key, value in writes:
        if key is None:
            stored.setdefault(table, []).append(value)
        elif value is None:
            stored.setdefault(table, {}).pop(key, None)
        else:
            stored.setdefault(table, {})[key] = value

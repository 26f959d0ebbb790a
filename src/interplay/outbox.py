"""The transactional outbox: what is to be published is committed together with the data that it is about.

A service has two places to write to, its database and a broker, and can end between the two. It therefore
writes to the first only: the event goes into a table of the same commit, and a relay publishes from there,
at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .actions import Action, Answer, Event, Write, commit, put, reply, send, step, timer
from .arguments import number, one_of, whole

Writes = Callable[[dict[str, Any], Any], Iterable[Write]]
Message = Callable[[Any], Event]


def dual_write(to: str, writes: Writes, message: Message, *, first: str = "commit") -> Callable[..., Answer]:
    """What the outbox is there to avoid: a STEP that commits and publishes, one after the other.

    A crash between the two loses the event when `first` is "commit", and tells of something that never was
    when it is "publish".
    """
    one_of("first", first, ("commit", "publish"))

    def handle(state: Any, event: Any) -> Answer:
        if event["kind"] == "started":
            return step(state)
        both = [commit(*writes(state["stored"], event)), send(to, message(event))]
        return step(state, *(both if first == "commit" else reversed(both)), reply())

    return handle


def with_outbox(
    writes: Writes, message: Message, *, key: Callable[[Any], Any] = lambda event: event["order"]
) -> Callable[..., Answer]:
    """A STEP that writes its data and the event's row, with the id `key(event)`, in one commit."""

    def handle(state: Any, event: Any) -> Answer:
        if event["kind"] == "started":
            return step(state)
        row = {**message(event), "id": key(event)}
        both = commit(*writes(state["stored"], event), ("outbox", row["id"], row), ("changes", None, row))
        return step(state, both, reply())

    return handle


def polling_relay(
    to: str, *, every: float = 0.5, batch: int = 100, patience: float = 1.0
) -> Callable[..., Answer]:
    """A STEP that looks into the outbox every so many seconds, and publishes up to `batch` rows.

    A row is deleted when the broker has confirmed it; without that it is published again after `patience`
    seconds. Give it the service's own database: `shop.process("relay", polling_relay("mail"),
    memory={"out": {}}, stored=orders.stored)`.
    """
    number("every", every, above=0)
    whole("batch", batch, least=1)
    number("patience", patience, above=0)

    def relay(state: Any, event: Any) -> Answer:
        now, out = event["now"], state["out"]  # out: when each row that is under way was published
        if event["kind"] == "confirmed":
            out.pop(event["tag"], None)
            return step(state, commit(("outbox", event["tag"], None)))
        puts: list[Action] = []
        for id, row in state["stored"].get("outbox", {}).items():
            if len(puts) == batch:
                break
            if now - out.get(id, -patience) >= patience:
                out[id] = now
                puts.append(put(to, row, confirm=id))
        return step(state, *puts, timer(every, {"kind": "poll"}))

    return relay


def tailing_relay(to: str, *, every: float = 0.01, patience: float = 1.0) -> Callable[..., Answer]:
    """A STEP that follows the database's log of changes (change data capture), in the order of the commits.

    It remembers how far it has come in the same database, and goes on from there after a crash. `every` is
    how often the log is looked at (s): much more often than a table can be. Needs `memory={"sent": 0,
    "since": 0.0}`.
    """
    number("every", every, above=0)
    number("patience", patience, above=0)

    def relay(state: Any, event: Any) -> Answer:
        stored, now = state["stored"], event["now"]
        done = stored.get("relay", {}).get("position", 0)
        if event["kind"] == "confirmed":
            if event["tag"] != done:
                return step(state)  # of one that was published again meanwhile
            row = stored["changes"][done]
            return step(state, commit(("relay", "position", done + 1), ("outbox", row["id"], None)))
        state["sent"] = max(state["sent"], done)
        if state["sent"] > done and now - state["since"] >= patience:
            state["sent"] = done  # the oldest one has not been confirmed: from there again
        if state["sent"] == done:
            state["since"] = now
        following = list(enumerate(stored.get("changes", ())))[state["sent"] :]
        state["sent"] += len(following)
        puts = [put(to, row, confirm=position) for position, row in following]
        return step(state, *puts, timer(every, {"kind": "poll"}))

    return relay

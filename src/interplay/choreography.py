"""A saga without a conductor: each service hears what the others did, and does its part.

Nobody holds the plan. What happens after "payment refused" is found by reading all services, and that is the
price; what is gained is that no service has to know of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .actions import Action, Answer, Event, commit, reply, send, step, timer
from .arguments import number
from .participants import UNDOES, Work, once


class Reaction(NamedTuple):
    """When it hears `on`, `service` does `work` and says `then`, or, when it has to refuse, `otherwise`."""

    on: str
    service: str
    work: str
    then: str
    otherwise: str | None = None


BUY = (
    Reaction("order placed", "inventory", "reserve", "stock reserved", "out of stock"),
    Reaction("stock reserved", "payments", "charge", "payment taken", "payment refused"),
    Reaction("payment taken", "shipping", "ship", "order shipped", "not shippable"),
    Reaction("not shippable", "payments", "refund", "payment refused"),
    Reaction("payment refused", "inventory", "release", "stock released"),
)
ENDINGS = {"order shipped": "ok", "out of stock": "rejected", "stock released": "rejected"}


def publish(reactions: Sequence[Reaction], happened: str, event: Event, initiator: str) -> list[Action]:
    """Tell the services that react to what happened; with nothing to react to, the `initiator`."""
    heard_by = [r.service for r in reactions if r.on == happened] or [initiator]
    undoing = happened in {r.on for r in reactions if r.work in UNDOES}
    kind = "compensation" if undoing else "event"
    message = {"kind": happened, "order": event["order"], "request": event.get("request")}
    return [send(service, message, kind, event.get("request")) for service in heard_by]


def reactor(
    service: str, work: Mapping[str, Work], reactions: Sequence[Reaction] = BUY, initiator: str = "orders"
) -> Callable[[Any, Event], Answer]:
    """A STEP for this service: does its `work` once, and says what came of it each time that it is asked."""
    mine = {r.on: r for r in reactions if r.service == service}

    def react(state: Any, event: Event) -> Answer:
        reaction = mine.get(event["kind"])
        if reaction is None:
            return step(state)
        done, writes = once(work, UNDOES, state["stored"], reaction.work, event["order"])
        happened = reaction.then if done else reaction.otherwise
        said = publish(reactions, happened, event, initiator) if happened else []
        return step(state, commit(*writes) if writes else None, *said)

    return react


def initiator(
    reactions: Sequence[Reaction] = BUY,
    endings: Mapping[str, str] = ENDINGS,
    *,
    name: str = "orders",
    patience: float = 1.0,
) -> Callable[[Any, Event], Answer]:
    """A STEP that places orders and hears of their `endings`: what happened, and the user's status.

    It says "order placed" again every `patience` seconds until it hears of an end. Each service then says
    again what it has done, so that a message that was lost on the way is made up for. {"kind": "place"} and
    its replies are those of saga.Orchestrator.
    """
    number("patience", patience, above=0)

    def place(state: Any, event: Event) -> Answer:
        orders, kind = state["stored"].get("orders", {}), event["kind"]
        if kind == "started":
            return step(
                state, *(action for row in orders.values() if not row["status"] for action in say(row))
            )
        if kind not in ("place", "say again", *endings):
            return step(state)
        n = event["order"]["number"]
        row = orders.get(n)
        if row is None:
            row = {"order": event["order"], "request": event.get("request"), "status": None}
            return step(state, commit(("orders", n, row)), *say(row))
        if row["status"]:
            return step(state, reply(row["status"]) if kind == "place" else None)
        if kind in endings:
            row = {**row, "status": endings[kind]}
            return step(state, commit(("orders", n, row)), reply(row["status"]))
        return step(state, *(say(row) if kind == "say again" else ()))

    def say(row: Any) -> list[Action]:
        again = timer(patience, {"kind": "say again", "order": row["order"]})
        return [*publish(reactions, "order placed", row, name), again]

    return place

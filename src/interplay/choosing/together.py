"""Shops in which several services change together, or in which every change is kept."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from ..actions import Answer, Event, Write
from ..call import Reply, Request
from ..event_store import EventStore, command_side, projection
from ..participants import WORK, participant
from ..saga import BUY, Orchestrator
from ..streams import Exponential
from ..two_phase_commit import Coordinator, Voter
from .later import PATIENCE
from .sending import listener, orders
from .shops import Journey, Shop, builds

PLENTY = 10**6  # of stock and money
STORED = {"inventory": "stock", "payments": "accounts", "shipping": "shipments"}


def transaction(shop: Shop, coordinator: Any, commands: Any) -> Journey:
    """orders, and the first of inventory, payments and shipping; everybody buys the same book."""
    orders(shop, coordinator)
    for name in shop.names:
        rows = {"book": PLENTY} if name == "inventory" else {}
        if name == "payments":
            rows = {f"customer {n}": PLENTY for n in range(10)}
        listener(shop, name, noting(shop, name, commands(name)), stored={STORED[name]: rows})
    deadline = PATIENCE if shop.asked.answer == "soon" else shop.knobs["deadline"]

    def buy(request: Request) -> Generator[Any, Any, Reply]:
        n = request.number
        order = {"number": n, "item": "book", "quantity": 1, "customer": f"customer {n % 10}", "price": 1}
        message = {"kind": "place", "order": order, "request": n}
        return (yield from shop.simulation.ask(request, "orders", message, deadline=deadline))

    return buy


def noting(shop: Shop, name: str, rule: Any) -> Any:
    """The same STEP; its first work for an order is noted."""
    does = {"commit", *WORK[name]} - {"release", "refund"}

    def noted(state: Any, event: Event) -> Answer:
        answer = rule(state, event)
        if event["kind"] in does:
            number = event["order"]["number"] if "order" in event else event["number"]
            if number not in shop.done[name]:
                shop.note(name, number)
        return answer

    return noted


@builds("saga")
def saga(shop: Shop) -> Journey:
    """orders leads; each service commits for itself."""
    return transaction(shop, Orchestrator(BUY[: len(shop.names)]), lambda name: participant(WORK[name]))


@builds("two-phase commit")
def two_phase(shop: Shop) -> Journey:
    """orders asks all to prepare, then all to commit; until then their rows are locked."""
    return transaction(
        shop,
        Coordinator(*shop.names),
        lambda name: Voter(next(iter(WORK[name].values())), name=name),
    )


@builds("event sourcing")
def events(shop: Shop) -> Journey:
    """orders appends an event for each change; the services keep views that follow the events."""
    world = shop.simulation
    store = EventStore(lambda state, event: event["number"], initial=0)

    def decide(_: Any, command: Event) -> list[Event]:
        shop.promised.append(command["number"])
        return [{"type": "changed", "number": command["number"]}]

    side = command_side(store, decide, publish=shop.names[0])
    place = orders(shop, lambda state, event: side(state, as_command(event)))
    for name in shop.names:

        def project(view: Any, stream: str, event: Event, name: str = name) -> Iterable[Write]:
            shop.note(name, event["number"])
            return [("view", stream, event["number"])]

        follow = projection(project, place.stored, every=shop.knobs["every"])
        world.process(name, follow, time=Exponential(shop.work / 10))
    shop.told = lambda: sum(
        store.read(place.stored, stream)[version - 1]["number"] > 0
        for stream, version in place.stored.get("positions", ())
    )
    return shop.ask


def as_command(event: Event) -> Event:
    """What a user asks for, as the event store takes it."""
    return {**event, "kind": "command", "stream": event["key"]} if event["kind"] == "place" else event

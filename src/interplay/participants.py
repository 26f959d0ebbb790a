"""Participants of a business transaction: each has its own database, and does what it is told once.

A piece of work is a function `work(stored, order)` of the participant's database and the order. It returns
the writes, or None when it has to refuse. Here are those of the shop: stock, money and parcels, none of which
may be lost or invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .actions import Answer, Event, Write, commit, send, step

Work = Callable[[Mapping[str, Any], Event], list[Write] | None]


def reserve(stored: Mapping[str, Any], order: Event) -> list[Write] | None:
    """Take the order's `quantity` of its `item` out of the stock and keep it for this order."""
    left = stored["stock"][order["item"]] - order["quantity"]
    if left < 0:
        return None
    return [("stock", order["item"], left), ("reserved", order["number"], order["quantity"])]


def release(stored: Mapping[str, Any], order: Event) -> list[Write]:
    """Add what was kept for this order to the stock as it is now: others have bought in between."""
    stock = stored["stock"][order["item"]] + stored["reserved"][order["number"]]
    return [("stock", order["item"], stock), ("reserved", order["number"], None)]


def charge(stored: Mapping[str, Any], order: Event) -> list[Write] | None:
    """Take the order's `price` from the account of its `customer`."""
    left = stored["accounts"][order["customer"]] - order["price"]
    if left < 0:
        return None
    return [("accounts", order["customer"], left), ("charged", order["number"], order["price"])]


def refund(stored: Mapping[str, Any], order: Event) -> list[Write]:
    """Give back what was charged for this order."""
    account = stored["accounts"][order["customer"]] + stored["charged"][order["number"]]
    return [("accounts", order["customer"], account), ("charged", order["number"], None)]


def ship(stored: Mapping[str, Any], order: Event) -> list[Write] | None:
    """Hand the parcel over: it cannot be called back. Not for an order with an `address` that is None."""
    if order.get("address", "") is None:
        return None
    return [("shipments", order["number"], order["quantity"])]


WORK: dict[str, dict[str, Work]] = {
    "inventory": {"reserve": reserve, "release": release},
    "payments": {"charge": charge, "refund": refund},
    "shipping": {"ship": ship},
}
UNDOES = {"release": "reserve", "refund": "charge"}


def once(
    work: Mapping[str, Work], undoes: Mapping[str, str], stored: Mapping[str, Any], name: str, order: Event
) -> tuple[bool, list[Write]]:
    """Whether the work `name` is done for this order, and the writes that it still takes.

    The answer is among the writes, so that it comes to the database with the effect or not at all; asked
    again, there is only the answer. What undoes work that was never done writes nothing, and work that comes
    after its undoing is refused: messages overtake each other.
    """
    number, answers = order["number"], stored.get("answers", {})
    if (name, number) in answers:
        return answers[name, number], []
    undone = undoes.get(name)
    if undone is not None and not answers.get((undone, number)):
        return True, [("answers", (undone, number), False), ("answers", (name, number), True)]
    writes = work[name](stored, order)
    return writes is not None, [*(writes or ()), ("answers", (name, number), writes is not None)]


def participant(
    work: Mapping[str, Work], undoes: Mapping[str, str] = UNDOES
) -> Callable[[Any, Event], Answer]:
    """A STEP that carries out commands, each once, and answers each time that it is asked.

    A command is {"kind": name, "order": order, "from": process}; its answer goes back there:
    {"kind": "reserve done" or "reserve refused", "command": "reserve", "number": of the order, "ok": bool}.
    """

    def carry_out(state: Any, event: Event) -> Answer:
        name = event["kind"]
        if name not in work:
            return step(state)
        ok, writes = once(work, undoes, state["stored"], name, event["order"])
        words = f"{name} {'done' if ok else 'refused'}"
        answer = {"kind": words, "command": name, "number": event["order"]["number"], "ok": ok}
        return step(state, commit(*writes) if writes else None, send(event["from"], answer, "reply"))

    return carry_out


def imbalance(
    inventory: Mapping[str, Any], payments: Mapping[str, Any], shipping: Mapping[str, Any],
    *, stock: float, money: float, under_way: Any = (),
) -> str | None:  # fmt: skip
    """What is wrong with these three databases, in words; None when every piece and every cent is there.

    `stock` and `money` are what there was at the start. An order that is not `under_way` has all of
    reservation, charge and parcel, or none.
    """
    pieces = sum(inventory["stock"].values()) + sum(inventory.get("reserved", {}).values())
    if pieces != stock:
        return f"{stock} pieces were in stock, and {pieces} are there or reserved"
    cents = sum(payments["accounts"].values()) + sum(payments.get("charged", {}).values())
    if cents != money:
        return f"{money} was in the accounts, and {cents} is there or charged"
    tables = {
        "reserved": inventory.get("reserved", {}),
        "charged": payments.get("charged", {}),
        "shipped": shipping.get("shipments", {}),
    }
    for order in sorted(set().union(*tables.values()) - set(under_way)):
        there = [name for name, table in tables.items() if order in table]
        if len(there) < 3:
            return f"order {order} is {' and '.join(there)}, and nothing else"
    return None

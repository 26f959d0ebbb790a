"""The parts that shops with messages are made of: orders, its readers, the log between them."""

from __future__ import annotations

import math
from typing import Any

from ..actions import Answer, Event, ack, commit, commit_offset, put, reply, send, step
from ..process import Process
from ..streams import Constant, Exponential
from .shops import BANDWIDTH, NETWORK, OWN, Shop

BETWEEN = 0.02  # s between a commit and what comes after it, when somebody may be killed there
FEW = 4  # partitions


def orders(shop: Shop, rule: Any, **how: Any) -> Process:
    """orders as a process with a database of its own."""
    how = {"workers": shop.workers(OWN), "time": Exponential(OWN), **how}
    if shop.fault == "killed":
        how["pause"] = BETWEEN
    return shop.simulation.process("orders", rule, **how)


def accepting(shop: Shop, *to: str, then: Any = None) -> Any:
    """A STEP for orders: commit that it is taken on, if that changes anything; send it `to`; say yes."""

    def rule(state: Any, event: Event) -> Answer:
        if event["kind"] == "place":
            n = event["number"]
            shop.promised.append(n)
            message = {"kind": "news", "number": n, "key": event["key"]}
            row = commit(("rows", event["key"], n)) if shop.asked.changes or then else None
            return step(state, row, *(put(name, message, key=event["key"]) for name in to), reply())
        return then(state, event) if then else step(state)

    return rule


def reader(shop: Shop, name: str, back: bool = False) -> Any:
    """A STEP that does the work for each message once, from a queue or a log; `back`: and tells orders."""

    def read(state: Any, event: Event) -> Answer:
        if event["kind"] == "delivery":
            return step(state, *work(state, event["body"]), ack(event))
        if event["kind"] == "records":
            actions = [action for record in event["records"] for action in work(state, record["body"])]
            return step(state, *actions, commit_offset(event))
        return step(state)

    def work(state: Any, news: Event) -> list[Any]:
        n = news["number"]
        told = [send("orders", {"kind": "done", "number": n})] if back else []
        if n in state["stored"].get("done", {}):
            return told
        shop.note(name, n)
        return [commit(("done", n, news["key"])), *told]

    return read


def listener(shop: Shop, name: str, rule: Any, **how: Any) -> Process:
    """A service as a process."""
    workers = shop.workers(shop.work)
    return shop.simulation.process(name, rule, workers=workers, time=shop.time, **how)


def wanted(shop: Shop) -> int:
    """How many members a consumer group needs: one works on one record at a time."""
    share = shop.knobs["headroom"] * shop.asked.rate * (shop.work + 2 * NETWORK)
    return min(max(1, math.ceil(share)), int(shop.knobs["partitions"]))


def partitions(shop: Shop) -> int:
    """Of the log: one for each member of a group, and a few in any case."""
    return max(min(FEW, int(shop.knobs["partitions"])), wanted(shop))


def members(shop: Shop, name: str, rule: Any) -> list[Process]:
    """A consumer group: each member works on one record after the other, all with one database."""
    count = wanted(shop)
    stored: dict[str, Any] = {}
    names = [name, *(f"{name} {n}" for n in range(2, count + 1))]
    return [shop.simulation.process(each, rule, time=shop.time, stored=stored) for each in names]


def readers(shop: Shop) -> None:
    """The log, and a group for each service."""
    news = shop.simulation.log("news", partitions=partitions(shop))
    for name in shop.names:
        for member in members(shop, name, reader(shop, name)):
            news.subscribe(member, group=name)


def line(shop: Shop, size: float) -> None:
    """The broker's line: so many kB of each message go in, and out to each service."""
    seconds = size * (1 + len(shop.names)) / BANDWIDTH

    def forward(state: Any, event: Event) -> Answer:
        return step(state, put("news", event, key=event["key"]) if "number" in event else None)

    shop.simulation.process("line", forward, time=Constant(seconds))

"""Shops that send messages: orders says yes, and the work is done when somebody can."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

from ..actions import Answer, Event, ack, call, commit, commit_offset, put, reply, send, step, timer
from ..call import Reply, Request
from ..outbox import polling_relay
from ..process import Process
from ..streams import Constant, Exponential
from .interaction import LARGE
from .shops import BANDWIDTH, NETWORK, OWN, Journey, Shop, builds

LOOKS, PATIENCE = 1.0, 10.0  # s: at most so long between two questions for the end; and for all of them
BETWEEN = 0.02  # s between a commit and what comes after it, when somebody may be killed there
FEW = 4  # partitions
CHANGES_EVERY = 0.1  # s between two changes of what is copied


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


@builds("queue")
def queue(shop: Shop) -> Journey:
    """orders leaves a message in one queue, and answers; all services take from it."""
    orders(shop, accepting(shop, "jobs"))
    jobs = shop.simulation.queue("jobs", visibility=shop.knobs["visibility"])
    for name in shop.names:
        process = listener(shop, name, reader(shop, name))
        jobs.subscribe(process, prefetch=process.workers)
    return shop.ask


@builds("202")
def accepted(shop: Shop) -> Journey:
    """The same with a queue for each service, and orders hears of the end; who needs it now asks for it."""
    queues = [f"jobs of {name}" for name in shop.names]

    def then(state: Any, event: Event) -> Answer:
        if event["kind"] == "done":
            return step(state, commit(("ended", event["number"], True)))
        return step(state, reply() if event["kind"] == "how is it" else None)

    place = orders(shop, accepting(shop, *queues, then=then))
    for name, each in zip(shop.names, queues, strict=True):
        process = listener(shop, name, reader(shop, name, back=True))
        jobs = shop.simulation.queue(each, visibility=shop.knobs["visibility"])
        jobs.subscribe(process, prefetch=process.workers)
    if shop.asked.answer != "now" or not shop.asked.may_fail:
        return shop.ask
    return lambda request: polling(shop, request, place.stored)


def polling(shop: Shop, request: Request, stored: dict[str, Any]) -> Generator[Any, Any, Reply]:
    """A user who waits for the end all the same: asks for it again and again, less and less often."""
    env, wait = shop.simulation.env, 2 * shop.knobs["every"]
    gives_up = env.now + PATIENCE
    answer = yield from shop.ask(request)
    while answer.ok and env.now < gives_up:
        yield env.timeout(wait)
        wait = min(LOOKS, 2 * wait)
        answer = yield from shop.ask(request, "how is it")
        if request.number in stored.get("ended", {}):
            return answer
    return Reply("timeout", 1)


@builds("log")
def log(shop: Shop) -> Journey:
    """orders publishes, and each service reads all of it as a group of its own; or orders keeps a copy."""
    if shop.asked.answer == "now" and not shop.asked.changes:
        return a_copy(shop)
    large = shop.asked.payload > LARGE
    orders(shop, accepting(shop, "line" if large else "news"))
    if large:
        line(shop, shop.asked.payload)
    readers(shop)
    return shop.ask


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


def a_copy(shop: Shop) -> Journey:
    """inventory publishes its changes; orders keeps a copy of it and answers from that."""
    source = shop.names[0]

    def change(state: Any, event: Event) -> Answer:
        news = put("news", {"kind": "changed", "at": event["now"]}, key="stock")
        return step(
            state, commit(("stock", "book", event["now"])), news, timer(CHANGES_EVERY, {"kind": "tick"})
        )

    def keep(state: Any, event: Event) -> Answer:
        if event["kind"] == "records":
            copied = commit(("copy", "stock", event["records"][-1]["body"]["at"]))
            return step(state, copied, commit_offset(event))
        if event["kind"] != "place":
            return step(state)
        seen = state["stored"].get("copy", {}).get("stock", 0.0)
        shop.ages.append(max(0.0, event["now"] - seen - CHANGES_EVERY))
        shop.note(source, event["number"])
        return step(state, reply())

    place = orders(shop, keep)
    shop.simulation.process(source, change)
    shop.simulation.log("news").subscribe(place, group="orders", batch=100)
    return shop.ask


@builds("outbox")
def outbox(shop: Shop) -> Journey:
    """orders commits its change and the news of it at once; a relay publishes from there."""

    def rule(state: Any, event: Event) -> Answer:
        if event["kind"] != "place":
            return step(state)
        n, key = event["number"], event["key"]
        shop.promised.append(n)
        news = {"kind": "news", "number": n, "key": key}
        return step(state, commit(("rows", key, n), ("outbox", n, news)), reply())

    place = orders(shop, rule)
    relay = polling_relay("news", every=shop.knobs["every"])
    shop.simulation.process("relay", relay, memory={"out": {}}, stored=place.stored)
    readers(shop)
    shop.told = lambda: len(place.stored.get("rows", {}))
    return shop.ask


@builds("claim check")
def claim_check(shop: Shop) -> Journey:
    """orders puts the payload into a store and publishes its address; who reads that fetches it."""
    world, time = shop.simulation, Constant(shop.asked.payload / BANDWIDTH)
    copies = 1 + len(shop.names)
    store = world.service("store", workers=shop.workers(copies * time.value) + 2, time=time)

    def place(state: Any, event: Event) -> Answer:
        if event["kind"] == "place":
            return step(state, call("store", {**event, "kind": "stored"}))
        if event["kind"] != "stored" or event["status"] != "ok":
            return step(state)
        shop.promised.append(event["number"])
        news = {"kind": "news", "number": event["number"], "key": event["key"]}
        return step(state, put("line", news), reply())

    process = orders(shop, place)
    process.clients["store"] = world.client(store)
    line(shop, 1.0)
    news = world.log("news", partitions=partitions(shop))
    for name in shop.names:
        for member in members(shop, name, fetches(reader(shop, name))):
            member.clients["store"] = world.client(store, caller=None)
            news.subscribe(member, group=name)
    return shop.ask


def fetches(read: Any) -> Any:
    """A STEP that calls the store before it does the work."""

    def rule(state: Any, event: Event) -> Answer:
        if event["kind"] == "records":
            return step(state, call("store", {"kind": "fetched", "of": event}))
        return read(state, event["of"] if event["kind"] == "fetched" else event)

    return rule

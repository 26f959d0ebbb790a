"""Shops that send messages: orders says yes, and the work is done when somebody can."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..actions import Answer, Event, call, commit, commit_offset, put, reply, step, timer
from ..call import Reply, Request
from ..outbox import polling_relay
from ..streams import Constant
from .interaction import LARGE
from .sending import accepting, line, listener, members, orders, partitions, reader, readers
from .shops import BANDWIDTH, Journey, Shop, builds

LOOKS, PATIENCE = 1.0, 10.0  # s: at most so long between two questions for the end; and for all of them
CHANGES_EVERY = 0.1  # s between two changes of what is copied


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

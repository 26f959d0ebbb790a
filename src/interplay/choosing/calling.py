"""Shops that call: everything is answered while the caller waits."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..call import Call, Reply
from ..client import Client
from ..fetch import gather
from ..service import Service
from ..sidecar import Sidecar
from ..streams import Exponential
from .shops import NETWORK, OWN, Journey, Shop, builds

MACHINE = 2  # workers of one process


def orders(shop: Shop, calls: Any, seconds: float, name: str = "orders") -> Journey:
    """The service that does it, held for so many seconds by each request; and the users' way to it."""
    world = shop.simulation
    workers = shop.workers(OWN + seconds) + 2
    service = world.service(name, workers=workers, time=Exponential(OWN), calls=calls)
    return world.client(service, deadline=shop.knobs["deadline"]).call


def called(shop: Shop, name: str, replica: str = "", of: int = 1) -> Service:
    """A service, or one `of` several replicas, that notes what it has done."""

    def note(call: Call) -> Generator[Any, Any, Reply]:
        shop.note(name, call.number)
        return Reply("ok", 1)
        yield

    workers = max(2, -(-shop.workers(shop.work) // of))
    return shop.simulation.service(name + replica, workers=workers, time=shop.time, calls=note)


def each(shop: Shop) -> list[Client]:
    """A client of orders for each service."""
    world, deadline = shop.simulation, shop.knobs["deadline"]
    return [world.client(called(shop, name), caller="orders", deadline=deadline) for name in shop.names]


@builds("monolith")
def monolith(shop: Shop) -> Journey:
    """One process, one database: what services would do is a function call each."""

    def note(call: Call) -> Generator[Any, Any, Reply]:
        for name in shop.names:
            shop.note(name, call.number)
        return Reply("ok", 1)
        yield

    time = Exponential(OWN * (1 + len(shop.names)))
    service = shop.simulation.service("shop", workers=MACHINE, time=time, calls=note)
    return shop.simulation.client(service, deadline=shop.knobs["deadline"]).call


@builds("call")
def one_after_the_other(shop: Shop) -> Journey:
    """orders calls each service, and the next when it has its answer."""
    clients: list[Client] = []

    def serve(call: Call) -> Generator[Any, Any, Reply]:
        for client in clients:
            reply = yield from client.call(call)
            if not reply.ok:
                return reply
        return Reply("ok", 1)

    journey = orders(shop, serve, len(shop.names) * (shop.work + 2 * NETWORK))
    clients += each(shop)
    return journey


@builds("gateway")
def side_by_side(shop: Shop) -> Journey:
    """orders calls all services at once, as a gateway does, and needs all answers."""
    clients: list[Client] = []

    def serve(call: Call) -> Generator[Any, Any, Reply]:
        branches = {str(n): client.call(call) for n, client in enumerate(clients)}
        replies = yield from gather(shop.simulation.env, branches)
        bad = [reply for reply in replies.values() if not reply.ok]
        return bad[0] if bad else Reply("ok", 1)

    journey = orders(shop, serve, 3 * shop.work + 2 * NETWORK)
    clients += each(shop)
    return journey


@builds("mesh")
def through_sidecars(shop: Shop) -> Journey:
    """Three replicas of each service behind sidecars, which try again at another one and eject."""
    sidecars: list[Sidecar] = []

    def serve(call: Call) -> Generator[Any, Any, Reply]:
        for sidecar in sidecars:
            reply = yield from sidecar.call(call)
            if not reply.ok:
                return reply
        return Reply("ok", 1)

    journey = orders(shop, serve, len(shop.names) * (shop.work + 2 * NETWORK))
    deadline, attempts = shop.knobs["deadline"], int(shop.knobs["attempts"])
    retries = {"attempts": attempts, "per_try_timeout": 0.6 * deadline, "budget": 1.0}
    outlier = {"consecutive": 5, "base_ejection": 5.0, "max_ejection_percent": 50.0, "stdev_factor": None}
    policy = {"timeout": deadline, "retries": retries, "outlier": outlier}
    for name in shop.names:
        replicas = [called(shop, name, f" {n}", 3) for n in (1, 2, 3)]
        sidecars.append(Sidecar(shop.simulation, {"v1": replicas}, policy, caller="orders"))
    shop.sidecars = 1 + len(shop.names)
    return journey

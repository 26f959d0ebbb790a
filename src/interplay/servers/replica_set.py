"""Several servers of the shop's orders, all alike: replicas, each a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ..arguments import one_of, whole
from . import orders
from .orders import OrdersServer
from .process import ServerError

FRAMEWORKS = ["grpc", "aiohttp", "fastapi"]


class ReplicaSet:
    """Replicas that run: `replicas[0]` is one of them, `for replica in replicas` all."""

    def __init__(self, replicas: list[OrdersServer]) -> None:
        self.replicas = replicas

    def __getitem__(self, n: int) -> OrdersServer:
        return self.replicas[n]

    def __iter__(self) -> Iterator[OrdersServer]:
        return iter(self.replicas)

    def __len__(self) -> int:
        return len(self.replicas)

    @property
    def ports(self) -> list[int]:
        """Where they listen on 127.0.0.1."""
        return [replica.port for replica in self.replicas]

    @property
    def protocol(self) -> str:
        """What they speak: "http" or "grpc"."""
        return self.replicas[0].protocol

    def behave(self, **behaviour: Any) -> None:
        """All work like this from now on; see `OrdersServer.behave`. Dead ones are passed over.

        What is drawn by chance is drawn for each from a seed of its own: seed, seed + 1, …
        """
        for n, replica in enumerate(self.replicas):
            if replica.alive:
                replica.behave(**_own_seed(behaviour, n))

    def counts(self) -> list[int | None]:
        """How many calls each has got since its start or the last reset; None of one that is dead."""
        return [replica.calls() if replica.alive else None for replica in self.replicas]

    def warm(self, call: Callable[[str], Any], seconds: float = 2.0) -> bool:
        """Call until each that lives has been called, at most so many seconds; then set the counters to zero.

        A channel opens its connections one by one: its first calls go to the replicas it has reached so far.
        """
        deadline = time.monotonic() + seconds
        while not (reached := all(count != 0 for count in self.counts())) and time.monotonic() < deadline:
            call("order-0")
        self.reset()
        return reached

    def reset(self) -> None:
        """Set the counters of those that live to zero."""
        for replica in self.replicas:
            if replica.alive:
                replica.reset()

    def stop(self) -> None:
        """End all."""
        for replica in self.replicas:
            replica.stop()

    def __enter__(self) -> ReplicaSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _own_seed(behaviour: dict[str, Any], n: int) -> dict[str, Any]:
    return {**behaviour, "seed": behaviour.get("seed", 1) + n}


def start(count: int, framework: str = "grpc", **behaviour: Any) -> ReplicaSet:
    """Start so many servers of orders ("grpc", "aiohttp" or "fastapi"); raises ServerError if one cannot."""
    one_of("framework", framework, FRAMEWORKS)
    started: list[OrdersServer] = []
    try:
        for n in range(whole("count", count, least=1)):
            started.append(orders.start(framework, _own_seed(behaviour, n), name=f"orders-{n} ({framework})"))
    except (ServerError, KeyboardInterrupt):
        for replica in started:
            replica.stop()
        raise
    return ReplicaSet(started)

"""What the three servers of the shop's orders have in common: how to start them, steer them and read them.

`rest_shop.py` (FastAPI, aiohttp) and `grpc_orders.py` build on this; `orders_server.py` is the other side.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import number, one_of
from .control import Controlled

STATUSES = ["RECEIVED", "CONFIRMED", "PACKED", "SHIPPED", "DELIVERED"]
SHAPES = ["constant", "exponential"]
NORMAL: dict[str, Any] = {
    "seconds": 0.0,  # mean work in each request
    "shape": "constant",  # or "exponential", drawn from (seed, order)
    "seed": 1,
    "fails": 0.0,  # share of requests that fail after their work, drawn from (seed, order, its n-th one)
    "workers": math.inf,  # so many requests are worked on at once; the others wait in order of arrival
    "waiting": math.inf,  # at most so many wait; one more is turned away at once
    "stall": 0.0,  # for so long nothing starts and nothing is answered …
    "after": 0.0,  # … so many seconds from now
    "every": 0.05,  # seconds between the updates of an order's status
    "lines": 20,  # of an order
}


class LineIsFull(Exception):
    """In the server: a request is turned away, since too many are waiting."""


class Broken(Exception):
    """In the server: the work of a request fails, as was asked for."""


@dataclass(frozen=True)
class Report:
    """What the server has counted. One entry per query or command, in the order of arrival."""

    order: list[str]
    arrived: np.ndarray  # seconds since the server's start or last reset
    waited: np.ndarray  # seconds in line
    worked: np.ndarray  # seconds that a worker was on it: what a model is calibrated with
    status: list[
        str
    ]  # "OK", "REJECTED" (too many waited), "FAILED", "LEFT" (the caller), "OPEN" (not answered yet)
    connection: np.ndarray  # on which connection it came: 1, 2, … in order of their first request

    @property
    def connections(self) -> int:
        """On how many different connections the requests came."""
        return len(np.unique(self.connection))


class OrdersServer(Controlled):
    """A running server of orders with its controls."""

    protocol = "http"  # or "grpc"

    def behave(self, **behaviour: Any) -> None:
        """Work like this from now on; what is not named goes back to normal.

        seconds=0.02 (mean work in a request); shape="exponential" (drawn from (seed, order); normally
        "constant"); seed=1; workers=2 (so many at once, the others wait); waiting=5 (at most so many wait,
        one more is turned away with 503 or RESOURCE_EXHAUSTED); fails=0.3 (share that is answered with 500 or
        UNAVAILABLE, drawn from (seed, order, its n-th request)); stall=1.0, after=2.0 (in 2 s nothing happens
        for 1 s); every=0.05 (s between the updates of a status); lines=20 (of an order).
        """
        self.ask("behave", **checked(behaviour))

    def calls(self) -> int:
        """How many queries and commands have come since its start or last reset."""
        return int(self.ask("calls"))

    def report(self) -> Report:
        """The server's counters."""
        rows = self.ask("report")
        order, *times, status, connection = zip(*rows, strict=True) if rows else [()] * 6
        arrived, waited, worked = (np.array(column, float) for column in times)
        return Report(list(order), arrived, waited, worked, list(status), np.array(connection, int))


def lines_of_order(lines: int) -> list[dict[str, Any]]:
    """So many lines, the same everywhere: in what a server has, and in what a client places."""
    numbers = range(lines)
    return [{"sku": f"SKU-{n:05d}", "quantity": n % 5 + 1, "price_cents": 1995 + n} for n in numbers]


def start(framework: str, behaviour: dict[str, Any], name: str = "") -> OrdersServer:
    """Start a server of orders; raises ServerError if it cannot."""
    words = json.dumps(checked(behaviour))
    server = OrdersServer("orders_server", framework, words, name=name or f"orders ({framework})")
    server.protocol = "grpc" if framework == "grpc" else "http"
    server.start()
    return server


def checked(behaviour: dict[str, Any]) -> dict[str, Any]:
    """The behaviour, unless something in it cannot be: then TypeError or ArgumentError, in words."""
    unknown = sorted(set(behaviour) - set(NORMAL))
    if unknown:
        raise TypeError(f"no behaviour called {', '.join(unknown)}; there are: {', '.join(NORMAL)}")
    for name, value in behaviour.items():
        if name == "shape":
            one_of(name, value, SHAPES)
        else:
            most = 1 if name == "fails" else math.inf
            number(name, value, least=1 if name in ("workers", "lines") else 0, most=most)
    return behaviour

"""Start the shop's orders as a real HTTP server, in one of two frameworks, and call them with httpx.

GET /orders/order-1            a query: 200
POST /orders                   a command: 201 when the work is done; with the header "Prefer: respond-async"
                               (RFC 7240) 202 at once, and the work afterwards
GET /orders/order-1/events     a stream of the order's status, as server-sent events (HTML Standard, 9.2)

`httpx` is imported when it is used: without it this module loads, and `require` has the sentence to show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from ..arguments import one_of
from . import orders
from .orders import OrdersServer, Report
from .process import Server

__all__ = ["OrdersServer", "Report", "RestShop", "connect", "start"]
FRAMEWORKS = ["fastapi", "aiohttp"]


class RestShop:
    """A client of the orders: one httpx.Client (`http`), which keeps its connections, or not."""

    def __init__(self, address: str, reuse: bool, timeout: float | None) -> None:
        import httpx

        self.http = httpx.Client(
            base_url=f"http://{address}",
            timeout=timeout,
            trust_env=False,  # a proxy of the learner's company has no business here
            headers={} if reuse else {"Connection": "close"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None),
        )

    def get(self, order: str) -> Any:
        """Ask for an order: a dict. Raises httpx.HTTPError when the call fails or the server says no."""
        return self.http.get(f"/orders/{order}").raise_for_status().json()

    def body(self, order: str) -> bytes:
        """The order as it comes, without the header."""
        return self.http.get(f"/orders/{order}").raise_for_status().content

    def place(self, order: str, lines: int = 20, wait: bool = True) -> Any:
        """Place an order: answered when its work is done, or (`wait=False`) when it is noted."""
        asked = {"order_id": order, "lines": orders.lines_of_order(lines)}
        headers = {} if wait else {"Prefer": "respond-async"}
        return self.http.post("/orders", json=asked, headers=headers).raise_for_status().json()

    def watch(self, order: str) -> Iterator[Any]:
        """The status of an order, and each change of it when it happens; leaving the loop ends the stream."""
        with self.http.stream("GET", f"/orders/{order}/events") as answer:
            for line in answer.raise_for_status().iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def __enter__(self) -> RestShop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()


def start(framework: str = "fastapi", **behaviour: Any) -> OrdersServer:
    """Start the orders over HTTP, with "fastapi" (on uvicorn) or "aiohttp"; see `OrdersServer.behave`.

    Raises ServerError, with the end of its log, if the server cannot start.
    """
    return orders.start(one_of("framework", framework, FRAMEWORKS), behaviour)


def connect(server: Server, reuse: bool = True, timeout: float | None = 5.0) -> RestShop:
    """A client of a server, or of a proxy before it; `reuse=False`: a connection of its own for each call.

    `timeout` is httpx's: seconds for each of its steps (connect, each read, each write), not for the call.
    """
    return RestShop(server.address, reuse, timeout)

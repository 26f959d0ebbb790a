"""A page made of several services' answers: one call for the browser, and the fan-out behind the gateway.

GET /page/order-1 asks every part for /orders/order-1, each with a deadline of its own. The decisions are
those of `interplay.gateway`: `Aggregate`, `Coalesce` and `Cache`, the same objects as in the simulator, here
in front of real servers. A page is answered with 200, complete or partial, or with 502, failed.

`aggregator_server.py` is the server, with FastAPI; `httpx` is the client's.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..arguments import number, refuse
from .control import Controlled
from .process import Server

NORMAL: dict[str, Any] = {
    "deadlines": {},  # seconds for each part
    "total": math.inf,  # seconds for the page
    "parallel": True,  # or one part after the other
    "coalesce": False,  # identical questions in flight become one
    "ttl": 0.0,  # seconds for which answers are kept
    "spread": 0.0,  # share of it that is drawn by chance
}


@dataclass(frozen=True)
class Page:
    """What came of one call for a page."""

    status: str  # "complete", "partial" or "failed"
    parts: dict[str, Any]  # the answers
    missing: list[str]  # the parts without one
    user: str  # whom the gateway has let in; "" if it does not ask
    seconds: float  # until the answer was there


class AggregatorServer(Controlled):
    """A running aggregator with its controls."""

    def behave(self, **behaviour: Any) -> None:
        """Work like this from now on; what is not named goes back to normal, and the cache is emptied.

        deadlines={"reviews": 0.2} (seconds; the others: none); total=1.0 (s for the page); parallel=False
        (one part after the other); coalesce=True (identical questions in flight become one); ttl=2.0 (s for
        which an answer is kept), spread=0.1 (less up to this share of it, by chance).
        """
        self.ask("behave", **checked(behaviour, self.parts))

    parts: tuple[str, ...] = ()

    def report(self) -> dict[str, int]:
        """Counted since the start or the last reset.

        pages; asked (calls to parts); joined (saved: the same question was in flight); cached (saved: the
        answer was there).
        """
        found: dict[str, int] = self.ask("report")
        return found


class Browser:
    """A client that asks for pages, or does the work of the aggregator itself."""

    def __init__(self, address: str, path: str, token: str, timeout: float | None) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.path = path
        self.http = httpx.Client(
            base_url=f"http://{address}", timeout=timeout, trust_env=False, headers=headers
        )

    def page(self, order: str) -> Page:
        """The page of an order, also one that failed; raises httpx.HTTPError when the gateway says no."""
        began = time.perf_counter()
        answer = self.http.get(f"{self.path}{order}")
        if answer.status_code != 502:
            answer.raise_for_status()
        return Page(**answer.json(), seconds=time.perf_counter() - began)

    def part(self, name: str, order: str) -> Any:
        """One part by itself, by way of /name/order, as a chatty client asks; raises httpx.HTTPError."""
        return self.http.get(f"/{name}/{order}").raise_for_status().json()

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()


def start(
    parts: Mapping[str, Server], optional: Collection[str] = (), name: str = "page", **behaviour: Any
) -> AggregatorServer:
    """Start an aggregator of these servers (HTTP orders); those `optional` may be missing from a page.

    See `AggregatorServer.behave`. Raises ServerError if it cannot start.
    """
    if not parts or set(optional) - set(parts):
        refuse("parts", sorted(parts), "at least one, and all that are optional: " + ", ".join(optional))
    kinds = {part: "optional" if part in optional else "mandatory" for part in parts}
    ports = {part: server.port for part, server in parts.items()}
    words = json.dumps({"ports": ports, "kinds": kinds, "behaviour": checked(behaviour, tuple(parts))})
    server = AggregatorServer("aggregator_server", words, name=name)
    server.parts = tuple(parts)
    server.start()
    return server


def connect(server: Server, path: str = "/page/", token: str = "", timeout: float | None = 5.0) -> Browser:
    """A client of the aggregator, or of a gateway before it. `timeout` is httpx's, in seconds."""
    return Browser(server.address, path, token, timeout)


def checked(behaviour: dict[str, Any], parts: Collection[str]) -> dict[str, Any]:
    """The behaviour, unless something in it cannot be: then TypeError or ArgumentError, in words."""
    unknown = sorted(set(behaviour) - set(NORMAL))
    if unknown:
        raise TypeError(f"no behaviour called {', '.join(unknown)}; there are: {', '.join(NORMAL)}")
    for part, seconds in behaviour.get("deadlines", {}).items():
        if part not in parts:
            refuse("A part of deadlines", part, "one of " + ", ".join(parts))
        number(f"deadlines.{part}", seconds, above=0)
    for name in ("total", "ttl", "spread"):
        most = 1 if name == "spread" else math.inf
        number(name, behaviour.get(name, NORMAL[name]), least=0, most=most)
    return behaviour

"""The aggregator as a process; `aggregator.py` says what it does, starts it and calls it.

`python -m interplay.servers.aggregator_server PORT CONTROL_PORT WORDS`. FastAPI outside, aiohttp's client
inside, and between them the decisions of `interplay.gateway`.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import time
from typing import Annotated, Any

import aiohttp
import uvicorn
from fastapi import FastAPI, Header, Response

from ..gateway import Aggregate, Cache, Coalesce
from . import control
from .aggregator import NORMAL
from .process import HOST

Key = tuple[str, str, str]  # part, order, user: one user's answer is not another's


class Aggregator:
    """Asks the parts of a page, and counts."""

    def __init__(self, ports: dict[str, int], kinds: dict[str, str], behaviour: dict[str, Any]) -> None:
        self.ports = ports
        self.page_of = Aggregate(kinds)
        self.flights = Coalesce()
        self.background: set[asyncio.Task[Any]] = set()
        self.session: aiohttp.ClientSession
        self.reset()
        self.behave(**behaviour)

    def reset(self) -> None:
        """Set the counters to zero."""
        self.counts = {"pages": 0, "asked": 0, "joined": 0, "cached": 0}

    def report(self) -> dict[str, int]:
        """The counters."""
        return self.counts

    def behave(self, **behaviour: Any) -> None:
        """Work like this from now on; what is not named goes back to normal."""
        self.behaviour = {**NORMAL, **behaviour}
        ttl = self.behaviour["ttl"]
        self.cache = Cache(ttl, spread=self.behaviour["spread"]) if ttl else None

    async def page(self, order: str, user: str) -> tuple[int, dict[str, Any]]:
        """The page and its HTTP status."""
        self.counts["pages"] += 1
        ends = asyncio.get_running_loop().time() + self.behaviour["total"]
        replies: dict[str, Any] = {}
        failed: set[str] = set()

        async def ask(part: str) -> None:
            try:
                async with asyncio.timeout_at(ends if ends < math.inf else None):
                    async with asyncio.timeout(self.behaviour["deadlines"].get(part)):
                        replies[part] = await self.answer((part, order, user))
            except (TimeoutError, aiohttp.ClientError):
                failed.add(part)

        if self.behaviour["parallel"]:
            asking = {asyncio.create_task(ask(part)) for part in self.ports}
            while asking and not self.page_of.ready(replies, failed):
                _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for task in asking:  # a mandatory part has failed: nobody waits for these
                task.cancel()
        else:
            for part in self.ports:
                if not self.page_of.ready(replies, failed):
                    await ask(part)
        page = self.page_of.decide(replies)
        said = {"status": page.status, "parts": page.body, "missing": page.missing, "user": user}
        return (502 if page.status == "failed" else 200), said

    async def answer(self, key: Key) -> Any:
        """A part's answer: kept from before, on its way already, or asked for."""
        if self.cache:
            value, state = self.cache.get(key, time.monotonic())
            if state == "fresh":
                self.counts["cached"] += 1
                return value
        if not self.behaviour["coalesce"]:
            return await self.fetch(key)
        mine = asyncio.get_running_loop().create_future()
        if self.flights.join(key, mine) == "leader":
            task = asyncio.create_task(self.lead(key))  # goes on when the leader's own caller gives up
            self.background.add(task)
            task.add_done_callback(self.background.discard)
        else:
            self.counts["joined"] += 1
        return await mine

    async def lead(self, key: Key) -> None:
        """Ask once for all who wait; they get the answer, or the failure."""
        outcome: Any
        try:
            async with asyncio.timeout(self.behaviour["deadlines"].get(key[0])):
                outcome = await self.fetch(key)
        except (TimeoutError, aiohttp.ClientError) as error:
            outcome = error
        for waiting in self.flights.finish(key):
            if waiting.done():  # it has given up
                continue
            if isinstance(outcome, Exception):
                waiting.set_exception(outcome)
            else:
                waiting.set_result(outcome)

    async def fetch(self, key: Key) -> Any:
        """Ask the part's server; errors are not kept."""
        part, order, _ = key
        self.counts["asked"] += 1
        url = f"http://{HOST}:{self.ports[part]}/orders/{order}"
        async with self.session.get(url, raise_for_status=True) as answer:
            value = await answer.json()
        if self.cache:
            self.cache.put(key, value, time.monotonic(), random.random())
        return value


def application(aggregator: Aggregator) -> FastAPI:
    """The path of the service."""
    app = FastAPI()

    @app.get("/page/{order}")
    async def page(order: str, response: Response, x_user: Annotated[str, Header()] = "") -> dict[str, Any]:
        response.status_code, said = await aggregator.page(order, x_user)
        return said

    return app


async def main(port: int, control_port: int, words: dict[str, Any]) -> None:
    """Serve until the process is ended."""
    aggregator = Aggregator(**words)
    methods = {"behave": aggregator.behave, "report": aggregator.report, "reset": aggregator.reset}
    config = uvicorn.Config(
        application(aggregator),
        host=HOST,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        await control.serve(control_port, methods),
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(None)) as session,
    ):
        aggregator.session = session
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])))

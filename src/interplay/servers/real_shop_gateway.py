"""The gateway of the real shop: HTTP on one side, NATS on the other, the course's own patterns between.

It is behind Envoy, which lets in as many a second as the configuration says, and gives up at the end. The
attempts, the breaker, the bulkhead and what is shown when inventory is down are decided here, by the same
objects as in the simulator. A restart forgets the breaker and who waits.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

from ..bulkhead import Bulkhead
from ..capstone.shop import order
from ..circuit_breaker import CircuitBreaker
from ..retry import FullJitter
from .process import HOST
from .step_worker import run
from .step_worker_line import subject
from .workers import Diary, Worker

OPEN_FOR = 2.0  # s, as in the simulator
FIRST_PAGE = 10**6  # pages and orders have requests of different numbers


def start(config: dict[str, Any], url: str, prefix: str, port: int) -> Worker:
    """The gateway as a process that listens on this port; `start()` starts it."""
    settings = {"config": config, "nats": url, "prefix": prefix, "port": port}
    return Worker("real_shop_gateway", "gateway", settings, None, [])


class Gateway:
    """Asks inventory for pages, and orders for orders."""

    def __init__(self, diary: Diary) -> None:
        self.diary, told = diary, diary.settings
        self.prefix, self.config = told["prefix"], told["config"]
        gateway, tries = self.config["gateway"], self.config["pages"]["breaker_after"]
        self.rooms = asyncio.Semaphore(gateway["workers"])
        slots = gateway["orders_at_once"]
        self.bulkhead = None if slots is None else Bulkhead(slots)
        self.breaker = None if tries is None else CircuitBreaker(tries, open_for=OPEN_FOR)
        self.waiting: dict[int, asyncio.Future[str]] = {}
        self.cut: set[str] = set()
        self.slowness = 1.0

    async def connect(self) -> None:
        """Hear the answers."""
        import nats

        async def nothing(_: Exception) -> None: ...

        self.nats = await nats.connect(
            self.diary.settings["nats"], reconnect_time_wait=0.1, max_reconnect_attempts=-1, error_cb=nothing
        )

        async def answered(message: Any) -> None:
            said = json.loads(message.data)
            waiting = self.waiting.get(said["request"])
            if waiting is not None and not waiting.done():
                waiting.set_result(said["status"])

        async def control(message: Any) -> None:
            how = json.loads(message.data)
            self.cut = set(how.get("cut", self.cut))
            self.slowness = how.get("slowness", self.slowness)
            await message.respond(b"")

        await self.nats.subscribe(subject(self.prefix, "gateway"), cb=answered)
        await self.nats.subscribe(subject(self.prefix, "control gateway"), cb=control)
        await self.nats.flush()

    async def page(self, request: Any) -> Any:
        """GET /pages/n: what is in stock."""
        number = FIRST_PAGE + _number(request)
        async with self.rooms:
            await asyncio.sleep(0.001 * self.slowness)
            status, sent = await self.ask(number, "inventory", {"kind": "page"}, "pages", self.breaker)
        old = status != "ok" and self.config["pages"]["when_down"] == "last known"
        self.diary.write("old page" if old else "page", number, messages=2 + sent)
        return _answer("ok" if old else status, shows="last known" if old else "now")

    async def order(self, request: Any) -> Any:
        """GET /orders/n: an order; a GET, so that a browser can do it, too."""
        number = _number(request)
        now = time.monotonic()
        if self.bulkhead and not self.bulkhead.enter(now):
            return _answer("rejected")
        try:
            async with self.rooms:
                await asyncio.sleep(0.001 * self.slowness)
                place = {"kind": "place", "order": order(number), "request": number}
                status, sent = await self.ask(number, "orders", place, "orders", None)
        finally:
            if self.bulkhead:
                self.bulkhead.leave(time.monotonic())
        self.diary.write("order", number, messages=2 + sent)
        return _answer(status, order=f"o{number}")

    async def ask(
        self, number: int, to: str, message: Any, kind: str, breaker: CircuitBreaker | None
    ) -> tuple[str, int]:
        """Some attempts, each with a timeout, behind a breaker: the status, and how many messages it took."""
        config, status, sent = self.config[kind], "timeout", 0
        wait = FullJitter(base=max(config["first_wait"], 1e-9), cap=10.0)
        said = json.dumps({"request": number, "message": message}).encode()
        for attempt in range(1, config["attempts"] + 1):
            if breaker is not None and not breaker.allow(time.monotonic()):
                return "rejected", sent
            began, sent = time.monotonic(), sent + 1
            self.waiting[number] = answer = asyncio.get_running_loop().create_future()
            if to not in self.cut:
                await self.nats.publish(subject(self.prefix, to), said)
            try:
                status = await asyncio.wait_for(answer, config["timeout"])
            except TimeoutError:
                status = "timeout"
            finally:
                if self.waiting.get(number) is answer:
                    del self.waiting[number]
            if breaker is not None:
                breaker.record(status == "ok", time.monotonic(), began)
            if status == "ok" or attempt == config["attempts"]:
                break
            await asyncio.sleep(wait.delay(attempt, 0.0, random.random()))
        return status, sent


def _number(request: Any) -> int:
    """Of the request: the load's order-0 of the run that begins after `after` is order 1 after that."""
    return int(request.match_info["n"].rpartition("-")[2]) + 1 + int(request.query.get("after", "0"))


def _answer(status: str, **more: Any) -> Any:
    from aiohttp import web

    code = {"ok": 200, "timeout": 504}.get(status, 503)
    return web.json_response({"status": status, **more}, status=code)


async def main() -> None:
    """Be the gateway."""
    from aiohttp import web

    diary = Diary()
    gateway = Gateway(diary)
    await gateway.connect()
    app = web.Application()
    app.add_routes([web.get("/pages/{n}", gateway.page), web.get("/orders/{n}", gateway.order)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
    await runner.setup()
    await web.TCPSite(runner, HOST, diary.settings["port"]).start()
    diary.write("ready")
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main)

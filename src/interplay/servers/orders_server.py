"""The shop's orders as a real server: the work is here, once, and the way to it in three files of their own.

`python -m interplay.servers.orders_server PORT CONTROL_PORT FRAMEWORK BEHAVIOUR`, where the framework is
"fastapi", "aiohttp" or "grpc". One process, one event loop: nothing happens between two `await`s.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from . import control
from .orders import NORMAL, STATUSES, Broken, LineIsFull, lines_of_order


class Orders:
    """Does the work of the orders and counts it."""

    def __init__(self, behaviour: dict[str, Any]) -> None:
        self.confirmed: dict[str, asyncio.Future[float]] = {}  # orders placed: when they were confirmed
        self.lines: dict[str, list[dict[str, Any]]] = {}  # orders placed: what was ordered
        self.background: set[asyncio.Task[None]] = set()
        self.inside = 0  # requests that wait or are worked on
        self.reset()
        self.behave(**behaviour)

    def reset(self) -> None:
        """Set the counters to zero."""
        self.rows: list[list[Any]] = []  # order, arrived, waited, worked, status, connection
        self.connections: dict[int, int] = {}  # the client's port: 1, 2, …
        self.turns: dict[str, int] = {}  # how often each order was worked on
        self.began = time.monotonic()

    def calls(self) -> int:
        """How many came."""
        return len(self.rows)

    def report(self) -> list[list[Any]]:
        """All that was counted."""
        return self.rows

    def behave(self, **behaviour: Any) -> None:
        """Work like this from now on; what is not named goes back to normal."""
        self.behaviour = {**NORMAL, **behaviour}
        self.workers = asyncio.Semaphore(int(min(self.behaviour["workers"], 1e9)))  # hands on in order
        self.stall_begins = time.monotonic() + self.behaviour["after"]
        self.stall_ends = self.stall_begins + self.behaviour["stall"]

    async def work(self, order: str, port: int) -> None:
        """One request: wait for a worker, work. `port` is the client's; raises LineIsFull, Broken."""
        connection = self.connections.setdefault(port, len(self.connections) + 1)
        arrived = time.monotonic()
        row = [order, arrived - self.began, 0.0, 0.0, "OPEN", connection]
        self.rows.append(row)
        if self.inside >= self.behaviour["workers"] + self.behaviour["waiting"]:
            row[4] = "REJECTED"
            raise LineIsFull("too many orders are waiting")
        self.inside += 1
        try:
            async with self.workers:
                await self.stalled()
                started = time.monotonic()
                row[2] = started - arrived
                if self.behaviour["seconds"]:
                    await asyncio.sleep(self.duration(order))
                await self.stalled()
                row[3] = time.monotonic() - started
                row[4] = "FAILED" if self.fails(order) else "OK"
                if row[4] == "FAILED":
                    raise Broken("the work failed")
        except asyncio.CancelledError:
            row[4] = "LEFT"
            raise
        finally:
            self.inside -= 1

    def duration(self, order: str) -> float:
        """Seconds of work in a request for this order: the same, whenever it comes."""
        seconds = self.behaviour["seconds"]
        if self.behaviour["shape"] == "exponential":
            seconds *= random.Random(f"{self.behaviour['seed']}/{order}").expovariate(1)
        return float(seconds)

    def fails(self, order: str) -> bool:
        """Whether this request for the order fails: the same in each run, and new for its next request."""
        turn = self.turns[order] = self.turns.get(order, 0) + 1
        draw = random.Random(f"{self.behaviour['seed']}/{order}/{turn}").random()
        return bool(draw < self.behaviour["fails"])

    async def stalled(self) -> None:
        """Wait while the whole server stands still."""
        while self.stall_begins <= time.monotonic() < self.stall_ends:
            await asyncio.sleep(self.stall_ends - time.monotonic())

    async def place(self, order: str, lines: list[dict[str, Any]], port: int, wait: bool) -> dict[str, Any]:
        """Take an order, and do its work before the answer (`wait`) or afterwards; raises LineIsFull."""
        self.lines[order] = lines
        self.confirmed[order] = confirmed = asyncio.get_running_loop().create_future()

        async def confirm() -> None:
            try:
                await self.work(order, port)
                confirmed.set_result(time.monotonic())
            except BaseException:
                self.confirmed.pop(order, None)
                self.lines.pop(order, None)
                confirmed.cancel()
                raise

        task = asyncio.create_task(confirm())
        self.background.add(task)  # else it could be collected as garbage before it is done
        task.add_done_callback(self.forget)
        await (task if wait else asyncio.sleep(0))  # 0: one step, in which it takes its place in the line
        if task.done():
            task.result()
        return self.show(order)

    def forget(self, task: asyncio.Task[None]) -> None:
        """It has ended. If it failed, and nobody waited for it, asyncio would complain in the log."""
        self.background.discard(task)
        if not task.cancelled():
            task.exception()

    def show(self, order: str) -> dict[str, Any]:
        """The order, with its status now. One that nobody placed is an old one: delivered."""
        lines = self.lines.get(order) or lines_of_order(int(self.behaviour["lines"]))
        step, confirmed = len(STATUSES) - 1, self.confirmed.get(order)
        if confirmed:
            step = sum(time.monotonic() >= self.when(confirmed, n) for n in range(1, len(STATUSES)))
        return {
            "order_id": order,
            "customer": "Ada Lovelace",
            "lines": lines,
            "total_cents": sum(line["quantity"] * line["price_cents"] for line in lines),
            "status": STATUSES[step],
        }

    def when(self, confirmed: asyncio.Future[float], step: int) -> float:
        """When an order reaches step 1 (confirmed), 2, … of its way, as far as is known."""
        return confirmed.result() + (step - 1) * self.behaviour["every"] if confirmed.done() else float("inf")

    async def updates(self, order: str) -> AsyncIterator[dict[str, Any]]:
        """The order's status, and each change of it when it happens."""
        confirmed = self.confirmed.get(order)
        for step, status in enumerate(STATUSES):
            if confirmed and step:
                await asyncio.shield(confirmed)
                await asyncio.sleep(self.when(confirmed, step) - time.monotonic())
            await self.stalled()
            yield {"seq": step, "status": status}


async def main(port: int, control_port: int, framework: str, behaviour: dict[str, Any]) -> None:
    """Serve until the process is ended."""
    orders = Orders(behaviour)
    methods = {"behave": orders.behave, "report": orders.report, "reset": orders.reset}
    methods["calls"] = orders.calls
    controls = await control.serve(control_port, methods)
    async with controls:
        await importlib.import_module(f"{__package__}.orders_{framework}").serve(orders, port)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])))

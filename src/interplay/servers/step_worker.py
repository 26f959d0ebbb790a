"""A process that runs any STEP of the course on real brokers, as `interplay.process` does in the simulator.

    commit   rows of PostgreSQL, in one transaction        timer    the event loop's
    send     a NATS message; into a queue or a log: one    reply    a NATS message to the gateway
             that JetStream stores                         ack …    JetStream's own

At its start it reads its database, and gets the event {"kind": "started"}; its memory is lost with it. One
event after the other is handed to the STEP, and its actions are carried out before the next: at most
`workers` events are in work at once, and each takes some time before.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..actions import Action, Event
from .nats_server import Nats
from .postgres import Postgres
from .step_worker_line import NO_SERVER, Line
from .step_worker_rows import Rows
from .workers import Diary, Dies, Worker

ACTIONS = ["commit", "send", "timer", "reply", "ack", "nack", "extend", "offset"]
POINTS = [*(f"before {action}" for action in ACTIONS), "after the last"]


@dataclass
class Arrived:
    """An event on its way to the STEP, with the request that it belongs to."""

    message: Event
    request: int
    timed: bool = True  # whether it takes the time that work takes


def start(
    name: str,
    step: Any,
    database: Postgres,
    broker: Nats,
    *,
    prefix: str,
    folder: Path,
    others: list[str],
    takes: tuple[str, str] | None = None,
    workers: int = 1,
    seconds: float = 0.0,
    fixed: bool = False,
    memory: dict[str, Any] | None = None,
    rows: str = "",
    reads: list[str] | None = None,
    zero: float = 0.0,
    dies: Dies = None,
) -> Worker:
    """A process that runs `step`; it is not started yet: `start()` does that.

    `others` are the names that it may send to; `takes` is the queue or the log that it consumes, as (kind,
    name). Work takes `seconds` on average, exponentially
    distributed or `fixed`. Its database is that of `rows` (by default its own name), of which it `reads` so
    many tables (None: all that it has); a table of another's database is read anew before each event. The
    clock says 0 at `zero` (s since the epoch). `dies`, such as ("before send", 5), is the place of the n-th
    such action.
    """
    import cloudpickle

    file = folder / f"{name}.step"
    file.touch(mode=0o600)
    file.write_bytes(cloudpickle.dumps(step))
    settings = {
        "name": name, "step": str(file), "database": database.url, "nats": broker.url, "prefix": prefix,
        "others": others, "takes": takes, "workers": workers, "seconds": seconds, "fixed": fixed,
        "memory": memory or {}, "rows": rows or name, "reads": reads, "zero": zero,
    }  # fmt: skip
    return Worker("step_worker", name, settings, dies, POINTS)


class Host:
    """The process: takes events, hands them to the STEP one by one, and carries out the actions."""

    def __init__(self, diary: Diary) -> None:
        import cloudpickle

        told = self.told = diary.settings
        self.diary, self.name = diary, told["name"]
        self.step = cloudpickle.loads(Path(told["step"]).read_bytes())
        self.rows = Rows(told["database"], told["prefix"], told["rows"], told["reads"])
        self.state = {**told["memory"], "stored": self.rows.stored}
        self.events: asyncio.Queue[Arrived] = asyncio.Queue()
        self.line = Line(told, self.arrives, self.behave)
        self.turn = asyncio.Lock()
        self.slowness = 1.0
        self.sent = 0  # messages of the event in work, as the simulator counts them

    def arrives(self, message: Event, request: int, *, timed: bool = True) -> None:
        """A message, a delivery or a timer."""
        self.events.put_nowait(Arrived(message, request, timed))

    def behave(self, how: dict[str, Any]) -> None:
        """Be slower by a factor, or send nothing to some others, from now on."""
        self.slowness = how.get("slowness", self.slowness)
        self.line.cut = set(how.get("cut", self.line.cut))

    async def work(self) -> None:
        """One of the workers: takes its time, and then lets the STEP decide."""
        while True:
            event = await self.events.get()
            if event.timed:
                mean = self.told["seconds"]
                takes = mean if self.told["fixed"] or not mean else random.expovariate(1 / mean)
                await asyncio.sleep(takes * self.slowness)
            async with self.turn:
                await self.handle(event)

    async def handle(self, event: Arrived) -> None:
        """One event and its actions."""
        if self.told["rows"] != self.name:
            self.rows.load()
        self.sent = int(event.message["kind"] in ("delivery", "records"))  # the broker's message to here
        now = time.time() - self.told["zero"]
        answer = self.step(self.state, {**event.message, "now": now})
        self.state = answer["state"]
        self.state["stored"] = self.rows.stored
        for action in answer["actions"]:
            self.diary.point(f"before {action['do']}")
            await self.carry_out(action, event)
        self.diary.point("after the last")
        kind = event.message["kind"]
        if kind != "poll" or self.sent:
            self.diary.write("handled", kind, request=event.request, messages=self.sent)

    async def carry_out(self, action: Action, event: Arrived) -> None:
        """What `Process` does in the simulator."""
        do = action["do"]
        if do == "commit":
            self.rows.write(action["writes"])
            return
        if do == "timer":
            after = asyncio.get_running_loop().call_later
            after(action["after"], self.arrives, action["event"], event.request)
            return
        self.sent += 1
        if do == "send":
            request = action.get("request") or event.request
            self.sent += await self.line.send(action, request)
        elif do == "reply":
            request = event.request if action["request"] is None else action["request"]
            await self.line.reply(request, action["status"])
        else:
            await self.line.settle(action)


async def main() -> None:
    """Be the process."""
    host = Host(Diary())
    await host.line.connect()
    host.diary.write("ready")
    host.arrives({"kind": "started"}, 0, timed=False)
    await asyncio.gather(*(host.work() for _ in range(host.told["workers"])), host.line.take())


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Be a process that ends with a status of its own when its database or its broker is gone."""
    import nats
    import psycopg

    try:
        asyncio.run(main())
    except (psycopg.OperationalError, nats.errors.Error, OSError) as error:
        print(f"{type(error).__name__}: {error}")
        raise SystemExit(NO_SERVER) from None


if __name__ == "__main__":
    run(main)

"""What a STEP's process says and hears over NATS.

To a process goes a plain message, which is lost when nobody is there. What goes into a queue or a log is
stored by JetStream; from there it is delivered until it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

from ..actions import Action, Event
from .step_worker_rows import packed, unpacked

NO_SERVER = 75  # the exit status of one that has lost its database or its broker: to be started again
BATCH = 10  # records of a log at once, as in the simulator


def subject(prefix: str, name: str) -> str:
    """Where messages to `name` go: "shop-1f.letters-queue"."""
    return f"{prefix}.{name.replace(' ', '-')}"


def stream(prefix: str, name: str) -> str:
    """JetStream's stream of a queue or a log."""
    return f"{prefix}-{name.replace(' ', '-')}"


class Line:
    """The connection of one process; `arrives(message, request)` is told what comes."""

    def __init__(
        self, told: dict[str, Any], arrives: Callable[..., None], behave: Callable[[dict[str, Any]], None]
    ) -> None:
        self.told, self.arrives, self.behave = told, arrives, behave
        self.prefix, self.others = told["prefix"], told["others"]
        self.cut: set[str] = set()  # who is not reached now
        self.held: dict[Any, Any] = {}  # deliveries that are not settled, by receipt
        self.publishing: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Connect, and hear what is sent to this process."""
        import nats

        async def lost() -> None:
            os._exit(NO_SERVER)  # the broker is gone for good

        self.nats = await nats.connect(
            self.told["nats"], reconnect_time_wait=0.1, max_reconnect_attempts=100, closed_cb=lost,
            error_cb=_nothing,
        )  # fmt: skip
        self.js = self.nats.jetstream()

        async def hear(message: Any) -> None:
            said = json.loads(message.data)
            self.arrives(unpacked(said["message"]), said["request"])

        async def control(message: Any) -> None:
            self.behave(json.loads(message.data))
            await message.respond(b"")

        name = self.told["name"]
        await self.nats.subscribe(subject(self.prefix, name), cb=hear)
        await self.nats.subscribe(subject(self.prefix, f"control {name}"), cb=control)
        await self.nats.flush()

    async def send(self, action: Action, request: int) -> int:
        """Send a message; the number of further messages that this took."""
        to = action["to"]
        if to not in self.others:
            raise ValueError(f"nobody here has the name {to!r}: there are {', '.join(self.others)}")
        if to in self.cut:
            return 0
        said = json.dumps({"request": request, "message": packed(action["message"])}).encode()
        tag = (action.get("options") or {}).get("confirm")
        if tag is None:
            await self.nats.publish(subject(self.prefix, to), said)
            return 0
        task = asyncio.create_task(self._confirmed(to, said, request, tag))
        self.publishing.add(task)
        task.add_done_callback(self.publishing.discard)
        return 1

    async def _confirmed(self, to: str, said: bytes, request: int, tag: Any) -> None:
        import nats

        with contextlib.suppress(nats.errors.Error, TimeoutError):  # not confirmed: it will be sent again
            await self.js.publish(subject(self.prefix, to), said, timeout=1.0)
            self.arrives({"kind": "confirmed", "tag": tag}, request)

    async def reply(self, request: int, status: str) -> None:
        """Answer the user who waits for this request; if nobody does, nothing happens."""
        said = {"request": request, "status": status}
        if "gateway" not in self.cut:
            await self.nats.publish(subject(self.prefix, "gateway"), json.dumps(said).encode())

    async def settle(self, action: Action) -> None:
        """Tell JetStream what became of a delivery: `ack`, `nack`, `extend`, or how far a log is read."""
        do = action["do"]
        receipt = ("offset", action["offset"]) if do == "offset" else action.get("receipt")
        message = self.held.get(receipt) if do == "extend" else self.held.pop(receipt, None)
        if message is None:
            return  # it is settled already
        if do == "extend":
            await message.in_progress()
        elif do != "nack":
            await message.ack()
        elif action["requeue"]:
            await message.nak(delay=action["delay"] or None)
        else:
            await message.term()

    async def take(self) -> None:
        """Take deliveries from the queue or the log that this process consumes, for ever."""
        if self.told["takes"] is None:
            return
        kind, name = self.told["takes"]
        place = stream(self.prefix, name)
        pull = await self.js.pull_subscribe_bind(consumer=place, stream=place)
        while True:
            found = await _fetch(pull, 1, 5.0)
            if found and kind == "log":
                found += await _fetch(pull, BATCH - 1, 0.01)
                self._records(name, found)
            elif found:
                self._delivery(name, found[0])

    def _delivery(self, name: str, message: Any) -> None:
        about = message.metadata
        receipt, said = str(about.sequence.consumer), json.loads(message.data)
        self.held[receipt] = message
        event: Event = {"kind": "delivery", "queue": name, "receipt": receipt, "id": about.sequence.stream}
        event |= {"deliveries": about.num_delivered, "body": unpacked(said["message"])}
        self.arrives(event, said["request"])

    def _records(self, name: str, messages: list[Any]) -> None:
        said = [json.loads(message.data) for message in messages]
        offsets = [message.metadata.sequence.stream for message in messages]
        records = [
            {"offset": offset, "key": None, "body": unpacked(one["message"])}
            for offset, one in zip(offsets, said, strict=True)
        ]
        event: Event = {"kind": "records", "log": name, "group": self.told["name"], "partition": 0}
        event |= {"generation": 1, "offset": offsets[0], "next": offsets[-1] + 1, "records": records}
        self.held["offset", event["next"]] = messages[-1]  # its acknowledgement is for all before it, too
        self.arrives(event, said[0]["request"])


async def _fetch(pull: Any, most: int, seconds: float) -> list[Any]:
    import nats

    with contextlib.suppress(nats.errors.TimeoutError, TimeoutError):
        return list(await pull.fetch(most, timeout=seconds))
    return []


async def _nothing(_: Exception) -> None:
    """What goes wrong on the way is seen where it is awaited."""

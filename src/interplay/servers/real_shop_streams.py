"""The queues and the log of the real shop in JetStream, and its dead letters.

JetStream has no queue of dead letters: it tells of a message that was given up, or rejected, in an advisory
with its number. A stream keeps these advisories, and the message is read by its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from collections.abc import Coroutine, Mapping
from typing import Any

from .nats_server import Nats
from .step_worker_line import BATCH, stream, subject
from .step_worker_rows import unpacked

ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER"
LOG_LEASE = 1.0  # s until a reader of the log that has crashed gets its records again


class Streams:
    """What this shop has in JetStream. Each call has a connection of its own."""

    def __init__(self, nats: Nats, prefix: str) -> None:
        self.nats, self.prefix = nats, prefix
        self.names: list[str] = []
        self.dead = f"{prefix}-dead"

    def create(self, queues: Mapping[str, Any], logs: Mapping[str, Any]) -> None:
        """A stream and a consumer for each queue and log of the simulated shop, with the same policy."""
        from nats.js.api import AckPolicy, ConsumerConfig

        async def work(js: Any) -> None:
            advisories = []
            for name, part in [*queues.items(), *logs.items()]:
                place = stream(self.prefix, name)
                await js.add_stream(name=place, subjects=[subject(self.prefix, name)])
                self.names.append(place)
                config = ConsumerConfig(durable_name=place, ack_policy=AckPolicy.EXPLICIT)
                if name in queues:
                    lease, limit = part.queue.visibility, part.queue.limit
                    config.ack_wait = 3600.0 if lease == math.inf else lease
                    config.max_deliver = -1 if limit == math.inf else int(limit)
                    config.max_ack_pending = int(part.consumers[0].prefetch)
                    advisories += [
                        f"{ADVISORY}.{kind}.{place}.>" for kind in ("MAX_DELIVERIES", "MSG_TERMINATED")
                    ]
                else:
                    config.ack_policy, config.ack_wait = AckPolicy.ALL, LOG_LEASE
                    config.max_ack_pending = BATCH
                await js.add_consumer(place, config)
            if advisories:
                await js.add_stream(name=self.dead, subjects=advisories)
                self.names.append(self.dead)

        self._do(work)

    def left(self, name: str) -> int:
        """Messages of a queue or a log that are not settled: waiting, or delivered and not acknowledged."""

        async def look(js: Any) -> int:
            place = stream(self.prefix, name)
            info = await js.consumer_info(place, place)
            return int(info.num_pending + info.num_ack_pending)

        return int(self._do(look))

    def dead_letters(self, name: str) -> list[tuple[Any, str]]:
        """Messages of a queue that were given up, and why: "deliveries" or "rejected"."""

        async def look(js: Any) -> list[tuple[Any, str]]:
            place, found = stream(self.prefix, name), []
            for told in await _all(js, self.dead):
                if told["stream"] == place:
                    raw = await js.get_msg(place, told["stream_seq"])
                    why = "deliveries" if told["type"].endswith("max_deliver") else "rejected"
                    found.append((unpacked(json.loads(raw.data)["message"]), why))
            return found

        return list(self._do(look))

    def publish(self, name: str, message: Any) -> None:
        """Send a message to a process, a queue or a log, from outside."""
        said = json.dumps({"request": 0, "message": message}).encode()

        async def send(js: Any) -> None:
            await js._nc.publish(subject(self.prefix, name), said)
            await js._nc.flush()

        self._do(send)

    def behave(self, name: str, **how: Any) -> None:
        """Tell a process to be slower (`slowness`), or to send nothing to some others (`cut`)."""

        async def tell(js: Any) -> None:
            import nats

            with contextlib.suppress(nats.errors.Error, TimeoutError):  # it is down
                await js._nc.request(subject(self.prefix, f"control {name}"), json.dumps(how).encode(), 1.0)

        self._do(tell)

    def remove(self) -> None:
        """Delete all of it."""

        async def work(js: Any) -> None:
            for name in self.names:
                await js.delete_stream(name)

        self._do(work)

    def _do(self, work: Any) -> Any:
        """Run it in a thread: a notebook's own has an event loop already."""
        found: list[Any] = []

        async def connected() -> Any:
            line = await self.nats.connect()
            try:
                return await work(line.jetstream())
            finally:
                await line.close()

        def go(coroutine: Coroutine[Any, Any, Any]) -> None:
            try:
                found.append((asyncio.run(coroutine), None))
            except BaseException as error:
                found.append((None, error))

        thread = threading.Thread(target=go, args=(connected(),), daemon=True)
        thread.start()
        thread.join()
        result, error = found[0]
        if error is not None:
            raise error
        return result


async def _all(js: Any, name: str) -> list[Any]:
    """All messages of a stream, read as JSON."""
    state = (await js.stream_info(name)).state
    return [
        json.loads((await js.get_msg(name, seq)).data)
        for seq in range(max(1, state.first_seq), state.last_seq + 1)
    ]

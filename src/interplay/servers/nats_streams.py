"""What a notebook does often with NATS, in a line each and with `await`; the rest is nats-py's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple


class Stored(NamedTuple):
    """A message as it stands in a stream."""

    seq: int
    subject: str
    text: str
    headers: dict[str, str]


class Heard:
    """What the subscribers of `Streams.subscribe` were given: (name, subject, text), in order."""

    def __init__(self, line: Any) -> None:
        self.line = line
        self.rows: list[tuple[str, str, str]] = []

    def counts(self) -> dict[str, int]:
        """How many messages each subscriber was given."""
        return dict(Counter(name for name, _, _ in self.rows))

    def of(self, name: str) -> list[tuple[str, str]]:
        """The (subject, text) that one subscriber was given."""
        return [row[1:] for row in self.rows if row[0] == name]

    async def settle(self, seconds: float = 0.2) -> None:
        """Wait until nothing has come for so long."""
        await self.line.flush()
        seen = -1
        while seen < len(self.rows):
            seen = len(self.rows)
            await asyncio.sleep(seconds)


class Streams:
    """The subjects and streams of the NATS server at `url`; each event loop has a connection of its own."""

    url: str

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Use a new connection from now on."""
        self._line: Any = None
        self._loop: Any = None

    async def connect(self) -> Any:
        """A nats-py client; close it with `await client.close()`. Raises nats.errors.Error when it fails."""
        import nats

        return await nats.connect(
            self.url, error_cb=_nothing, connect_timeout=5, max_reconnect_attempts=20, reconnect_time_wait=0.2
        )

    async def _own(self) -> Any:
        if self._line is None or self._line.is_closed or self._loop is not asyncio.get_running_loop():
            self._line, self._loop = await self.connect(), asyncio.get_running_loop()
        return self._line

    async def jetstream(self) -> Any:
        """nats-py's JetStream context, on a connection that stays open."""
        return (await self._own()).jetstream()

    async def subscribe(self, subject: str, groups: Mapping[str, str | None]) -> Heard:
        """Subscribers by name: with None each gets all, with a queue group one of the group gets each.

        They hear what is published from now on, until the server or the notebook ends.
        """
        line = await self._own()
        heard = Heard(line)
        for name, group in groups.items():

            async def note(message: Any, name: str = name) -> None:
                heard.rows.append((name, message.subject, message.data.decode()))

            await line.subscribe(subject, queue=group or "", cb=note)
        await line.flush()
        return heard

    async def stream(self, name: str, subjects: list[str], **config: Any) -> Any:
        """An empty stream of this name that keeps what is published to the subjects; a JetStream context.

        `config` in nats-py's words (StreamConfig), such as duplicate_window=30 (s), max_msgs=1000.
        """
        import nats.js.errors

        js = await self.jetstream()
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await js.delete_stream(name)
        await js.add_stream(name=name, subjects=subjects, **config)
        return js

    async def read(self, name: str) -> list[Stored]:
        """All that is in the stream now, from the beginning."""
        import nats.js.errors

        js = await self.jetstream()
        state = (await js.stream_info(name)).state
        found = []
        for seq in range(max(state.first_seq, 1), state.last_seq + 1):
            with contextlib.suppress(nats.js.errors.NotFoundError):  # deleted
                raw = await js.get_msg(name, seq)
                headers = {key: str(value) for key, value in (raw.headers or {}).items()}
                found.append(Stored(seq, str(raw.subject), (raw.data or b"").decode(), headers))
        return found


async def _nothing(_: Exception) -> None:
    """A client's troubles on the way: what they lead to is seen where it is awaited."""

"""What a notebook does often with RabbitMQ's queues, in a line each; for the rest there is a pika channel."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Message:
    """A message as it was taken from a queue."""

    body: str
    redelivered: bool
    headers: dict[str, Any] = field(default_factory=dict)
    priority: int | None = None
    correlation: str | None = None  # the correlation id of a reply


class Queues:
    """The queues of the RabbitMQ at `url`. `answers` are the replies of the last `ask`, as they came."""

    url: str

    def __init__(self) -> None:
        self._lines: list[Any] = []
        self._usual: Any = None  # the connection of what is done here; a channel of the caller has its own
        self.answers: list[Message] = []

    def hang_up(self) -> None:
        """Close all connections."""
        for line in self._lines:
            with contextlib.suppress(Exception):
                line.close()
        self._lines, self._usual = [], None

    def _line(self) -> Any:
        """A connection of its own; without heartbeats, as nobody answers them between two cells."""
        import pika

        parameters = pika.URLParameters(self.url)
        parameters.heartbeat = 0
        line = pika.BlockingConnection(parameters)
        self._lines.append(line)
        return line

    def channel(self) -> Any:
        """A pika channel on a connection of its own; pika's errors when RabbitMQ does not answer."""
        return self._line().channel()

    @contextlib.contextmanager
    def _short(self):  # type: ignore[no-untyped-def]
        """A channel for a moment."""
        if self._usual is None or not self._usual.is_open:
            self._usual = self._line()
        channel = self._usual.channel()
        try:
            yield channel
        finally:
            if channel.is_open:
                channel.close()

    def queue(self, name: str, arguments: dict[str, Any] | None = None) -> str:
        """An empty durable queue of this name; `arguments` in RabbitMQ's words, {"x-max-priority": 10}."""
        with self._short() as channel:
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, arguments=arguments)
        return name

    def send(
        self,
        queue: str,
        bodies: Iterable[str],
        *,
        confirm: bool = False,
        persistent: bool = True,
        priority: int | None = None,
    ) -> float:
        """Send messages to a queue; the seconds that it took.

        With `confirm` it waits for RabbitMQ's word after each; without, nobody knows whether they arrived.
        """
        import pika

        how = pika.BasicProperties(delivery_mode=2 if persistent else 1, priority=priority)
        with self._short() as channel:
            if confirm:
                channel.confirm_delivery()
            began = time.perf_counter()
            for body in bodies:
                channel.basic_publish("", queue, body.encode(), how, mandatory=confirm)
            return time.perf_counter() - began

    def depth(self, queue: str) -> int:
        """How many messages wait in it: not those that are out at consumers."""
        with self._short() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def drain(self, queue: str) -> list[Message]:
        """Take all that waits in it now, and acknowledge it."""
        found: list[Message] = []
        with self._short() as channel:
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return found
                found.append(_message(method, properties, body))

    def ask(self, queue: str, bodies: Iterable[str], timeout: float = 5.0) -> dict[str, str]:
        """Send requests to a queue, and wait for the replies: {body: reply}, of those that came in time.

        All replies come to one queue; which is whose, the correlation id says.
        """
        import pika

        asked: dict[str, str] = {}
        self.answers = []
        with self._short() as channel:
            mine = channel.queue_declare("", exclusive=True).method.queue
            channel.basic_consume(mine, lambda _, *m: self.answers.append(_message(*m)), auto_ack=True)
            for body in bodies:
                number = str(uuid.uuid4())
                asked[number] = body
                how = pika.BasicProperties(reply_to=mine, correlation_id=number)
                channel.basic_publish("", queue, body.encode(), how)
            deadline = time.monotonic() + timeout
            while len(self.answers) < len(asked) and time.monotonic() < deadline:
                channel.connection.process_data_events(0.02)
        return {asked[m.correlation]: m.body for m in self.answers if m.correlation in asked}


def _message(method: Any, properties: Any, body: bytes) -> Message:
    headers = properties.headers or {}
    return Message(body.decode(), method.redelivered, headers, properties.priority, properties.correlation_id)

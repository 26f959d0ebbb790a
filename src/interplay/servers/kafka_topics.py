"""What a notebook does often with Kafka's topics: write, read from the beginning, see how far a group is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .process import ServerError

PATIENCE = 10.0  # seconds for an answer of the cluster
NOTHING = -1001  # confluent_kafka.OFFSET_INVALID: nothing is committed


class Record(NamedTuple):
    """A record as it stands in the log."""

    partition: int
    offset: int
    key: str | None
    value: str


class Topics:
    """The topics of the cluster at `address`."""

    name: str
    address: str

    def send(self, topic: str, records: Iterable[tuple[str | None, str]]) -> list[tuple[int, int]]:
        """Append (key, value) records; the (partition, offset) of each, in the order given.

        A key's partition is murmur2(key) mod the number of partitions, as with Java's clients.
        Raises ServerError when one is not acknowledged in 10 s.
        """
        from confluent_kafka import Producer

        places: dict[int, tuple[int, int]] = {}
        settings = {"partitioner": "murmur2_random", "linger.ms": 5, "message.timeout.ms": 1000 * PATIENCE}
        producer = Producer(self._client() | settings)
        count = 0
        for key, value in records:

            def noted(error: Any, message: Any, index: int = count) -> None:
                if error is None:
                    places[index] = (message.partition(), message.offset())

            producer.produce(topic, value=value, key=key, on_delivery=noted)
            count += 1
        producer.flush(PATIENCE + 1)
        if len(places) < count:
            raise ServerError(f"{self.name} has acknowledged {len(places)} of {count} records.")
        return [places[index] for index in range(count)]

    def read(self, topic: str) -> list[Record]:
        """All that is in the topic now, from the beginning, partition by partition."""
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        with self._consumer("reader") as consumer:
            ends = self._ends(consumer, topic)
            todo = {p: end for p, (begin, end) in ends.items() if end > begin}
            consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in todo])
            found: list[Record] = []
            while todo:
                message = consumer.poll(PATIENCE)
                if message is None or message.error():
                    raise ServerError(f"{self.name} does not answer: {message and message.error()}")
                key = message.key() and message.key().decode()
                found.append(Record(message.partition(), message.offset(), key, message.value().decode()))
                if message.offset() + 1 >= todo[message.partition()]:
                    del todo[message.partition()]
        return sorted(found, key=lambda record: record[:2])

    def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """For each partition the offset that the group goes on from; None when it has committed none."""
        from confluent_kafka import TopicPartition

        with self._consumer(group) as consumer:
            asked = [TopicPartition(topic, p) for p in self._ends(consumer, topic)]
            found = consumer.committed(asked, timeout=PATIENCE)
        return {entry.partition: None if entry.offset == NOTHING else entry.offset for entry in found}

    def lag(self, group: str, topic: str) -> dict[int, int]:
        """For each partition the records that the group has not yet committed."""
        with self._consumer(group) as consumer:
            ends = self._ends(consumer, topic)
        done = self.committed(group, topic)
        return {p: end - max(begin, done[p] or 0) for p, (begin, end) in ends.items()}

    def _client(self) -> dict[str, Any]:
        quick = {"reconnect.backoff.max.ms": 500, "topic.metadata.refresh.fast.interval.ms": 100}
        return {"bootstrap.servers": self.address, "log_level": 0, **quick}

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._client())

    def _topics(self) -> dict[str, Any]:
        """The names of all topics, and what is known of them."""
        return dict(self._admin().list_topics(timeout=PATIENCE).topics)

    @contextlib.contextmanager
    def _consumer(self, group: str) -> Iterator[Any]:
        """A consumer for a moment; it does not join the group, it only asks in its name."""
        from confluent_kafka import Consumer

        consumer = Consumer(self._client() | {"group.id": group, "enable.auto.commit": False})
        try:
            yield consumer
        finally:
            consumer.close()

    def _ends(self, consumer: Any, topic: str) -> dict[int, tuple[int, int]]:
        """For each partition the first offset in it and the one after its last."""
        from confluent_kafka import TopicPartition

        found = {}
        for p in sorted(consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions):
            found[p] = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=PATIENCE)
        return found

"""The mock cluster of librdkafka, in a process of its own: the other side of `kafka.py`.

librdkafka is the C library under confluent-kafka; it comes with a cluster for its own tests, which speaks
Kafka's protocol on 127.0.0.1 and keeps everything in memory. Python has no functions for it: they are called
by ctypes, in the very library that confluent-kafka brought (its header is `rdkafka_mock.h`).
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from pathlib import Path
from typing import Any

from .control import serve

PLACES = [  # beside confluent_kafka, on Linux, macOS and Windows
    "../confluent_kafka.libs/librdkafka-*.so*",
    ".dylibs/librdkafka*.dylib",
    "../confluent_kafka.libs/librdkafka-*.dll",
]


def library() -> Any:
    """confluent-kafka's own librdkafka; raises OSError when it is not where it should be."""
    import confluent_kafka

    home = Path(confluent_kafka.__file__).parent
    for place in PLACES:
        folder, _, pattern = place.rpartition("/")
        for path in sorted((home / folder).glob(pattern)):
            return ctypes.CDLL(str(path))
    raise OSError("confluent-kafka has no librdkafka of its own here")


class Cluster:
    """So many brokers with one group coordinator; what it is asked for comes from `kafka.Kafka`."""

    def __init__(self, brokers: int) -> None:
        self.kafka = lib = library()
        for name in ("rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(lib, name).restype = ctypes.c_void_p
        lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        lib.rd_kafka_err2str.restype = ctypes.c_char_p
        said = ctypes.create_string_buffer(512)
        lib.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        lib.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
        handle = lib.rd_kafka_new(0, None, said, len(said))
        if not handle:
            raise OSError(said.value.decode())
        self.cluster = ctypes.c_void_p(lib.rd_kafka_mock_cluster_new(handle, brokers))
        lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self.cluster, ctypes.c_int32(100))

    def bootstrap(self) -> str:
        """The addresses of the brokers."""
        return str(self.kafka.rd_kafka_mock_cluster_bootstraps(self.cluster).decode())

    def topic(self, name: str, partitions: int, replication: int) -> None:
        """A new topic."""
        self._call("topic_create", name.encode(), partitions, replication)

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """This broker leads that partition from now on."""
        numbers = ctypes.c_int32(partition), ctypes.c_int32(broker)
        self._call("partition_set_leader", topic.encode(), *numbers)

    def down(self, broker: int) -> None:
        """The broker is dead: its connections are closed."""
        self._call("broker_set_down", ctypes.c_int32(broker))

    def up(self, broker: int) -> None:
        """The broker is back."""
        self._call("broker_set_up", ctypes.c_int32(broker))

    def delay(self, broker: int, seconds: float) -> None:
        """The broker's answers come so much later."""
        self._call("broker_set_rtt", ctypes.c_int32(broker), int(seconds * 1000))

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self.kafka, f"rd_kafka_mock_{name}")(self.cluster, *arguments)
        if code:
            raise ValueError(self.kafka.rd_kafka_err2str(code).decode())


async def main(port: int, brokers: int) -> None:
    """Be the cluster, until the process is ended."""
    cluster = Cluster(brokers)
    names = ["bootstrap", "topic", "lead", "down", "up", "delay"]
    async with await serve(port, {name: getattr(cluster, name) for name in names}) as controls:
        await controls.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

"""A partitioned log: records are appended and stay, and every reader keeps its own place.

Reading takes nothing away: a queue forgets what was acknowledged, a log forgets what is old. Records with the
same key are in the same partition, and order holds there and nowhere else.
"""

from __future__ import annotations

import bisect
import math
import zlib
from typing import Any, NamedTuple

from .arguments import number, refuse, whole


class Record(NamedTuple):
    """A message of a log: its place in the partition, when it was appended (s), its key."""

    offset: int
    time: float
    key: str | None
    message: Any


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: crc32 of its UTF-8 bytes, modulo the number of partitions.

    Never Python's `hash()`: that of a text is another one in each process.
    """
    return zlib.crc32(str(key).encode()) % partitions


class PartitionedLog:
    """A log without a clock: `append` and `expire` are told the time `now` (s).

    Records older than `retention` (s) are forgotten. What is without a key goes to the partitions in turn.
    Partition p holds the offsets from `start(p)` up to, and without, `end(p)`.
    """

    def __init__(self, partitions: int = 1, *, retention: float = math.inf) -> None:
        self.partitions = whole("partitions", partitions, least=1)
        self.retention = number("retention", retention, above=0)
        self._records: list[list[Record]] = [[] for _ in range(self.partitions)]
        self._starts = [0] * self.partitions
        self._turn = 0

    def append(self, message: Any, now: float, key: str | None = None) -> tuple[int, int]:
        """Keep a message; the partition and the offset that it got."""
        if key is None:
            partition, self._turn = self._turn, (self._turn + 1) % self.partitions
        else:
            partition = partition_of(key, self.partitions)
        records = self._records[partition]
        offset = self._starts[partition] + len(records)
        records.append(Record(offset, now, key, message))
        return partition, offset

    def read(self, partition: int, offset: int, most: int = 1) -> list[Record]:
        """At most `most` records from this offset on, or from the oldest that is left."""
        if not 0 <= partition < self.partitions:
            self._known(partition)
        first = offset - self._starts[partition]
        return (
            self._records[partition][first : first + most] if first > 0 else self._records[partition][:most]
        )

    def start(self, partition: int) -> int:
        """The offset of the oldest record that is left."""
        return self._starts[self._known(partition)]

    def end(self, partition: int) -> int:
        """The offset that the next record will get."""
        return self._starts[self._known(partition)] + len(self._records[partition])

    def find(self, partition: int, time: float) -> int:
        """The offset of the first record that was appended at this time (s) or later; the end if none was."""
        records = self._records[self._known(partition)]
        return self._starts[partition] + bisect.bisect_left(records, time, key=lambda record: record.time)

    def expire(self, now: float) -> int:
        """Forget what is older than the retention, and say how many records that was."""
        forgotten = 0
        for partition, records in enumerate(self._records):
            old = self.find(partition, now - self.retention) - self._starts[partition]
            del records[:old]
            self._starts[partition] += old
            forgotten += old
        return forgotten

    def _known(self, partition: int) -> int:
        if not 0 <= partition < self.partitions:
            refuse("partition", partition, f"one of 0 to {self.partitions - 1}")
        return partition

"""What a run leaves behind: nodes, messages, spans, requests and states, as plain rows.

Figures, the player and the labs read only this. Times are simulated seconds; nodes are numbers, in the
order in which they were created.

=========  ==========================================================================================
nodes      Node(name, kind, workers); node 0 is the users' side
links      (source, target): who calls whom
messages   (sent, arrives, source, target, kind, attempt, request); a lost message arrives at infinity
spans      (request, span, parent, node, arrived, started, ended, status, attempt): one attempt
requests   (request, start, end, status, attempts): what a user saw; `end` is nan while it is open
states     (time, node, gauge, value): `value` holds until the next row of that node and gauge
markers    (time, label, node): what was done to the shop, in words; node -1 means the whole shop
notes      (time, message, node, text, fault, request): what a process committed and which fault it met, in
           words, in the runs of a search; `message` is the row of the message that was sent next
names      (message, name): what a message between processes is called, by its row and a word of `words`
causes     (span, request, cause): where one span handles several messages at once (a batch of records), the
           span and the request that each further one came from; the first one's is the span's parent
offsets    (time, node, partition, group, owner, offset): places in a log, which hold until the next row of
           that node, partition and group. Group 0 is the end of the partition and 1 its start; from 2 on it
           is what `groups[group - 2]` has committed, and `owner` the node that reads for it (0 is nobody)
groups     (node, name): the consumer groups of logs
=========  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from itertools import starmap
from typing import NamedTuple

import numpy as np

MESSAGE_KINDS = (
    "request",
    "retry",
    "reply",
    "error",
    "rejected",
    "event",
    "compensation",
    "dead letter",
    "hedge",
    "cancel",
)
STATUSES = ("ok", "timeout", "error", "rejected", "open")
GAUGES = ("busy", "queue", "up", "breaker", "tokens", "leased", "dead")

REQUEST, RETRY, REPLY, ERROR_REPLY, REJECTION, EVENT, COMPENSATION, DEAD_LETTER = range(8)
HEDGE, CANCEL = 8, 9
CALLS = (REQUEST, RETRY, HEDGE)
OK, TIMEOUT, ERROR, REJECTED, OPEN = range(5)
BUSY, QUEUE, UP, BREAKER, TOKENS, LEASED, DEAD = range(7)

# Column names and types, as the rows are kept. Times are doubles here, and floats in the browser.
MESSAGE = "sent:d arrives:d source:B target:B kind:B attempt:H request:I"
SPAN = "request:I span:I parent:I node:B arrived:d started:d ended:d status:B attempt:H"
USER_REQUEST = "request:I start:d end:d status:B attempts:H"
STATE = "time:d node:B gauge:B value:d"
NAME = "message:I name:H"
CAUSE = "span:I request:I cause:I"
OFFSET = "time:d node:B partition:B group:B owner:B offset:I"
END, START, FIRST_GROUP = range(3)


class Node(NamedTuple):
    """A part of the shop. `kind` is "users", "service", "process", "queue", "topic" or "log".

    `workers` is None where there are none.
    """

    name: str
    kind: str
    workers: int | None


class Table:
    """Rows of one kind, oldest first: `append` a tuple, read them by iteration, or all at once as `array()`.

    `compact()` packs the rows so far into bytes, a quarter of their size as tuples; reading does not change.
    """

    append: Callable[[tuple], None]

    def __init__(self, columns: str) -> None:
        self.dtype = _record(columns)
        self._struct = struct.Struct("<" + "".join(column[-1] for column in columns.split()))
        self._packed = bytearray()
        self._recent: list[tuple] = []
        self.append = self._recent.append

    def __len__(self) -> int:
        return len(self._packed) // self._struct.size + len(self._recent)

    def __iter__(self) -> Iterator[tuple]:
        yield from self._struct.iter_unpack(self._packed)
        yield from self._recent

    def __getitem__(self, i: int) -> tuple:
        i = range(len(self))[i]
        packed = len(self._packed) // self._struct.size
        if i >= packed:
            return self._recent[i - packed]
        return self._struct.unpack_from(self._packed, i * self._struct.size)

    def compact(self) -> None:
        """Pack the rows so far."""
        self._packed += b"".join(starmap(self._struct.pack, self._recent))
        self._recent.clear()

    def array(self) -> np.ndarray:
        """All rows as a structured array; a column is `array()["sent"]`."""
        self.compact()
        return np.frombuffer(bytes(self._packed), self.dtype)


class Trace:
    """The record of one run; see this file's head for the rows."""

    def __init__(self, record: str = "everything") -> None:
        self.nodes: list[Node] = []
        self.links: list[tuple[int, int]] = []
        self.messages = Table(MESSAGE)
        self.spans = Table(SPAN)
        self.requests = Table(USER_REQUEST)
        self.states = Table(STATE)
        self.names = Table(NAME)
        self.causes = Table(CAUSE)
        self.offsets = Table(OFFSET)
        self.groups: list[tuple[int, str]] = []
        self.words: dict[str, int] = {}
        self.watched = record == "everything"  # or messages and states stay empty
        self.markers: list[tuple[float, str, int]] = []
        self.notes: list[tuple[float, int, int, str, bool, int]] = []
        self.until = 0.0

    def node(self, name: str) -> int:
        """The number of the node with this name; KeyError names the ones there are."""
        for i, node in enumerate(self.nodes):
            if node.name == name:
                return i
        raise KeyError(f"There is no node {name!r}; there are {', '.join(n.name for n in self.nodes)}.")

    def name_message(self, name: str) -> None:
        """Call the message that is sent next by this name."""
        self.names.append((len(self.messages), self.words.setdefault(name, len(self.words))))

    def message_names(self) -> dict[int, str]:
        """The names of the messages that have one, by their row."""
        words = list(self.words)
        return {message: words[name] for message, name in self.names}

    def in_flight(self, t: float) -> int:
        """How many messages are between two nodes at time `t` (lost ones do not count)."""
        return sum(1 for m in self.messages if m[0] <= t < m[1] < float("inf"))

    def gauge(self, node: str, gauge: str) -> tuple[list[float], list[float]]:
        """The steps of one gauge of one node: times in seconds, and the values from then on."""
        n, g = self.node(node), GAUGES.index(gauge)
        times, values = [0.0], [1.0 if g == UP else 0.0]
        for time, row_node, row_gauge, value in self.states:
            if row_node == n and row_gauge == g:
                times.append(time)
                values.append(value)
        return times, values

    def packed(self) -> dict[str, bytes]:
        """The rows as little-endian records: 16 bytes a message or request, 28 a span, 12 a state or offset.

        Each table is sorted by its first time; the columns are those of BROWSER. Attempts stop at 255 there.
        "names" are 2 bytes a message, in the same order: a word of `words`, counted from 1; 0 is none.
        """
        packed = {n: _for_browser(getattr(self, n).array(), columns) for n, columns in BROWSER.items()}
        sent, names = self.messages.array()["sent"], self.names.array()
        words = np.zeros(len(sent) if len(names) else 0, "<u2")
        words[names["message"]] = names["name"] + 1
        return packed | {"names": words[np.argsort(sent, kind="stable")].tobytes() if len(names) else b""}

    def compact(self) -> None:
        """Pack all rows so far; a long run does so from time to time."""
        for table in (self.messages, self.spans, self.requests, self.states, self.names, self.offsets):
            table.compact()

    def digest(self) -> str:
        """A short hash of the whole record: equal for equal runs."""
        digest = hashlib.sha256(repr((self.nodes, self.links, self.markers)).encode())
        for table in (self.messages, self.spans, self.requests, self.states, self.causes, self.offsets):
            digest.update(table.array().tobytes())
        return digest.hexdigest()[:16]


BROWSER = {
    "messages": "sent:f arrives:f source:B target:B kind:B attempt:B request:I",
    "spans": "arrived:f started:f ended:f request:I span:I parent:I node:B status:B attempt:H",
    "requests": "start:f end:f request:I status:B attempts:B unused:H",
    "states": "time:f value:f node:B gauge:B unused:H",
    "offsets": "time:f offset:I node:B partition:B group:B owner:B",
}


def _record(columns: str) -> np.dtype:
    """The numpy record type of "name:type name:type ...", little-endian, without gaps."""
    return np.dtype([(name, "<" + kind) for name, kind in (column.split(":") for column in columns.split())])


def _for_browser(rows: np.ndarray, columns: str) -> bytes:
    packed = np.zeros(len(rows), _record(columns))
    first, *_ = names = [name for name in packed.dtype.names or () if name != "unused"]
    for name in names:
        packed[name] = np.minimum(rows[name], 255) if packed.dtype[name] == np.uint8 else rows[name]
    return packed[np.argsort(packed[first], kind="stable")].tobytes()

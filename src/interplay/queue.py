"""A message queue: every message goes to one consumer, and stays until that one has acknowledged it.

What is delivered is leased for the visibility timeout. Without an acknowledgement by then it is delivered
again, to whoever is next: at least once, never exactly once.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from typing import Any, NamedTuple

from .arguments import number, one_of, whole

GONE = -1


class Delivery(NamedTuple):
    """A message on lease. `id` stays the same over all `deliveries` (counted from 1), `receipt` does not."""

    receipt: int
    id: int
    message: Any
    deliveries: int


class _Message:
    __slots__ = ("body", "deliveries", "expires", "id", "priority", "receipt", "until")

    def __init__(self, id: int, body: Any, priority: float, expires: float) -> None:
        self.id, self.body, self.priority, self.expires = id, body, priority, expires
        self.deliveries = 0
        self.receipt = 0  # of its latest delivery; 0 while it waits, GONE at the end
        self.until = math.inf


class MessageQueue:
    """A queue without a clock: every method is told the time `now` (s).

    `visibility` is how long a delivery is leased (s). After `limit` deliveries a message goes to `dead`, as
    do those that waited longer than `ttl` (s). The `late` acknowledgement of a lease that has run out is
    "ignored" or "honoured": then the message is gone, though it may be with another consumer by then.
    At equal priority (higher first) messages are delivered in the order in which they became ready.

    Each message is in one place: `sent` = `acked` + ready + delayed + leased + len(`dead`).
    """

    def __init__(
        self,
        *,
        visibility: float = math.inf,
        limit: float = math.inf,
        ttl: float = math.inf,
        late: str = "ignored",
    ) -> None:
        self.visibility = number("visibility", visibility, above=0)
        self.limit = limit if limit == math.inf else whole("limit", limit, least=1)
        self.ttl = number("ttl", ttl, above=0)
        self.late = one_of("late", late, ("ignored", "honoured"))
        self.sent = self.acked = 0
        self.dead: list[tuple[Any, str]] = []  # (message, why): "deliveries", "ttl" or "rejected"
        self.counts: Counter[str] = Counter()  # "deliveries", "redelivered", "late"
        self._ready: list[tuple[float, int, _Message]] = []
        self._delayed: list[tuple[float, int, _Message]] = []
        self._leases: list[tuple[float, int, _Message, int]] = []  # (until, order, message, receipt)
        self._leased: dict[int, _Message] = {}  # by receipt, also those that have run out
        self._open = 0
        self.ran_out: list[int] = []  # receipts of leases that ended by themselves; the host empties it
        self._order = itertools.count(1).__next__
        self._receipts = itertools.count(1).__next__

    @property
    def ready(self) -> int:
        """Messages that wait to be delivered."""
        return len(self._ready)

    @property
    def delayed(self) -> int:
        """Messages that are not to be delivered yet."""
        return len(self._delayed)

    @property
    def leased(self) -> int:
        """Messages that have been delivered and not acknowledged."""
        return self._open

    def send(self, message: Any, now: float, *, delay: float = 0.0, priority: float = 0.0) -> int:
        """Take a message in, to be delivered after `delay` seconds; its id."""
        self.sent += 1
        new = _Message(self.sent, message, priority, now + delay + self.ttl)
        self._put(new, now, delay)
        return new.id

    def _put(self, message: _Message, now: float, delay: float = 0.0) -> None:
        message.receipt = 0
        if delay > 0:
            heapq.heappush(self._delayed, (now + delay, self._order(), message))
        else:
            heapq.heappush(self._ready, (-message.priority, self._order(), message))

    def take(self, now: float) -> Delivery | None:
        """Lease out the next message, or None when none is ready."""
        self.advance(now)
        while self._ready:
            message = heapq.heappop(self._ready)[2]
            if message.expires <= now:
                self.dead.append((message.body, "ttl"))
                message.receipt = GONE
                continue
            message.receipt = receipt = self._receipts()
            message.deliveries += 1
            message.until = now + self.visibility
            self._leased[receipt] = message
            self._open += 1
            if message.until < math.inf:
                heapq.heappush(self._leases, (message.until, self._order(), message, receipt))
            self.counts["deliveries"] += 1
            self.counts["redelivered"] += message.deliveries > 1
            return Delivery(receipt, message.id, message.body, message.deliveries)
        return None

    def ack(self, receipt: int, now: float) -> bool:
        """The consumer is done with it: the message is gone. False when that came too late, or twice."""
        self.advance(now)
        message = self._leased.pop(receipt, None)
        if message is None:
            return False
        if message.receipt != receipt:  # the lease has run out
            self.counts["late"] += 1
            if self.late == "ignored" or message.receipt == GONE:
                return False
            if message.receipt:
                del self._leased[message.receipt]
                self._open -= 1
            else:
                self._withdraw(message)
        else:
            self._open -= 1
        message.receipt = GONE
        self.acked += 1
        return True

    def nack(self, receipt: int, now: float, *, requeue: bool = True, delay: float = 0.0) -> bool:
        """The consumer gives it back: for later, or, without `requeue`, for good."""
        self.advance(now)
        message = self._leased.get(receipt)
        if message is None or message.receipt != receipt:
            return False
        del self._leased[receipt]
        self._open -= 1
        if requeue:
            self._return(message, now, delay)
        else:
            self.dead.append((message.body, "rejected"))
            message.receipt = GONE
        return True

    def extend(self, receipt: int, seconds: float, now: float) -> bool:
        """Renew a lease: it ends in `seconds` from now. False when it has run out, or there is none."""
        self.advance(now)
        message = self._leased.get(receipt)
        if message is None or message.receipt != receipt:
            return False
        message.until = now + number("seconds", seconds, above=0)
        heapq.heappush(self._leases, (message.until, self._order(), message, receipt))
        return True

    def advance(self, now: float) -> None:
        """Leases that have run out come back, and what was delayed becomes ready."""
        while self._leases and self._leases[0][0] <= now:
            until, _, message, receipt = heapq.heappop(self._leases)
            if message.receipt == receipt and message.until == until:  # or it was given back, or renewed
                self._open -= 1
                self.ran_out.append(receipt)
                if self.late == "ignored":
                    del self._leased[receipt]
                self._return(message, now)
        while self._delayed and self._delayed[0][0] <= now:
            self._put(heapq.heappop(self._delayed)[2], now)

    def due(self) -> float:
        """When the next lease runs out or the next delay ends; inf when there is none."""
        while self._leases:
            until, _, message, receipt = self._leases[0]
            if message.receipt == receipt and message.until == until:
                break
            heapq.heappop(self._leases)
        heads = (heap[0][0] for heap in (self._leases, self._delayed) if heap)
        return min(heads, default=math.inf)

    def _return(self, message: _Message, now: float, delay: float = 0.0) -> None:
        if message.deliveries >= self.limit:
            self.dead.append((message.body, "deliveries"))
            message.receipt = GONE
        else:
            self._put(message, now, delay)

    def _withdraw(self, message: _Message) -> None:
        """Take a message that waits out of the line, wherever it is."""
        for heap in (self._ready, self._delayed):
            for i, entry in enumerate(heap):
                if entry[2] is message:
                    heap[i] = heap[-1]
                    heap.pop()
                    heapq.heapify(heap)
                    return

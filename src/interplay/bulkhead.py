"""Bulkheads: a limit on what one dependency, or one client, can take from everybody else.

No object here owns a clock: `now` (seconds) comes in as an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from .arguments import refuse, whole


class Bulkhead:
    """At most `slots` calls at once; there is no queue, so whoever finds all taken is turned away.

    Turned away is the share theory.erlang_b(slots, rate * hold), whatever the distribution of the hold time.
    Give the slot back on every way out, success, error and timeout: `try: … finally: bulkhead.leave(now)`.
    Source: M. Nygard, Release It! (2nd edition, 2018), chapter 5.
    """

    def __init__(self, slots: int) -> None:
        self.slots = whole("slots", slots, least=1)
        self.inside = 0

    def enter(self, now: float) -> bool:
        """Take a slot, if one is free."""
        if self.inside >= self.slots:
            return False
        self.inside += 1
        return True

    def leave(self, now: float, latency: float = 0.0, ok: bool | None = True) -> None:
        """Give a slot back, however the call went (`latency` and `ok` are for throttle.ConcurrencyLimit).

        Raises RuntimeError when nobody is inside.
        """
        if self.inside == 0:
            raise RuntimeError("leave() without enter(): a slot can only be given back once.")
        self.inside -= 1


def shuffle_shard(client: str, nodes: Iterable[str], size: int, seed: int = 0) -> list[str]:
    """The `size` nodes that serve this client, best first: the same each time, on each machine.

    Two clients share some nodes, but seldom all (theory.shard_overlap): a client whose requests kill its
    nodes takes few others down with it. Each node is scored by a hash of client and node, and the highest
    scores win, so a node that comes or goes moves only its own clients (rendezvous hashing). Python's `hash`
    is salted in each process; crc32 scores all clients in nearly the same order: both are wrong here.

    Raises ArgumentError when there are fewer than `size` nodes. Source: C. MacCárthaigh, Workload isolation
    using shuffle-sharding, Amazon Builders' Library.
    """
    names = list(nodes)
    if whole("size", size, least=1) > len(set(names)):
        refuse("size", size, f"a whole number of at most {len(set(names))}, the number of nodes")

    def score(node: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}\0{client}\0{node}".encode()).digest(), node

    return sorted(set(names), key=score, reverse=True)[:size]

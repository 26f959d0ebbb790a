"""A consumer group: members share out the partitions of a log, and the group remembers what is handled.

Each partition has one owner at a time. When members come or go, partitions move: that is a rebalance. What
was read and not committed by then is read again by the next owner.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .arguments import number, one_of, refuse, whole


def assign(
    members: Iterable[str], partitions: int, previous: Mapping[int, str] | None = None
) -> dict[int, str]:
    """Who reads which partition: as even as possible, and with as few moves from `previous` as possible.

    A member that is not the first to be full keeps what it had; who had most takes the odd ones. Without
    `previous`, the partitions are dealt out in blocks, in the order of the members' names.
    """
    names = sorted(set(members))
    if not names:
        return {}
    had: dict[str, list[int]] = {name: [] for name in names}
    for partition, name in sorted((previous or {}).items()):
        if name in had:
            had[name].append(partition)
    share, odd = divmod(whole("partitions", partitions, least=1), len(names))
    longest_first = sorted(names, key=lambda name: (-len(had[name]), name))
    room = {name: share + (i < odd) for i, name in enumerate(longest_first)}
    owners = {partition: name for name in names for partition in had[name][: room[name]]}
    free = iter([partition for partition in range(partitions) if partition not in owners])
    for name in names:
        for _ in range(room[name] - len(had[name])):
            owners[next(free)] = name
    return dict(sorted(owners.items()))


class ConsumerGroup:
    """The coordinator of a group, without a clock: every method that needs the time is told it, `now` (s).

    In an "eager" rebalance everybody gives up everything before anybody gets something; in a "cooperative"
    one, only what has to move is given up, and the rest is read on. A member that shows no sign of life for
    `session` seconds, or does not come for more records within `poll_within` seconds, is taken for dead.

    Each partition has a generation: that in which its owner got it. `commit` refuses any other one, so a
    zombie that comes back late can do no harm to the offsets ("fencing"). Source: Apache Kafka, KIP-429
    (cooperative), KIP-848 (an epoch for each assignment).
    """

    def __init__(
        self,
        partitions: int,
        *,
        protocol: str = "eager",
        session: float = 10.0,
        poll_within: float = math.inf,
    ) -> None:
        self.partitions = whole("partitions", partitions, least=1)
        self.protocol = one_of("protocol", protocol, ("eager", "cooperative"))
        self.session = number("session", session, above=0)
        self.poll_within = number("poll_within", poll_within, above=0)
        self.generation = self.rebalances = self.fenced = 0
        self.committed: dict[int, int] = {}  # by partition: the offset to go on from
        self.owners: dict[int, str] = {}  # by partition
        self.since: dict[int, int] = {}  # by partition: the generation in which its owner got it
        self.giving_up: dict[str, set[int]] = {}  # what members have still to let go of
        self._seen: dict[str, float] = {}
        self._polled: dict[str, float] = {}

    @property
    def members(self) -> list[str]:
        """The names of those who are in."""
        return list(self._seen)

    def owned(self, member: str) -> dict[int, int]:
        """The partitions that a member may read now, with their generations."""
        leaving = self.giving_up.get(member, ())
        return {p: self.since[p] for p, m in self.owners.items() if m == member and p not in leaving}

    def join(self, member: str, now: float) -> None:
        """A member comes, or comes back with an empty memory: then it has nothing to give up any more."""
        known = member in self._seen
        self._seen[member] = self._polled[member] = now
        if not known:
            self._rebalance()
        elif member in self.giving_up:
            self.gave_up(member)
        else:
            self._renew(self.owned(member))

    def leave(self, member: str) -> None:
        """A member goes; its partitions are for the others."""
        if self._seen.pop(member, None) is not None:
            del self._polled[member]
            self.giving_up.pop(member, None)
            self.owners = {p: m for p, m in self.owners.items() if m != member}
            self._rebalance()

    def heartbeat(self, member: str, now: float) -> bool:
        """A sign of life. False for a stranger: it has been taken for dead, and must join again."""
        if member in self._seen:
            self._seen[member] = now
        return member in self._seen

    def poll(self, member: str, now: float) -> bool:
        """A member comes for more records. False for a stranger."""
        if member in self._polled:
            self._polled[member] = now
        return member in self._polled

    def advance(self, now: float) -> list[str]:
        """Put out those who are taken for dead, and name them."""
        dead = [
            member
            for member, seen in self._seen.items()
            if now - seen >= self.session - 1e-9 or now - self._polled[member] >= self.poll_within - 1e-9
        ]
        for member in dead:
            self.leave(member)
        return dead

    def gave_up(self, member: str) -> None:
        """A member has let go of what it was to give up."""
        for partition in self.giving_up.pop(member, ()):
            self.owners.pop(partition, None)
        self._hand_out()

    def commit(self, member: str, generation: int, partition: int, offset: int) -> bool:
        """Note that all before this offset is handled, if it comes from the owner of today.

        A late one can set the offset back, as in Kafka: what follows is read again after a rebalance.
        """
        if partition not in range(self.partitions):
            refuse("partition", partition, f"one of 0 to {self.partitions - 1}")
        if self.owners.get(partition) != member or self.since[partition] != generation:
            self.fenced += 1
            return False
        self.committed[partition] = offset
        return True

    def seek(self, partition: int, offset: int) -> None:
        """Go on from this offset, for example to read everything again; what is in work is fenced."""
        self.committed[partition] = whole("offset", offset, least=0)
        self._renew([partition])

    def _renew(self, partitions: Iterable[int]) -> None:
        """A new generation for these partitions."""
        self.generation += 1
        self.since.update(dict.fromkeys(partitions, self.generation))

    def _rebalance(self) -> None:
        """Say who has to give up what; hand out what is free."""
        self.rebalances += 1
        target = self._target()
        for partition, member in self.owners.items():
            if self.protocol == "eager" or target[partition] != member:
                self.giving_up.setdefault(member, set()).add(partition)
        self._hand_out()

    def _target(self) -> dict[int, str]:
        return assign(self._seen, self.partitions, None if self.protocol == "eager" else self.owners)

    def _hand_out(self) -> None:
        """Give what nobody has to those who are to have it: when all is given up, or at once."""
        if self.protocol == "eager" and self.giving_up:
            return
        target = self._target()
        free = [p for p in range(self.partitions) if p not in self.owners and p in target]
        if free:
            self.owners.update({partition: target[partition] for partition in free})
            self._renew(free)

"""A log in the shop: a node that hosts a partitioned log, and hands records to the groups that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arguments import number, one_of, refuse, whole
from .group_members import Group, Member
from .log import PartitionedLog
from .part import Part
from .process import Envelope, Process
from .trace import END, FIRST_GROUP, QUEUE, START

if TYPE_CHECKING:
    from .simulation import Simulation


class LogBroker(Part):
    """Hosts a PartitionedLog. What is sent to it is appended, by its `key` (see `put`). Members get

    {"kind": "records", "log": name, "group": g, "partition": p, "generation": n, "offset": first,
     "next": last + 1, "records": [{"offset": o, "key": k, "body": message}, ...]}

    one batch after the other, and say how far they are by the action `commit_offset`. In a rebalance they get
    {"kind": "revoked", ..., "partitions": [p, ...]}, the last chance to commit, and {"kind": "assigned", ...,
    "partitions": {p: offset}}; "fenced" is the answer to a commit that came too late. Heartbeats and polls
    are the client library's, and not drawn: a member is alive while it is healthy and its link is not cut. It
    is known by its name, and one that is back within the session has its partitions still (as with Kafka's
    group.instance.id). What ends in an error, or is lost on the way, is sent again at the next heartbeat.
    """

    def __init__(self, sim: Simulation, name: str, log: PartitionedLog) -> None:
        super().__init__(sim, name, "log")
        self.log = log
        self.groups: dict[str, Group] = {}
        self.skipped = 0  # records that were forgotten before a group had read them
        self._noted: dict[tuple[int, int], tuple[int, int]] = {}  # by partition and group, what was recorded
        sim.brokers.append(self)

    def group(self, name: str, *, start: str = "earliest", **policy: Any) -> Group:
        """Add a consumer group, which begins with the "earliest" record or after the "latest".

        The `policy` is that of ConsumerGroup: protocol, session, poll_within.
        """
        if name in self.groups:
            refuse("group", name, "a name that no other group of this log has")
        nth = len(self.trace.groups) + FIRST_GROUP
        self.groups[name] = group = Group(self, name, nth, **policy)
        self.trace.groups.append((self.node, name))
        if one_of("start", start, ("earliest", "latest")) == "latest":
            group.committed = {p: self.log.end(p) for p in range(self.log.partitions)}
        return group

    def subscribe(self, process: Process, *, group: str, batch: int = 1) -> None:
        """Let this process read for a group, at most `batch` records at once; a new group is added."""
        reads = self.groups.get(group) or self.group(group)
        reads.enter(Member(process, whole("batch", batch, least=1)))

    def lag(self, group: str) -> dict[int, int]:
        """By partition: how many records the group has still to commit."""
        log, committed = self.log, self.groups[group].committed
        return {p: log.end(p) - max(committed.get(p, 0), log.start(p)) for p in range(log.partitions)}

    def replay(self, group: str, time: float = 0.0) -> None:
        """Let a group read everything again that was appended at this time (s) or later."""
        reads = self.groups[group]
        for partition in range(self.log.partitions):
            reads.seek(partition, self.log.find(partition, number("time", time)))
            self._note_lag(partition)
        reads.settle()

    def receive(self, envelope: Envelope) -> None:
        """A message to be appended arrives, or an offset to be committed."""
        if not self.healthy:
            return
        message = envelope.message
        if envelope.verb == "send":
            options = envelope.options or {}
            kept = (envelope.number, envelope.parent, message)
            partition, offset = self.log.append(kept, self.env._now, options.get("key"))
            if self._watched:
                self._place(partition, END, 0, offset + 1)
            for group in self.groups.values():
                owner = group.owners.get(partition)
                if owner is not None and group.processes[owner].sent is None:
                    group.serve(group.processes[owner])
            if "confirm" in options:
                self._tell(envelope, {"kind": "confirmed", "tag": options["confirm"]})
        elif envelope.verb == "offset":
            member = self.trace.nodes[envelope.source].name
            group = self.groups[message["group"]]
            partition, generation = message["partition"], message["generation"]
            if not group.commit(member, generation, partition, message["offset"]):
                at = {"log": self.name, "group": group.name, "partition": partition}
                self._tell(envelope, {"kind": "fenced", **at, "generation": generation})
            elif self._watched:
                self._place(partition, group.number, envelope.source, message["offset"])
        else:
            refuse(f"an action for {self.name}", envelope.verb, '"send" or "offset": it is a log')
        self._note_lag(partition)

    def _note_lag(self, partition: int) -> None:
        """Record how far the slowest group is behind, after a change in this partition."""
        if self._watched:
            end, start = self.log.end(partition), self.log.start(partition)
            for group in self.groups.values():
                lag = end - max(group.committed.get(partition, 0), start)
                group.behind += lag - group.lags.get(partition, 0)
                group.lags[partition] = lag
            self.note(QUEUE, max((group.behind for group in self.groups.values()), default=0), self.env._now)

    def _place(self, partition: int, group: int, owner: int, offset: int) -> None:
        """Record a place in the log, if it is another one than before."""
        if self._noted.get((partition, group)) != (owner, offset):
            self._noted[partition, group] = owner, offset
            self.trace.offsets.append((self.env._now, self.node, partition, group, owner, offset))

    def note_owners(self, group: Group) -> None:
        """Record who reads what for a group, and from where."""
        if self._watched:
            for partition in range(self.log.partitions):
                reader = group.processes.get(group.owners.get(partition, ""))
                owner = reader.process.node if reader else 0
                self._place(partition, group.number, owner, group.committed.get(partition, 0))

    def _tell(self, envelope: Envelope, message: dict[str, Any]) -> None:
        """Answer whoever sent this."""
        back = {"do": "send", "to": self.trace.nodes[envelope.source].name, "message": message}
        self.sim.messages.carry(self.node, envelope.number, envelope.parent, back)

    def expire(self, now: float) -> None:
        """Forget what is older than the retention."""
        if self.log.expire(now):
            for group in self.groups.values():
                group.skip_forgotten()
            for partition in range(self.log.partitions):
                self._note_lag(partition)
                if self._watched:
                    self._place(partition, START, 0, self.log.start(partition))

    def lost(self, process: Process) -> None:
        """This process has crashed: what it was sent is lost."""
        for group in self.groups.values():
            if process.name in group.processes:
                group.processes[process.name].forget()

    def back(self, process: Process) -> None:
        """This process is there again: it joins again."""
        if self.healthy:
            for group in self.groups.values():
                if process.name in group.processes:
                    group.enter(group.processes[process.name])

    def restart(self) -> None:
        """It is back, with all that it held."""
        for group in self.groups.values():
            for name in group.processes:
                group.heartbeat(name, self.env._now)
                group.poll(name, self.env._now)
            group.settle()

    resume = restart

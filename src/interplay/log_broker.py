"""A log in the shop: a node that hosts a partitioned log, and hands records to the groups that read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .after import After
from .arguments import number, one_of, refuse, whole
from .consumer_group import ConsumerGroup
from .log import PartitionedLog
from .part import Part
from .process import Envelope, Process
from .trace import EVENT, OK, QUEUE

if TYPE_CHECKING:
    from .simulation import Simulation


class Member:
    """A process that reads for a group: its place in each of its partitions, and what it is working on."""

    def __init__(self, process: Process, group: Group, batch: int) -> None:
        self.process, self.group, self.batch = process, group, batch
        self.name = process.name
        self.forget()

    def forget(self) -> None:
        """It knows of no partition, and nothing is under way to it."""
        self.positions: dict[int, int] = {}  # by partition: the offset to be read next
        self.own: list[int] = []  # the partitions, in their turns
        self.since: dict[int, int] = {}  # by partition: the generation that it was told
        self.sent: Envelope | None = None  # what it was sent last, until it polls again
        self.sent_at = 0.0  # or when it was finished with
        self.finished = False  # with that
        self.news = True  # whether its partitions may have changed
        self.turn = 0


class Group(ConsumerGroup):
    """A consumer group and its members in the shop."""

    def __init__(self, name: str, partitions: int, **policy: Any) -> None:
        super().__init__(partitions, **policy)
        self.name = name
        self.processes: dict[str, Member] = {}
        self.lags: dict[int, int] = {}  # by partition, as far as they were recorded
        self.behind = 0  # their sum


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
        self._delay = sim.network._delay
        self.skipped = 0  # records that were forgotten before a group had read them
        sim.brokers.append(self)

    def group(self, name: str, *, start: str = "earliest", **policy: Any) -> Group:
        """Add a consumer group, which begins with the "earliest" record or after the "latest".

        The `policy` is that of ConsumerGroup: protocol, session, poll_within.
        """
        if name in self.groups:
            refuse("group", name, "a name that no other group of this log has")
        self.groups[name] = group = Group(name, self.log.partitions, **policy)
        if one_of("start", start, ("earliest", "latest")) == "latest":
            group.committed = {p: self.log.end(p) for p in range(self.log.partitions)}
        After(self.env, group.session / 3, self._beat, group)
        return group

    def subscribe(self, process: Process, *, group: str, batch: int = 1) -> None:
        """Let this process read for a group, at most `batch` records at once; a new group is added."""
        reads = self.groups.get(group) or self.group(group)
        reads.processes[process.name] = Member(process, reads, whole("batch", batch, least=1))
        reads.join(process.name, self.env._now)
        self._settle(reads)

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
        self._settle(reads)

    def receive(self, envelope: Envelope) -> None:
        """A message to be appended arrives, or an offset to be committed."""
        if not self.healthy:
            return
        message = envelope.message
        if envelope.verb == "send":
            options = envelope.options or {}
            kept = (envelope.number, envelope.parent, message)
            partition, _ = self.log.append(kept, self.env._now, options.get("key"))
            for group in self.groups.values():
                owner = group.owners.get(partition)
                if owner is not None and group.processes[owner].sent is None:
                    self._next(group.processes[owner])
            if "confirm" in options:
                self._tell(envelope, {"kind": "confirmed", "tag": options["confirm"]})
        elif envelope.verb == "offset":
            member = self.trace.nodes[envelope.source].name
            group = self.groups[message["group"]]
            partition, generation = message["partition"], message["generation"]
            if not group.commit(member, generation, partition, message["offset"]):
                at = {"log": self.name, "group": group.name, "partition": partition}
                self._tell(envelope, {"kind": "fenced", **at, "generation": generation})
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

    def _tell(self, envelope: Envelope, message: dict[str, Any]) -> None:
        """Answer whoever sent this."""
        back = {"do": "send", "to": self.trace.nodes[envelope.source].name, "message": message}
        self.sim.messages.carry(self.node, envelope.number, envelope.parent, back)

    def _settle(self, group: Group) -> None:
        """The partitions may have moved: tell the members."""
        for member in group.processes.values():
            member.news = True
        for member in group.processes.values():
            self._next(member)

    def _next(self, member: Member) -> None:
        """Send a member what it is to handle next, if it is free: news of its partitions, or records."""
        group, process = member.group, member.process
        if member.sent is not None or process.crashed or not self.healthy:
            return
        if member.news:
            leaving = group.giving_up.get(member.name, set())
            known = leaving & member.positions.keys()
            if known:
                for partition in known:
                    del member.positions[partition]
                member.own = list(member.positions)
                self._hand(member, "revoked", partitions=sorted(known), generation=group.generation)
                return
            if leaving:  # it has not been told yet that it had them
                group.gave_up(member.name)
                self._settle(group)
                return
            member.news = False
            owned = group.owned(member.name)
            fresh = {
                p: self._left(p, group.committed.get(p, 0))
                for p in sorted(owned)
                if member.since.get(p) != owned[p]
            }
            member.since = owned
            member.positions = {p: member.positions[p] for p in owned if p not in fresh} | fresh
            member.own = list(member.positions)
            if fresh:
                self._hand(member, "assigned", partitions=fresh, generation=group.generation)
                return
        self._read(member)

    def _read(self, member: Member) -> None:
        """Send the next records of one of its partitions, each in turn."""
        positions, log, own = member.positions, self.log, member.own
        for i in range(member.turn, member.turn + len(own)):
            partition = own[i % len(own)]
            records = log.read(partition, positions[partition], member.batch)
            if records:
                member.turn = (i + 1) % len(own)
                positions[partition] = records[-1].offset + 1
                number, span, _ = records[0].message
                bodies = [{"offset": r.offset, "key": r.key, "body": r.message[2]} for r in records]
                self._hand(
                    member, "records", number, span, partition=partition, generation=member.since[partition],
                    offset=records[0].offset, next=positions[partition], records=bodies,
                )  # fmt: skip
                return

    def _left(self, partition: int, offset: int) -> int:
        """This offset, or the oldest that is left: what lies between is lost to the group."""
        start = self.log.start(partition)
        self.skipped += max(0, start - offset)
        return max(start, offset)

    def _hand(self, member: Member, kind: str, number: int = 0, span: int = 0, **rest: Any) -> None:
        process = member.process
        event = {"kind": kind, "log": self.name, "group": member.group.name, **rest}
        member.sent = envelope = Envelope(process, "send", event, number, span, self.node)
        envelope.news = kind != "records"
        member.sent_at = self.env._now
        envelope.options, envelope.done = member, self._done
        self.sim.messages.transmit(self.node, process.node, EVENT, envelope)

    def _done(self, envelope: Envelope, status: int) -> None:
        """A member has ended its work on what it was sent, and polls for more."""
        member = envelope.options
        if member.sent is not envelope:
            return
        if status != OK:
            envelope.arrived = math.nan  # as if it had been lost
            return
        member.finished, member.sent_at = True, self.env._now
        After(self.env, self._delay(), self._poll, envelope)

    def _poll(self, event: Any) -> None:
        member = event._value.options
        if member.sent is event._value:
            self._polled(member)

    def _polled(self, member: Member) -> None:
        """A member's poll arrives, from a member that has nothing to do."""
        if not self._reaches(member):
            return
        group, last = member.group, member.sent
        member.sent, member.finished = None, False
        if not group.poll(member.name, self.env._now):
            self._join(member)
        elif last is not None and last.message["kind"] == "revoked":
            group.gave_up(member.name)
            self._settle(group)
        else:
            self._next(member)

    def _join(self, member: Member) -> None:
        member.forget()
        member.group.join(member.name, self.env._now)
        self._settle(member.group)

    def _reaches(self, member: Member) -> bool:
        """Whether a heartbeat of this member arrives."""
        process = member.process
        if process.crashed or process.holding or not self.healthy:
            return False
        cut = self.sim.network.cut
        return not cut or {self.node, process.node} not in cut

    def _beat(self, event: Any) -> None:
        """The heartbeats of a group's members arrive, or do not."""
        group, now = event._value, self.env._now
        After(self.env, group.session / 3, self._beat, group)
        if self.log.expire(now):
            for readers in self.groups.values():
                for member in readers.processes.values():
                    member.positions = {p: self._left(p, o) for p, o in member.positions.items()}
            for partition in range(self.log.partitions):
                self._note_lag(partition)
        for member in group.processes.values():
            if not self.healthy:
                group.heartbeat(member.name, now)  # it cannot tell who is there
                continue
            if not self._reaches(member):
                continue
            known = group.heartbeat(member.name, now)
            if member.sent is None:
                self._polled(member)
            elif member.sent_at > now - group.session / 3 + 1e-9:
                continue  # it may be under way
            elif member.finished:
                self._polled(member)
            elif math.isnan(member.sent.arrived):
                self._again(member, member.sent) if known else self._join(member)
        if group.advance(now):
            self._settle(group)

    def _again(self, member: Member, envelope: Envelope) -> None:
        event = {k: v for k, v in envelope.message.items() if k not in ("kind", "log", "group")}
        self._hand(member, envelope.message["kind"], envelope.number, envelope.parent, **event)

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
                    self._join(group.processes[process.name])

    def restart(self) -> None:
        """It is back, with all that it held."""
        for group in self.groups.values():
            for member in group.processes.values():
                group.heartbeat(member.name, self.env._now)
                group.poll(member.name, self.env._now)
            self._settle(group)

    resume = restart

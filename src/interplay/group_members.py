"""A consumer group in the shop: what its members are sent, and how the group sees that one is gone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .after import After
from .consumer_group import ConsumerGroup
from .process import Envelope, Process
from .trace import EVENT, OK

if TYPE_CHECKING:
    from .log_broker import LogBroker


class Member:
    """A process that reads for a group: its place in each of its partitions, and what it is working on."""

    def __init__(self, process: Process, batch: int) -> None:
        self.process, self.name, self.batch = process, process.name, batch
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
    """A consumer group of a log in the shop; see LogBroker for what its members get."""

    def __init__(self, broker: LogBroker, name: str, number: int, **policy: Any) -> None:
        super().__init__(broker.log.partitions, **policy)
        self.broker, self.name, self.env = broker, name, broker.env
        self.number = number  # in the trace
        self.processes: dict[str, Member] = {}
        self.lags: dict[int, int] = {}  # by partition, as far as they were recorded
        self.behind = 0  # their sum
        self._delay = broker.sim.network._delay
        After(self.env, self.session / 3, self._beat)

    def enter(self, member: Member) -> None:
        """A process begins to read, or is back with an empty memory."""
        self.processes[member.name] = member
        member.forget()
        self.join(member.name, self.env._now)
        self.settle()

    def settle(self) -> None:
        """The partitions may have moved: tell the members."""
        self.broker.note_owners(self)
        for member in self.processes.values():
            member.news = True
        for member in self.processes.values():
            self.serve(member)

    def serve(self, member: Member) -> None:
        """Send a member what it is to handle next, if it is free: news of its partitions, or records."""
        if member.sent is not None or member.process.crashed or not self.broker.healthy:
            return
        if not member.news:
            self._read(member)
            return
        leaving = self.giving_up.get(member.name, set())
        known = sorted(leaving & member.positions.keys())
        if known:
            member.own = [partition for partition in member.own if partition not in leaving]
            member.positions = {partition: member.positions[partition] for partition in member.own}
            self._send(member, "revoked", partitions=known, generation=self.generation)
        elif leaving:  # it has not been told yet that it had them
            self.gave_up(member.name)
            self.settle()
        else:
            member.news = False
            self._assign(member)

    def _assign(self, member: Member) -> None:
        """Tell a member what is new to it, or go on."""
        owned = self.owned(member.name)
        fresh = {
            partition: self._left(partition, self.committed.get(partition, 0))
            for partition in sorted(owned)
            if member.since.get(partition) != owned[partition]
        }
        member.since = owned
        member.positions = {p: member.positions[p] for p in owned if p not in fresh} | fresh
        member.own = list(member.positions)
        if fresh:
            self._send(member, "assigned", partitions=fresh, generation=self.generation)
        else:
            self._read(member)

    def _read(self, member: Member) -> None:
        """Send the next records of one of its partitions, each in turn."""
        positions, log, own = member.positions, self.broker.log, member.own
        for i in range(member.turn, member.turn + len(own)):
            partition = own[i % len(own)]
            records = log.read(partition, positions[partition], member.batch)
            if records:
                member.turn = (i + 1) % len(own)
                positions[partition] = records[-1].offset + 1
                (number, span, _), *further = [record.message for record in records]
                bodies = [{"offset": r.offset, "key": r.key, "body": r.message[2]} for r in records]
                self._send(
                    member, "records", number, span, partition=partition, generation=member.since[partition],
                    offset=records[0].offset, next=positions[partition], records=bodies,
                    also=[(number, span) for number, span, _ in further],
                )  # fmt: skip
                return

    def _left(self, partition: int, offset: int) -> int:
        """This offset, or the oldest that is left: what lies between is lost to the group."""
        start = self.broker.log.start(partition)
        self.broker.skipped += max(0, start - offset)
        return max(start, offset)

    def skip_forgotten(self) -> None:
        """Retention has taken records: go on with those that are left."""
        for member in self.processes.values():
            member.positions = {p: self._left(p, offset) for p, offset in member.positions.items()}

    def _send(
        self, member: Member, kind: str, number: int = 0, span: int = 0, also: Any = (), **rest: Any
    ) -> None:
        broker, process = self.broker, member.process
        event = {"kind": kind, "log": broker.name, "group": self.name, **rest}
        member.sent = envelope = Envelope(process, "send", event, number, span, broker.node)
        member.sent_at, member.finished = self.env._now, False
        envelope.news, envelope.also = kind != "records", also
        envelope.options, envelope.done = member, self._done
        broker.sim.messages.transmit(broker.node, process.node, EVENT, envelope)

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
            self._comes(member)

    def _comes(self, member: Member) -> None:
        """A poll arrives, from a member that has nothing to do."""
        if not self._reaches(member):
            return
        last, member.sent = member.sent, None
        if not self.poll(member.name, self.env._now):
            self.enter(member)
        elif last is not None and last.message["kind"] == "revoked":
            self.gave_up(member.name)
            self.settle()
        else:
            self.serve(member)

    def _reaches(self, member: Member) -> bool:
        """Whether what this member's client library sends arrives."""
        process, broker = member.process, self.broker
        if process.crashed or process.holding or not broker.healthy:
            return False
        cut = broker.sim.network.cut
        return not cut or {broker.node, process.node} not in cut

    def _beat(self, _: Any) -> None:
        """The heartbeats of the members arrive, or do not."""
        now, every = self.env._now, self.session / 3
        After(self.env, every, self._beat)
        self.broker.expire(now)
        for member in self.processes.values():
            if not self.broker.healthy:
                self.heartbeat(member.name, now)  # it cannot tell who is there
            elif self._reaches(member):
                self._hears(member, now, every)
        if self.advance(now):
            self.settle()

    def _hears(self, member: Member, now: float, every: float) -> None:
        """A heartbeat arrives. What was lost on the way is sent again."""
        known = self.heartbeat(member.name, now)
        if member.sent is None:
            self._comes(member)
        elif member.sent_at > now - every + 1e-9:
            pass  # it may be under way
        elif member.finished:
            self._comes(member)
        elif math.isnan(member.sent.arrived):
            if known:
                last = member.sent
                again = {k: v for k, v in last.message.items() if k not in ("log", "group")}
                self._send(member, number=last.number, span=last.parent, also=last.also, **again)
            else:
                self.enter(member)

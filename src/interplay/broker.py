"""A broker in the shop: a node that hosts a queue and pushes messages to the processes that consume it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .after import After
from .arguments import refuse, whole
from .part import Part
from .process import Envelope, Process
from .queue import Delivery, MessageQueue
from .trace import DEAD, EVENT, LEASED, QUEUE

if TYPE_CHECKING:
    from .simulation import Simulation


class Subscription:
    """A consumer of a queue: how many deliveries it may hold, and those that it holds, by their receipts."""

    def __init__(self, process: Process, prefetch: float, auto: bool) -> None:
        self.process, self.prefetch, self.auto = process, prefetch, auto
        self.held: dict[int, Envelope] = {}


class Broker(Part):
    """Hosts a MessageQueue. Messages that are sent to it wait there; consumers get

    {"kind": "delivery", "queue": name, "receipt": r, "id": i, "deliveries": n, "body": message}

    and answer with the actions `ack` or `nack`; `extend` renews a lease. Dead letters go on to the queue
    `dead_letters`, if any. When a consumer's connection breaks, its deliveries are ready again at once where
    leases have no end, as in RabbitMQ, and otherwise when they run out, as in SQS. What a broker holds is on
    disk; while it is down it takes nothing in.
    """

    def __init__(self, sim: Simulation, name: str, queue: MessageQueue, dead_letters: str | None) -> None:
        super().__init__(sim, name, "queue")
        self.queue, self.dead_letters = queue, dead_letters
        self.consumers: list[Subscription] = []
        self._owners: dict[int, Subscription] = {}
        self._overdue: list[int] = []
        self._turn = self._dead_seen = 0
        self._alarm = math.inf
        sim.brokers.append(self)

    def subscribe(self, process: Process, *, prefetch: float = 1, auto: bool = False) -> None:
        """Deliver to this process, at most `prefetch` messages ahead of its acknowledgements.

        With `auto` a message counts as acknowledged as soon as it is on its way.
        """
        if prefetch != math.inf:
            whole("prefetch", prefetch, least=1)
        self.consumers.append(Subscription(process, prefetch, auto))
        self._serve()

    @property
    def dead(self) -> list[tuple[Any, str]]:
        """Dead letters: (message, why)."""
        return [(body, why) for (_, _, body), why in self.queue.dead]

    def receive(self, envelope: Envelope) -> None:
        """A message, an acknowledgement or a refusal arrives."""
        if not self.healthy:
            return
        now, message, queue = self.env._now, envelope.message, self.queue
        if envelope.verb == "send":
            options = envelope.options or {}
            queue.send(
                (envelope.number, envelope.parent, message),
                now,
                delay=options.get("delay", 0.0),
                priority=options.get("priority", 0.0),
            )
            if "confirm" in options:
                self._confirm(envelope, options["confirm"])
        elif envelope.verb == "ack":
            self._let_go(message["receipt"])
            queue.ack(message["receipt"], now)
        elif envelope.verb == "nack":
            self._let_go(message["receipt"])
            queue.nack(message["receipt"], now, requeue=message["requeue"], delay=message["delay"])
        elif envelope.verb == "extend":
            queue.extend(message["receipt"], message["seconds"], now)
        else:
            allowed = '"send", "ack", "nack" or "extend": it is a queue'
            refuse(f"an action for {self.name}", envelope.verb, allowed)
        self._serve()

    def _confirm(self, envelope: Envelope, tag: Any) -> None:
        """Tell the publisher that its message is safe here."""
        back = {"do": "send", "to": self.trace.nodes[envelope.source].name}
        body = {"kind": "confirmed", "tag": tag}
        self.sim.messages.carry(self.node, envelope.number, envelope.parent, {**back, "message": body})

    def _let_go(self, receipt: int) -> None:
        owner = self._owners.pop(receipt, None)
        if owner is not None:
            del owner.held[receipt]

    def _serve(self) -> None:
        """Deliver what is ready to the consumers that have room, in turn."""
        if not self.healthy:
            return
        now, queue = self.env._now, self.queue
        queue.advance(now)
        if queue.ran_out or self._overdue:
            self._look_at_overdue()
        while queue.ready and (consumer := self._free()) is not None:
            delivery = queue.take(now)
            if delivery is None:
                break
            self._deliver(delivery, consumer)
        due = queue.due()
        if due < self._alarm:
            self._alarm = due
            After(self.env, max(0.0, due - now), self._ring)
        if len(queue.dead) > self._dead_seen:
            self._bury()
        if self._watched:
            self.note(QUEUE, queue.ready + queue.delayed, now)
            self.note(LEASED, queue.leased, now)
            self.note(DEAD, len(queue.dead), now)

    def _look_at_overdue(self) -> None:
        """A consumer whose lease has run out takes the next message when it has ended its work."""
        overdue = [*self._overdue, *self.queue.ran_out]
        self.queue.ran_out.clear()
        self._overdue = []
        for receipt in overdue:
            owner = self._owners.get(receipt)
            if owner is not None:
                if owner.process.works_on(owner.held[receipt]):
                    self._overdue.append(receipt)
                else:
                    self._let_go(receipt)

    def _free(self) -> Subscription | None:
        """The next consumer that has room."""
        consumers, n = self.consumers, len(self.consumers)
        for i in range(self._turn, self._turn + n):
            consumer = consumers[i % n]
            if len(consumer.held) < consumer.prefetch and not consumer.process.crashed:
                self._turn = (i + 1) % n
                return consumer
        return None

    def _deliver(self, delivery: Delivery, consumer: Subscription) -> None:
        number, span, body = delivery.message
        event = {
            "kind": "delivery", "queue": self.name, "receipt": delivery.receipt, "id": delivery.id,
            "deliveries": delivery.deliveries, "body": body,
        }  # fmt: skip
        process = consumer.process
        envelope = Envelope(process, "send", event, number, span, self.node, delivery.deliveries)
        if consumer.auto:
            self.queue.ack(delivery.receipt, self.env._now)
        else:
            consumer.held[delivery.receipt] = envelope
            self._owners[delivery.receipt] = consumer
        self.sim.messages.transmit(self.node, process.node, EVENT, envelope)

    def _bury(self) -> None:
        """Send dead letters on to their own queue."""
        dead, self._dead_seen = self.queue.dead[self._dead_seen :], len(self.queue.dead)
        if self.dead_letters is not None:
            for (number, span, body), _ in dead:
                action = {"do": "send", "to": self.dead_letters, "message": body, "as": "dead letter"}
                self.sim.messages.carry(self.node, number, span, action)

    def _ring(self, _: Any) -> None:
        self._alarm = math.inf
        self._serve()

    def lost(self, process: Process) -> None:
        """The connection to this consumer is broken."""
        for consumer in self.consumers:
            if consumer.process is process:
                self._disconnect(consumer)
        self._serve()

    def _disconnect(self, consumer: Subscription) -> None:
        for receipt in list(consumer.held):
            self._let_go(receipt)
            if self.queue.visibility == math.inf:
                self.queue.nack(receipt, self.env._now)

    def back(self, process: Process) -> None:
        """This consumer is there again."""
        if any(consumer.process is process for consumer in self.consumers):
            self._serve()

    def restart(self) -> None:
        """It is back, with all that it held, and connections are made anew."""
        if self.queue.visibility == math.inf:
            for consumer in self.consumers:
                self._disconnect(consumer)
        self._serve()

    resume = restart

"""Messages between parts: posted, carried by the network, and answered to the user who waits."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from .actions import Action
from .after import After
from .arguments import refuse
from .call import Call, PendingReply, Reply, Request
from .process import KIND, STATUS, Envelope
from .service import Service
from .trace import ERROR_REPLY, OK, REPLY, STATUSES, TIMEOUT

if TYPE_CHECKING:
    from .simulation import Simulation


class Messages:
    """Carries what processes, services and users send, and gives answers to whom waits for them."""

    def __init__(self, sim: Simulation) -> None:
        self.sim, self.env = sim, sim.env
        self._asked: dict[int, tuple[PendingReply, int]] = {}  # by request: who waits, at which node
        self._links: set[tuple[int, int]] = set()
        self._watched, self._send = sim.trace.watched, sim.network.send

    def post(
        self, source: int, request: Request, to: str, message: Any, kind: str = "event", verb: str = "send"
    ) -> None:
        """Send a message from a node on behalf of a request; nobody waits."""
        self.carry(
            source, request.number, request.span, {"do": verb, "to": to, "message": message, "as": kind}
        )

    def carry(self, source: int, number: int, parent: int, action: Action) -> None:
        """Send what an action says; its other entries than "do", "to", "as" and "message" go along."""
        sim = self.sim
        target = sim.parts.get(action.get("to", ""))
        if target is None or isinstance(target, Service):
            names = ", ".join(name for name, part in sim.parts.items() if not isinstance(part, Service))
            refuse('"to" of an action', action.get("to"), f"one of the parts that take messages: {names}")
        message = action.get("message", action)
        envelope = Envelope(target, action["do"], message, number, parent, source)
        envelope.extra = action.get("extra", 0.0)
        envelope.options = action.get("options")
        self.transmit(source, target.node, KIND[action.get("as", "event")], envelope)

    def transmit(self, source: int, target: int, kind: int, envelope: Envelope) -> None:
        """Hand an envelope to the network, and note its name for figures."""
        if self._watched:
            self._note(source, target, envelope)
        self._send(source, target, kind, envelope, envelope.reached)  # type: ignore[arg-type]

    def _note(self, source: int, target: int, envelope: Envelope) -> None:
        trace, link = self.sim.trace, (source, target)
        if link not in self._links:
            self._links.add(link)
            if link not in trace.links:
                trace.links.append(link)
        message = envelope.message
        name = envelope.verb
        if name == "send" and isinstance(message, dict):
            body = message.get("body")  # of a delivery
            name = (body.get("kind") if isinstance(body, dict) else None) or message.get("kind") or name
        trace.name_message(name)

    def ask(
        self, request: Request, to: str, message: Any, deadline: float | None = None
    ) -> Generator[Event, Any, Reply]:
        """Send a message and wait until a process replies to this user: `yield from shop.ask(...)`."""
        source, waiting = request.service.node if isinstance(request, Call) else 0, PendingReply(self.env)
        self._asked[request.number] = waiting, source
        self.post(source, request, to, message, "request")
        if deadline is not None:
            After(self.env, deadline, lambda _: waiting.settle(TIMEOUT))
        status = yield waiting
        self._asked.pop(request.number, None)
        return Reply(STATUSES[status], 1)

    def answer(self, source: int, number: int, status: str) -> None:
        """A process replies to whoever asked for this request; a second reply finds nobody."""
        code = STATUS[status]
        envelope = Envelope(_Desk(self, code), "send", {"kind": status}, number)  # type: ignore[arg-type]
        _, target = self._asked.get(number, (None, 0))
        self.transmit(source, target, REPLY if code == OK else ERROR_REPLY, envelope)


class _Desk:
    """Where replies to users arrive."""

    def __init__(self, messages: Messages, status: int) -> None:
        self.messages, self.status = messages, status

    def receive(self, envelope: Envelope) -> None:
        asked = self.messages._asked.get(envelope.number)
        if asked is not None:
            asked[0].settle(self.status)

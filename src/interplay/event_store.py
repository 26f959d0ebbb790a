"""An event store: what happened is kept, in order, and the present state is the fold of it.

A stream holds the events of one thing, such as an order; its version is their number. Who appends says which
version the decision was made on, so that two decisions on the same state cannot both count. Snapshots save
replaying, projections answer questions across streams, a little later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .actions import Answer, Event, Write, commit, reply, send, step, timer
from .arguments import number, whole

Apply = Callable[[Any, Event], Any]
Decide = Callable[[Any, Event], Sequence[Event] | None]
Upcasters = Mapping[tuple[str, int], Callable[[Event], Event]]


def fold(apply: Apply, events: Iterable[Event], state: Any = None) -> Any:
    """The state after these events: `state = apply(state, event)` for one after the other."""
    for event in events:
        state = apply(state, event)
    return state


def upcast(event: Event, upcasters: Upcasters) -> Event:
    """An old event in today's form. An upcaster for (type, version) returns the next version of it.

    Events without a "version" are of version 1.
    """
    while change := upcasters.get((event["type"], event.get("version", 1))):
        event = {"version": event.get("version", 1) + 1, **change(event)}
    return event


class EventStore:
    """Streams of events in `stored`, a dict of tables, which it only reads.

    What is to be written comes back as writes, for one commit. `upcasters` bring old events into today's
    form as they are read; `snapshot_every` events a snapshot is taken (0: never). `apply` and `initial`
    make a stream's state out of its events.
    """

    def __init__(
        self,
        apply: Apply,
        initial: Any = None,
        *,
        snapshot_every: int = 0,
        upcasters: Upcasters | None = None,
    ) -> None:
        self.apply, self.initial = apply, initial
        self.snapshot_every = whole("snapshot_every", snapshot_every, least=0)
        self.upcasters = upcasters or {}
        self.replayed = 0  # events, by all loads

    def version(self, stored: Mapping[str, Any], stream: str) -> int:
        """How many events the stream has; 0 for one that does not exist."""
        return len(stored.get(f"stream {stream}", ()))

    def read(self, stored: Mapping[str, Any], stream: str, after: int = 0) -> list[Event]:
        """The events of a stream from version `after` + 1 on."""
        return [upcast(event, self.upcasters) for event in stored.get(f"stream {stream}", [])[after:]]

    def load(self, stored: Mapping[str, Any], stream: str) -> tuple[Any, int]:
        """(state, version) of a stream, from its latest snapshot on."""
        state, version = stored.get("snapshots", {}).get(stream, (self.initial, 0))
        events = self.read(stored, stream, version)
        self.replayed += len(events)
        return fold(self.apply, events, state), version + len(events)

    def append(
        self, stored: Mapping[str, Any], stream: str, expected: int, events: Sequence[Event]
    ) -> list[Write] | None:
        """The writes that append events to a stream of the version `expected`; None when it has another.

        `positions` is the order over all streams: (stream, version), for projections.
        """
        if self.version(stored, stream) != expected:
            return None
        writes: list[Write] = []
        for version, event in enumerate(events, expected + 1):
            writes += [(f"stream {stream}", None, event), ("positions", None, (stream, version))]
        latest = expected + len(events)
        if self.snapshot_every and latest // self.snapshot_every > expected // self.snapshot_every:
            state, _ = self.load(stored, stream)
            writes.append(("snapshots", stream, (fold(self.apply, events, state), latest)))
        return writes


def command_side(store: EventStore, decide: Decide, publish: str | None = None) -> Callable[..., Answer]:
    """A STEP that takes commands: {"kind": "command", "stream": s, ...}, optionally with "expected".

    `decide(state, command)` returns the events that it leads to, or None to refuse it. A command that was
    decided on another version than the stream has is refused. The events go to `publish`, in order.
    """

    def handle(state: Any, event: Any) -> Answer:
        if event["kind"] != "command":
            return step(state)
        stored, stream = state["stored"], event["stream"]
        present, version = store.load(stored, stream)
        events = decide(present, event) if event.get("expected", version) == version else None
        writes = None if events is None else store.append(stored, stream, version, events)
        if events is None or writes is None:
            return step(state, reply("rejected"))
        position = len(stored.get("positions", ()))
        news = [
            send(publish, {"kind": "news", "position": position + i, "stream": stream, "event": one})
            for i, one in enumerate(events, 1)
            if publish is not None
        ]
        return step(state, commit(*writes) if writes else None, reply(), *news)

    return handle


def following(view: Mapping[str, Any], source: Mapping[str, Any]) -> tuple[int, str, Event] | None:
    """What a view has to see next of an event store's database: (position, stream, event), or None."""
    position = view.get("checkpoint", {}).get("position", 0)
    positions = source.get("positions", ())
    if position == len(positions):
        return None
    stream, version = positions[position]
    return position + 1, stream, source[f"stream {stream}"][version - 1]


def projection(
    project: Callable[[Mapping[str, Any], str, Event], Iterable[Write]],
    source: Mapping[str, Any],
    *,
    every: float = 1.0,
) -> Callable[..., Answer]:
    """A STEP that keeps a view up to date: `project(view, stream, event)` returns the writes of one event.

    They are committed together with the position that the view has come to, so that an event counts once,
    whatever is lost, doubled or late. News only wake it up, and so does a look every so many seconds: what it
    projects is read from the event store's database, `source`, in order.
    """
    number("every", every, above=0)

    def handle(state: Any, event: Any) -> Answer:
        view = state["stored"]
        again = timer(every, {"kind": "poll"}) if event["kind"] in ("started", "poll") else None
        news = following(view, source)
        if news is None:
            return step(state, again)
        position, stream, one = news
        writes = [*project(view, stream, one), ("checkpoint", "position", position)]
        more = position < len(source["positions"])
        return step(state, commit(*writes), timer(0.0, {"kind": "more"}) if more else None, again)

    return handle

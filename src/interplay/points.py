"""The places between two actions, and what goes wrong there: a fault schedule for searching.

A run passes its points in order: one before each action of each process, and one after the last of each
event. `{12: "crash"}` ends the process at the twelfth.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .actions import Action
from .after import After
from .arguments import number, one_of
from .faults import fault

if TYPE_CHECKING:
    from .process import Envelope, Process

KINDS = {
    "crash": "the process ends before the action, and comes back with an empty memory",
    "lose": "the message is sent, and never arrives",
    "twice": "the message arrives twice",
    "late": "the message arrives after others that were sent later",
}


class Points:
    """Counts the points of a run, and lets `faults` happen at their numbers (from 0).

    A crash lasts `down` seconds; a message that is late comes `late` seconds later. After the run, `visited`
    counts the points and `places` holds the different ones: (process, event, place, action).
    """

    def __init__(self, faults: Mapping[int, str] | None = None, *, down: float = 1.0, late: float = 3.0):
        self.faults = {point: one_of("a fault", kind, KINDS) for point, kind in (faults or {}).items()}
        self.down, self.late = number("down", down, above=0), number("late", late, above=0)
        self.visited = 0
        self.places: set[tuple[str, str, int, str]] = set()
        self.happened: list[str] = []  # each fault in words, in order

    def reach(self, process: Process, envelope: Envelope, place: int, action: Action | None) -> int:
        """A process is about to carry out `action`, its `place`-th of an event: how often is it to do so?"""
        point, self.visited = self.visited, self.visited + 1
        event = envelope.message.get("kind", "")
        self.places.add((process.name, event, place, "end" if action is None else _name(action)))
        kind = self.faults.get(point)
        watched = process.trace.watched  # words for each commit take as long as the rest
        if watched and action is not None and action["do"] == "commit" and kind != "crash":
            self._record(process, _written(process.stored, action["writes"]), envelope, fault=False)
        if kind is None or process.crashed:
            return 1
        if kind == "crash":
            self._crash(process, envelope, action)
            return 0
        if action is None or action["do"] in ("commit", "timer", "call"):
            return 1  # these are no messages
        self._note(process, f"{_name(action)} from {process.name}: {_WORDS[kind]}", envelope)
        if kind == "late":
            action["extra"] = self.late
        return {"lose": 0, "twice": 2, "late": 1}[kind]

    def _crash(self, process: Process, envelope: Envelope, action: Action | None) -> None:
        before, event = "after its last action", envelope.message.get("kind", "")
        if action is not None:
            before = f"before {_name(action)}"
        self._note(process, f"{process.name} crashes {before}, while it handles {event}", envelope)
        end = fault(process, "crash", 0)()
        After(process.env, self.down, lambda _: end())

    def _note(self, process: Process, words: str, envelope: Envelope) -> None:
        self.happened.append(words)
        process.sim.trace.markers.append((process.env.now, words, process.node))
        self._record(process, words, envelope, fault=True)

    def _record(self, process: Process, words: str, envelope: Envelope, *, fault: bool) -> None:
        trace = process.trace
        row = (process.env.now, len(trace.messages), process.node, words, fault, envelope.number)
        trace.notes.append(row)


_WORDS = {"lose": "lost", "twice": "sent twice", "late": "late"}


def _name(action: Mapping[str, Any]) -> str:
    message = action.get("message")
    kind = message.get("kind") if isinstance(message, dict) else None
    return f"{action['do']} {kind}" if kind else action["do"]


def _written(stored: Mapping[str, Any], writes: Any) -> str:
    """A commit in a few words: what was written to which table, the first two of them."""
    said = []
    for table, key, value in writes:
        rows = stored.get(table)
        before = rows.get(key) if isinstance(rows, dict) else None
        if key is None:
            row = "a row"
        elif value is None:
            row = f"without {_brief(key)}"
        else:
            row = f"{_brief(key)}{_news(value, before)}"
        said.append(textwrap.shorten(f"{table}: {row}", 40, placeholder=" …"))
    return f"writes {', '.join(said[:2])}" + (" …" if len(said) > 2 else "")


def _news(value: Any, before: Any) -> str:
    """What is new about a value that was another one `before`."""
    if isinstance(value, dict) and isinstance(before, dict):
        changed = [f"{k}{_news(v, before.get(k))}" for k, v in value.items() if before.get(k) != v]
        return f", {', '.join(changed)}" if changed else " as before"
    if isinstance(value, tuple) and isinstance(before, tuple) and value[: len(before)] == before:
        return f" + {_brief(value[len(before) :])}"
    return f" = {_brief(value)}"


def _brief(value: Any) -> str:
    """A value in few words: of a row, the names of its fields."""
    if isinstance(value, dict):
        return str(value.get("kind", f"{{{', '.join(map(str, value))}}}"))
    if isinstance(value, tuple | list):
        return " ".join(map(_brief, value)) or "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)

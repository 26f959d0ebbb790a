"""An interaction between services, described by what it requires and not by how it is built.

Ask the ten questions before anybody names a technology. `facts` reduces the answers to the few that decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..arguments import number, one_of, refuse, whole

ONE_MACHINE = 50.0
"""Requests a second that we give one process: half of what that of our runs can do (2 workers, 20 ms)."""
LARGE = 1000.0
"""kB: about what NATS (max_payload) and Kafka (message.max.bytes) take as they come, 1 MB."""

ANSWERS = ("now", "soon", "never")
ORDERS = ("none", "by key")
QUESTIONS = {
    "answer": "When is the answer needed? now: the caller cannot go on without it; soon: it wants to hear "
    "of it; never: nobody waits",
    "stale": "How old (s) may be what the reader sees? 0: as it is now",
    "may_fail": "May the caller fail while the called service is down?",
    "listeners": "How many services is it for?",
    "order": "Must what concerns one key (such as an order's number) stay in order? none, or by key",
    "audit": "Must we be able to say later what was so at any time, and why?",
    "changes": "How many services must change together? 0: a question, or work for others",
    "payload": "How large is it (kB)?",
    "rate": "How many a second, at the busiest time that is planned for?",
    "teams": "How many teams own the services that take part?",
}


@dataclass(frozen=True)
class Interaction:
    """The answers to QUESTIONS. `Interaction(**answers)` reads plain data, `plain()` gives it back.

    A wrong answer raises an ArgumentError that says what is allowed.
    """

    answer: str = "now"
    stale: float = 0.0
    may_fail: bool = True
    listeners: int = 1
    order: str = "none"
    audit: bool = False
    changes: int = 0
    payload: float = 1.0
    rate: float = 20.0
    teams: int = 3

    def __post_init__(self) -> None:
        one_of("answer", self.answer, ANSWERS)
        number("stale", self.stale, least=0)
        one_of("order", self.order, ORDERS)
        whole("listeners", self.listeners, least=1)
        whole("changes", self.changes, least=0)
        number("payload", self.payload, above=0)
        number("rate", self.rate, above=0)
        whole("teams", self.teams, least=1)
        for name in ("may_fail", "audit"):
            if not isinstance(getattr(self, name), bool):
                refuse(name, getattr(self, name), "True or False")

    def plain(self) -> dict[str, Any]:
        """The answers as plain data."""
        return asdict(self)


def read(interaction: Interaction | Mapping[str, Any]) -> Interaction:
    """An Interaction, from one or from plain data; what plain data leaves out has its default."""
    if isinstance(interaction, Interaction):
        return interaction
    for name in interaction:
        one_of("a question's name", name, tuple(QUESTIONS))
    return Interaction(**interaction)


FACTS: dict[str, tuple[Any, ...]] = {
    "changes": ("nothing", "one", "several"),
    "answer": ANSWERS,
    "audit": (False, True),
    "small": (False, True),
    "large": (False, True),
    "many": (False, True),
    "goes on": (False, True),
    "old will do": (False, True),
    "ordered": (False, True),
}
"""The facts that decide, each with the values that it can have. An audit counts where one service changes."""


def facts(interaction: Interaction | Mapping[str, Any]) -> dict[str, Any]:
    """What of an interaction decides: the names and values of FACTS."""
    asked = read(interaction)
    return {
        "changes": ("nothing", "one", "several")[min(asked.changes, 2)],
        "answer": asked.answer,
        "audit": asked.audit and asked.changes == 1,
        "small": asked.teams == 1 and asked.rate <= ONE_MACHINE,
        "large": asked.payload > LARGE,
        "many": asked.listeners > 1,
        "goes on": not asked.may_fail,
        "old will do": asked.stale > 0,
        "ordered": asked.order == "by key",
    }

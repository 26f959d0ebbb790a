"""A saga: a business transaction of several services, each with its own database, and no lock over all.

Each task is a local transaction. When one is refused, those that are done are undone in reverse order by
compensations. What stands between the start and the end is the log, and the log is all there is to know.

Source: H. Garcia-Molina, K. Salem, Sagas (SIGMOD 1987); C. Richardson, Microservices Patterns (2018), for the
pivot, retriable tasks and the semantic lock. When the plan travels along in the message, that is a routing
slip; when all participants reserve first and then all confirm, it is called TCC (try, confirm, cancel).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .actions import Action, Answer, Event, commit, reply, send, step, timer
from .arguments import number, refuse

EARLY = 1e-9  # s; a timer is as exact as the sum of two floats
Log = Sequence[tuple[str, bool]]  # (command, whether it was done), oldest first


class Task(NamedTuple):
    """The command `do`, to the participant `to`; the command `undo` takes it back.

    Tasks with an `undo` come first. The first without is the pivot: when it is done there is no way back, and
    whatever comes after it is repeated until it succeeds (retriable).
    """

    do: str
    to: str
    undo: str | None = None


BUY = (
    Task("reserve", "inventory", "release"),
    Task("charge", "payments", "refund"),
    Task("ship", "shipping"),
)


class Command(NamedTuple):
    """What is to be sent next: `name`, to the participant `to`. What is not `final` may be refused."""

    name: str
    to: str
    kind: str  # "event" or "compensation", as the trace shows it
    final: bool


def next_commands(plan: Sequence[Task], log: Log) -> list[Command]:
    """The commands that this log asks for; none when the saga has ended.

    After a crash the same call on the same log gives the same: that is the whole recovery.
    """
    answers = dict(log)
    final = False
    for task in plan:
        if task.do not in answers:
            return [Command(task.do, task.to, "event", final)]
        if not answers[task.do]:
            break
        final = final or task.undo is None
    else:
        return []
    for task in reversed(plan):
        if answers.get(task.do) and task.undo is not None and task.undo not in answers:
            return [Command(task.undo, task.to, "compensation", True)]
    return []


def outcome(plan: Sequence[Task], log: Log) -> str | None:
    """How the saga ended: "ok", or "rejected" with everything undone; None while it is under way."""
    if next_commands(plan, log):
        return None
    return "ok" if all(done for _, done in log) else "rejected"


def checked(plan: Sequence[Task]) -> tuple[Task, ...]:
    """The plan, or an ArgumentError: names differ, and tasks with an undo come first."""
    names = [name for task in plan for name in (task.do, task.undo) if name is not None]
    if not plan or len(set(names)) < len(names):
        refuse("plan", names, "at least one Task, with command names that differ")
    kinds = [task.undo is None for task in plan]
    if kinds != sorted(kinds):
        refuse("plan", names, "the tasks with an undo first: after the pivot there is no way back")
    return tuple(plan)


class Orchestrator:
    """A STEP that runs a saga of this `plan` for every order; its process has the name `name`.

    {"kind": "place", "order": {"number": 7, …}, "request": its user's number} begins one; asked again, it
    answers again. Each answer of a participant is committed to the log before the next command leaves. Every
    `patience` seconds the commands that nobody has answered are sent again. A saga that began may touch what
    `lock(order)` names, and until it ends no other saga may (semantic lock): that one is rejected.
    """

    def __init__(
        self,
        plan: Sequence[Task] = BUY,
        *,
        name: str = "orders",
        patience: float = 1.0,
        lock: Callable[[Event], Any] | None = None,
    ) -> None:
        self.plan, self.name, self.lock = checked(plan), name, lock
        self.patience = number("patience", patience, above=0)

    def __call__(self, state: Any, event: Event) -> Answer:
        sagas = state["stored"].get("sagas", {})
        if "command" in event:
            return self._answered(state, event, sagas.get(event["number"]))
        if event["kind"] == "place":
            return self._begin(state, event, sagas.get(event["order"]["number"]))
        if event["kind"] in ("started", "look again"):
            return self._look_again(state, event, sagas)
        return step(state)

    def _begin(self, state: Any, event: Event, row: Any) -> Answer:
        order = event["order"]
        if row is not None:
            ended = outcome(self.plan, row["log"])
            return step(state, reply(ended) if ended else None)
        writes: list[Any] = []
        if self.lock is not None:
            key = self.lock(order)
            if key in state["stored"].get("locks", {}):
                return step(state, reply("rejected"))
            writes = [("locks", key, order["number"])]
        row = {"order": order, "request": event.get("request"), "log": ()}
        return self._go_on(state, event["now"], row, writes)

    def _answered(self, state: Any, event: Event, row: Any) -> Answer:
        for command in next_commands(self.plan, row["log"]) if row else ():
            if command.name == event["command"] and (event["ok"] or not command.final):
                row = {**row, "log": (*row["log"], (event["command"], event["ok"]))}
                return self._go_on(state, event["now"], row, [])
        return step(state)  # it is in the log, or it refuses what must be done: that is asked again later

    def _go_on(self, state: Any, now: float, row: Any, writes: list[Any]) -> Answer:
        """Commit the saga as it stands now; then send what follows, or tell the user how it ended."""
        number, since = row["order"]["number"], state.setdefault("since", {})
        writes.append(("sagas", number, row))
        following = self._commands(row)
        if following:
            since[number] = now
            return step(state, commit(*writes), *following, self._watch(state, self.patience))
        since.pop(number, None)
        if self.lock is not None:
            writes.append(("locks", self.lock(row["order"]), None))
        return step(state, commit(*writes), reply(str(outcome(self.plan, row["log"])), row["request"]))

    def _look_again(self, state: Any, event: Event, sagas: Any) -> Answer:
        """After a start, send all that the log asks for; later, what nobody has answered for a while."""
        now, since = event["now"], state.setdefault("since", {})
        if event["kind"] == "started":
            late = [number for number, row in sagas.items() if next_commands(self.plan, row["log"])]
        else:
            state["watching"] = False
            late = [number for number, sent in since.items() if sent + self.patience <= now + EARLY]
        since.update(dict.fromkeys(late, now))
        commands = [command for number in late for command in self._commands(sagas[number])]
        next_late = min(since.values(), default=now) + self.patience
        return step(state, *commands, self._watch(state, next_late - now) if since else None)

    def _watch(self, state: Any, after: float) -> Action | None:
        """A timer to look again, unless there is one."""
        if state.get("watching"):
            return None
        state["watching"] = True
        return timer(after, {"kind": "look again"})

    def _commands(self, row: Any) -> list[Action]:
        return [
            send(c.to, {"kind": c.name, "order": row["order"], "from": self.name}, c.kind, row["request"])
            for c in next_commands(self.plan, row["log"])
        ]

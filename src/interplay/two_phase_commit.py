"""Two-phase commit: all databases commit a transaction, or none does, and until then its rows are locked.

First every participant votes. One that votes yes has promised to commit, and can no longer decide alone: it
keeps its locks until it hears from the coordinator, however long that takes.

Source: J. Gray, Notes on Data Base Operating Systems (1978); P. Bernstein et al., Concurrency Control and
Recovery in Database Systems (1987), chapter 7. Their coordinator forgets a transaction when everybody has
heard of the end; this one keeps them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .actions import Action, Answer, Event, commit, reply, send, step, timer, write
from .arguments import number, refuse
from .participants import Work

STATUS = {"commit": "ok", "abort": "rejected"}


class Coordinator:
    """A STEP that commits every order at all `participants`, or at none; its process has the name `name`.

    {"kind": "place", "order": {"number": 7, …}, "request": its user's number} begins a transaction. When not
    everybody has voted after `patience` seconds it aborts, which also ends a deadlock. Its table
    "transactions" says "begun", "commit" or "abort" of each; after a crash, what was begun is aborted. A
    participant that asks {"kind": "what of", "number": 7, "from": its name} is told.
    """

    def __init__(self, *participants: str, name: str = "orders", patience: float = 5.0) -> None:
        if not participants:
            refuse("participants", participants, "at least one name of a process")
        self.participants, self.name = participants, name
        self.patience = number("patience", patience, above=0)

    def __call__(self, state: Any, event: Event) -> Answer:
        rows, kind = state["stored"].get("transactions", {}), event["kind"]
        if kind == "started":
            begun = [n for n, row in rows.items() if row["status"] == "begun"]
            return step(state, *(action for n in begun for action in self._decide(n, rows[n], "abort")))
        if kind == "place":
            return self._begin(state, event, rows.get(event["order"]["number"]))
        if kind not in ("vote yes", "vote no", "too late", "what of"):
            return step(state)
        n = event["number"]
        row = rows.get(n, {"status": "abort"})
        if kind == "what of":
            told = None if row["status"] == "begun" else self._tell(event["from"], n, row)
            return step(state, told)
        if row["status"] != "begun":
            return step(state)
        votes = state.setdefault("votes", {}).setdefault(n, set())
        votes |= {event["from"]} if kind == "vote yes" else set()
        if kind == "vote yes" and len(votes) < len(self.participants):
            return step(state)
        del state["votes"][n]
        return step(state, *self._decide(n, row, "commit" if kind == "vote yes" else "abort"))

    def _begin(self, state: Any, event: Event, row: Any) -> Answer:
        if row is not None:
            return step(state, reply(STATUS[row["status"]]) if row["status"] != "begun" else None)
        order, request = event["order"], event.get("request")
        n = order["number"]
        begun = commit(("transactions", n, {"status": "begun", "request": request}))
        prepare = {"kind": "prepare", "order": order, "from": self.name}
        sends = [send(to, prepare, "event", request) for to in self.participants]
        return step(state, begun, *sends, timer(self.patience, {"kind": "too late", "number": n}))

    def _decide(self, n: Any, row: Any, status: str) -> list[Action]:
        """The decision is in the log before anybody hears of it."""
        row = {**row, "status": status}
        tell = [self._tell(to, n, row) for to in self.participants]
        return [commit(("transactions", n, row)), *tell, reply(STATUS[status], row["request"])]

    def _tell(self, to: str, n: Any, row: Any) -> Action:
        kind = "event" if row["status"] == "commit" else "compensation"
        return send(to, {"kind": row["status"], "number": n}, kind, row.get("request"))


class Voter:
    """A STEP that takes part in transactions with one piece of `work`; its process has the name `name`.

    At {"kind": "prepare", "order": order, "from": coordinator} it does the work, but keeps the writes in its
    table "prepared" and the rows in "locks" until it is told "commit" or "abort". Who needs a locked row
    waits. While it is in doubt it asks the coordinator every `patience` seconds. It asks also after a crash.
    """

    def __init__(self, work: Work, *, name: str, patience: float = 1.0) -> None:
        self.work, self.name = work, name
        self.patience = number("patience", patience, above=0)

    def __call__(self, state: Any, event: Event) -> Answer:
        stored, kind = state["stored"], event["kind"]
        prepared = stored.get("prepared", {})
        if kind == "prepare":
            return step(state, *self._prepare(state, stored, event))
        if kind in ("commit", "abort"):
            return step(state, *self._end(state, event["number"], kind))
        if kind == "started":
            return step(state, *(action for n, row in prepared.items() for action in self._ask(n, row)))
        if kind == "in doubt" and event["number"] in prepared:
            return step(state, *self._ask(event["number"], prepared[event["number"]]))
        return step(state)

    def _prepare(self, state: Any, stored: Mapping[str, Any], event: Event) -> list[Action]:
        """Vote; or, when a row is locked, let the event wait in memory."""
        n, ended = event["order"]["number"], stored.get("ended", {})
        if n in ended or n in stored.get("prepared", {}):
            return [self._vote(event["from"], n, ended.get(n) != "abort")]
        writes = self.work(stored, event["order"])
        locks = [("locks", (table, key), n) for table, key, _ in writes or ()]
        if any(row in stored.get("locks", {}) for _, row, _ in locks):
            state.setdefault("waiting", {})[n] = event
            return []
        if writes is None:
            return [commit(("ended", n, "abort")), self._vote(event["from"], n, False)]
        row = {"writes": writes, "from": event["from"]}
        return [commit(("prepared", n, row), *locks), self._vote(event["from"], n, True), self._doubt(n)]

    def _end(self, state: Any, n: Any, how: str) -> list[Action]:
        """Carry out the writes or forget them, unlock the rows, and let in who waited for one of them."""
        stored, waiting = state["stored"], state.setdefault("waiting", {})
        waiting.pop(n, None)
        row = stored.get("prepared", {}).get(n)
        if row is None:
            return [commit(("ended", n, how))]
        writes = list(row["writes"]) if how == "commit" else []
        writes += [("locks", (table, key), None) for table, key, _ in row["writes"]]
        actions = [commit(*writes, ("prepared", n, None), ("ended", n, how))]
        if waiting:
            touched = {table: dict(stored.get(table, {})) for table, _, _ in writes}
            write(touched, writes)
            after, events = {**stored, **touched}, list(waiting.values())
            waiting.clear()
            for event in events:
                following = self._prepare(state, after, event)
                write(after, [w for action in following[:1] for w in action["writes"] if w[0] == "locks"])
                actions += following
        return actions

    def _ask(self, n: Any, row: Any) -> list[Action]:
        question = {"kind": "what of", "number": n, "from": self.name}
        return [send(row["from"], question, "request"), self._doubt(n)]

    def _doubt(self, n: Any) -> Action:
        return timer(self.patience, {"kind": "in doubt", "number": n})

    def _vote(self, to: str, n: Any, yes: bool) -> Action:
        return send(to, {"kind": "vote yes" if yes else "vote no", "number": n, "from": self.name}, "reply")

"""The process "orders": keeps a record of every order, and asks the design's saga what is to be done.

The saga is a STEP of plain data that sees one order at a time: `saga(state, event) -> {"state", "actions"}`.
`state` is its memory of this order, {} at first and after a crash. Every event has the `order`, the `record`
that was committed for it (None: there is none) and the time `now`; its `kind` is

    "place"     a customer orders; the same order can come twice
    "answer"    to the `command`, with `ok`: was it done?
    "timer"     the one that was set
    "started"   orders has come back: each order that has a record gets this

and the actions, carried out one after the other, are

    {"do": "commit", "record": …, "news": None}   the record; with "accepted", "done" or "refused" as news,
                                                  a row for the outbox too, both or neither
    {"do": "send", "command": "charge"}           to whoever carries it out
    {"do": "timer", "after": 1.0}
    {"do": "publish", "news": "done"}             to the listeners, past the outbox
    {"do": "reply"}                               to the customer, if one waits
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..actions import Action, Answer, Event, commit, reply, send, step, timer
from ..participants import UNDOES, WORK

Saga = Callable[[Any, Event], Answer]
NEWS = ("accepted", "done", "refused")
PLACES = {command: name for name, commands in WORK.items() for command in commands}


class Desk:
    """The STEP of the process "orders". `queued` commands go to queues; `early` customers are answered as
    soon as their order has a record.
    """

    def __init__(self, saga: Saga, *, queued: bool, early: bool, listeners: tuple[str, ...]) -> None:
        self.saga, self.queued, self.early, self.listeners = saga, queued, early, listeners

    def __call__(self, state: Any, event: Event) -> Answer:
        rows, kind = state["stored"].get("orders", {}), event["kind"]
        if kind == "started":
            actions = [a for number in rows for a in self._ask(state, rows[number], kind, event)]
            return step(state, *actions)
        number = event["order"]["number"] if kind == "place" else event["number"]
        new = {"order": event.get("order"), "request": event.get("request"), "record": None}
        row = rows.get(number) or state.setdefault("new", {}).setdefault(number, new)
        if row["order"] is None:
            return step(state)  # an answer for an order that a crash made it forget
        if "command" in event:
            kind = "answer"
        return step(state, *self._ask(state, row, kind, event))

    def _ask(self, state: Any, row: Mapping[str, Any], kind: str, event: Event) -> list[Action]:
        """What the saga says to this event of one order, in the actions of the simulator."""
        number, memory = row["order"]["number"], state.setdefault("memory", {})
        told: dict[str, Any] = {name: event[name] for name in ("command", "ok") if name in event}
        told |= {"kind": kind, "order": row["order"], "record": row["record"], "now": event["now"]}
        answer = self.saga(memory.get(number, {}), told)
        if not isinstance(answer, Mapping) or not {"state", "actions"} <= set(answer):
            raise TypeError(f'the saga answers {{"state": ..., "actions": [...]}}, and not {answer!r:.80}')
        memory[number] = answer["state"]
        actions: list[Action] = []
        for action in answer["actions"]:
            actions += self._translate(row, number, action, event["now"])
            if action["do"] == "commit" and kind == "place" and self.early:
                actions.append(reply(request=row["request"]))
        return actions

    def _translate(self, row: Any, number: str, action: Any, now: float) -> list[Action]:
        kind, request = action.get("do") if isinstance(action, Mapping) else None, row["request"]
        if kind == "commit":
            writes: list[Any] = [("orders", number, {**row, "record": action.get("record")})]
            if action.get("news") is not None:
                news = self._news(row, action["news"], now)
                writes += [("outbox", (news["id"], name), news) for name in self.listeners]
            return [commit(*writes)]
        if kind == "send":
            if action.get("command") not in PLACES:
                raise ValueError(f"a command is one of {', '.join(PLACES)}, and not {action!r:.80}")
            command = action["command"]
            to = PLACES[command] + " queue" * self.queued
            shown = "compensation" if command in UNDOES else "event"
            return [send(to, {"kind": command, "order": row["order"], "from": "orders"}, shown, request)]
        if kind == "timer":
            return [timer(action["after"], {"kind": "timer", "number": number})]
        if kind == "publish":
            news = self._news(row, action.get("news"), now)
            return [send(name, news, request=request) for name in self.listeners]
        if kind == "reply":
            return [reply(request=request)]
        raise ValueError(f"an action does commit, send, timer, publish or reply, and not {action!r:.80}")

    def _news(self, row: Any, news: Any, now: float) -> dict[str, Any]:
        if news not in NEWS:
            raise ValueError(f"news is one of {', '.join(NEWS)}, and not {news!r:.80}")
        number = row["order"]["number"]
        about = {"kind": f"order {news}", "id": f"{number} {news}", "order": number, "news": news, "at": now}
        return about | {"request": row["request"]}  # so that a trace goes on behind the outbox

"""Request and reply over messages: an address to answer to, and a correlation id to know the answer by.

Nobody waits on a line. So an answer can come late, twice, or after those to later requests; its correlation
id says which request it belongs to, and what nobody waits for any more is ignored.

Source: G. Hohpe, B. Woolf, Enterprise Integration Patterns (2003): Return Address, Correlation Identifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .actions import Answer, Event, Write, ack, commit, put, reply, step, timer
from .arguments import number

Work = Callable[[dict[str, Any], Any], tuple[Any, list[Write]]]


def requester(
    to: str, reply_to: str, *, patience: float, kind: str = "ask"
) -> Callable[[Any, Event], Answer]:
    """A STEP that asks `to`, and has answers sent to `reply_to`: itself, or a queue that it consumes.

    A user's message {"kind": kind, "id": correlation id, ...} begins it. The id must be the user's, such as
    the number of an order: one that is counted in memory would be given twice after a crash. The answer is
    kept in the table "answers", and the user gets the reply "ok", or "timeout" after `patience` seconds.
    """
    number("patience", patience, above=0)

    def ask(state: Any, event: Event) -> Answer:
        waiting = state.get("waiting", ())
        if event["kind"] == kind:
            tag = event["id"]
            body = {name: value for name, value in event.items() if name not in ("kind", "now")}
            request = {"kind": "request", "correlation": tag, "reply to": reply_to, "body": body}
            gives_up = timer(patience, {"kind": "patience ends", "correlation": tag})
            return step({**state, "waiting": (*waiting, tag)}, put(to, request), gives_up)
        if event["kind"] == "patience ends" and event["correlation"] in waiting:
            return step(_without(state, event["correlation"]), reply("timeout"))
        answer = event["body"] if event["kind"] == "delivery" else event
        done = ack(event) if event["kind"] == "delivery" else None
        if answer["kind"] != "reply" or answer["correlation"] not in waiting:
            return step(state, done)  # late, doubled, or from before a crash
        tag = answer["correlation"]
        return step(_without(state, tag), commit(("answers", tag, answer["body"])), reply(), done)

    return ask


def responder(work: Work) -> Callable[[Any, Event], Answer]:
    """A STEP that answers requests, from a queue or sent directly.

    `work(stored, body)` returns the answer and the writes to be committed with it. The answer is kept in the
    table "answered", so a request that comes again gets the same answer, and does nothing a second time.
    """

    def answer(state: Any, event: Event) -> Answer:
        request = event["body"] if event["kind"] == "delivery" else event
        if request["kind"] != "request":
            return step(state)
        tag, done = request["correlation"], None
        answered = state["stored"].get("answered", {})
        if tag in answered:
            body = answered[tag]
        else:
            body, writes = work(state["stored"], request["body"])
            done = commit(("answered", tag, body), *writes)
        back = put(request["reply to"], {"kind": "reply", "correlation": tag, "body": body})
        return step(state, done, back, ack(event) if event["kind"] == "delivery" else None)

    return answer


def _without(state: Any, tag: Any) -> Any:
    return {**state, "waiting": tuple(t for t in state["waiting"] if t != tag)}

"""Who listens to the news of orders: notifications, with the design's consumer, and analytics; and the relay.

The consumer is a STEP of plain data, `consumer(state, event) -> {"state", "actions"}`. `state` is its memory,
{} at first and after a crash. Each event is a delivery:

    {"kind": "delivery", "id": "o7 done", "order": "o7", "news": "done", "deliveries": 1, "recorded": False,
     "now": 12.5}

`order` is None when the message cannot be read; `recorded` says whether there is a record of this id in its
database. Its actions are {"do": "write"} (a letter to the customer), {"do": "record"}, {"do": "write and
record"} (one commit), {"do": "ack"}, {"do": "nack", "delay": 1.0} and {"do": "dead"}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..actions import Action, Answer, Event, ack, commit, commit_offset, nack, put, step, timer

Consumer = Callable[[Any, Event], Answer]


class Letters:
    """The STEP of notifications: letters are rows of the table "letters", records are in "seen"."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def __call__(self, state: Any, event: Event) -> Answer:
        news = event.get("body", event)
        if "news" not in news:
            return step(state)
        told = {name: news[name] for name in ("id", "order", "news")}
        told |= {"kind": "delivery", "deliveries": event.get("deliveries", 1), "now": event["now"]}
        told["recorded"] = news["id"] in state["stored"].get("seen", {})
        answer = self.consumer(state.get("memory", {}), told)
        if not isinstance(answer, Mapping) or not {"state", "actions"} <= set(answer):
            raise TypeError(
                f'the consumer answers {{"state": ..., "actions": [...]}}, and not {answer!r:.80}'
            )
        state["memory"] = answer["state"]
        actions = [self._translate(action, news, event) for action in answer["actions"]]
        return step(state, *actions)

    def _translate(self, action: Any, news: Event, delivery: Event) -> Action | None:
        kind = action.get("do") if isinstance(action, Mapping) else None
        letter, record = ("letters", None, news["id"]), ("seen", news["id"], True)
        writes = {"write": [letter], "record": [record], "write and record": [letter, record]}
        if kind in writes:
            return commit(*writes[kind])
        if kind not in ("ack", "nack", "dead"):
            raise ValueError(f"an action does write, record, ack, nack or dead, and not {action!r:.80}")
        if "receipt" not in delivery:
            return None  # a message that came without a queue: there is nobody to be told
        if kind == "ack":
            return ack(delivery)
        return nack(delivery, requeue=kind == "nack", delay=action.get("delay", 0.0))


def analytics(state: Any, event: Event) -> Answer:
    """Counts what became of orders, once each: the table "seen" has what it was, and how long after (s)."""
    news = [record["body"] for record in event.get("records", ())] or [event]
    known = state["stored"].get("seen", {})
    new = {one["id"]: one for one in news if one.get("order") is not None and one["id"] not in known}
    writes = [("seen", id, (one["news"], event["now"] - one["at"])) for id, one in new.items()]
    done = commit_offset(event) if "records" in event else None
    return step(state, commit(*writes) if writes else None, done)


def relay(every: float, confirmed: frozenset[str], patience: float = 1.0) -> Callable[..., Answer]:
    """A STEP that publishes the rows of the outbox; its database is that of orders.

    A row of a listener in `confirmed`, a broker, is deleted when that one has it, and published again after
    `patience` seconds until then. Where nobody confirms, a row is deleted when it has been sent.
    """

    def publish(to: str, news: Event, **options: Any) -> Action:
        return {**put(to, news, **options), "request": news.get("request")}

    def look(state: Any, event: Event) -> Answer:
        now, out = event["now"], state["out"]
        if event["kind"] == "confirmed":
            out.pop(event["tag"], None)
            return step(state, commit(("outbox", event["tag"], None)))
        actions: list[Action] = []
        for key, news in state["stored"].get("outbox", {}).items():
            if key[1] not in confirmed:
                actions += [publish(key[1], news), commit(("outbox", key, None))]
            elif now - out.get(key, -patience) >= patience:
                out[key] = now
                actions.append(publish(key[1], news, confirm=key))
        return step(state, *actions, timer(every, {"kind": "poll"}))

    return look


def from_queue(work: Callable[[Any, Event], Answer]) -> Callable[[Any, Event], Answer]:
    """A STEP for commands that come by queue: do it, answer it, acknowledge it."""

    def consume(state: Any, event: Event) -> Answer:
        if event["kind"] != "delivery":
            return work(state, event)
        answer = work(state, {**event["body"], "now": event["now"]})
        return step(answer["state"], *answer["actions"], ack(event))

    return consume

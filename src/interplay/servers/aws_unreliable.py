"""What a standard SQS queue may do and moto does not: deliver a message twice, and out of order.

A second delivery has the same MessageId, and can come after the message was deleted: one of the servers that
keep copies had not heard of that. A message that is late comes after some of those behind it; its visibility
timeout runs meanwhile.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

BEHIND = 3  # a message that is late, or comes twice, does so within so many receives


class Unreliable:
    """A boto3 client of SQS whose `receive_message` behaves so; all else is the client's own."""

    def __init__(self, client: Any, duplicates: float, reorder: float, seed: int) -> None:
        self._client = client
        self._duplicates = duplicates
        self._reorder = reorder
        self._random = random.Random(seed)
        self._held: dict[str, list[tuple[int, Any]]] = defaultdict(
            list
        )  # by queue: (receives to go, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int = 1, **how: Any) -> dict[str, Any]:
        """Receive as boto3 does, with copies of some messages, and some late."""
        while True:
            held = [(left - 1, message) for left, message in self._held[QueueUrl]]
            held.sort(key=lambda entry: entry[0])
            due = [message for left, message in held if left <= 0][:MaxNumberOfMessages]
            held = held[len(due) :]
            arrived, room = [], MaxNumberOfMessages - len(due)
            if room:
                if held or due:
                    how["WaitTimeSeconds"] = 0
                answer = self._client.receive_message(QueueUrl=QueueUrl, MaxNumberOfMessages=room, **how)
                arrived = answer.get("Messages", [])
            for message in arrived:
                if self._random.random() < self._reorder:
                    held.append((self._random.randint(1, BEHIND), message))
                    continue
                due.append(message)
                if self._random.random() < self._duplicates:
                    held.append((self._random.randint(1, BEHIND), dict(message)))
            self._held[QueueUrl] = held
            if due or not held:
                return {"Messages": due} if due else {}

"""What a notebook does often with SQS queues and SNS topics, in a line each; the rest is boto3's own."""

from __future__ import annotations

import contextlib
import json
from typing import Any


class Queues:
    """The queues and topics of an AWS endpoint."""

    def client(self, service: str) -> Any:  # of the class that this is mixed into
        """A boto3 client."""
        raise NotImplementedError

    def queue(self, name: str, *, dead: str | None = None, limit: int = 3, **attributes: Any) -> str:
        """An empty queue of this name: its URL. `attributes` in SQS's words, such as VisibilityTimeout=1 (s).

        After `limit` deliveries a message moves to the queue whose URL is `dead`. With FifoQueue=True, and a
        name that ends in ".fifo", it is a first-in-first-out queue.
        """
        sqs = self.client("sqs")
        with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
        if dead is not None:
            redrive = {"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": limit}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        said = {
            key: str(value).lower() if value in (True, False) else str(value)
            for key, value in attributes.items()
        }
        return str(sqs.create_queue(QueueName=name, Attributes=said)["QueueUrl"])

    def arn(self, url: str) -> str:
        """A queue's name in the rules of other services."""
        asked = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(asked["Attributes"]["QueueArn"])

    def take(self, url: str, most: int = 10, wait: float = 0, by: Any = None) -> list[dict[str, Any]]:
        """Receive up to `most` messages, waiting up to `wait` seconds for the first; [] when there is none.

        They are leased, not deleted. `by` is the client that asks, such as an unreliable one.
        """
        sqs = by or self.client("sqs")
        how = {"MaxNumberOfMessages": most, "WaitTimeSeconds": int(wait), "AttributeNames": ["All"]}
        found: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, **how).get("Messages", [])
        return found

    def depth(self, url: str) -> tuple[int, int]:
        """How many messages are (ready, out on lease)."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(asked[names[0]]), int(asked[names[1]])

    def fan_out(self, name: str, queues: dict[str, dict[str, Any] | None]) -> str:
        """A new SNS topic that copies each message to the queues with these URLs: its ARN.

        Each has a filter on the message's attributes, {"type": ["paid"]}, or None for all. The messages come
        as they were sent, without SNS's envelope.
        """
        sns = self.client("sns")
        topic = str(sns.create_topic(Name=name)["TopicArn"])
        for entry in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
            sns.unsubscribe(SubscriptionArn=entry["SubscriptionArn"])
        for url, policy in queues.items():
            how = {"RawMessageDelivery": "true"}
            if policy is not None:
                how["FilterPolicy"] = json.dumps(policy)
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn(url), Attributes=how)
        return topic

"""A consumer of a RabbitMQ queue, as a process of its own that one may kill -9 at any moment.

When it says that a message is done with ("acknowledges" it) is the whole lesson: after its work, before it,
or never ("automatic": RabbitMQ forgets a message as soon as it has sent it).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..arguments import number, one_of, whole
from .rabbitmq import RabbitMQ
from .workers import Diary, Dies, Worker

ACKS = ["after work", "before work", "automatic"]
POINTS = ["before work", "after work", "after ack"]


def start(
    broker: RabbitMQ,
    queue: str,
    ack: str = "after work",
    *,
    prefetch: int = 1,
    seconds: float = 0.0,
    poison: Sequence[str] = (),
    requeue: bool = True,
    dies: Dies = None,
    name: str = "worker",
) -> Worker:
    """Start a worker: `seconds` of work for each message, at most `prefetch` unacknowledged ones with it.

    Work on a message in `poison` fails: it goes back into the queue, or, without `requeue`, is refused for
    good (a queue with a dead-letter exchange keeps it there). A message that names a queue for the reply is
    answered. `dies`, such as ("after work", 6), is one of "before work", "after work" and "after ack".
    """
    settings: dict[str, Any] = {"url": broker.url, "queue": queue, "ack": one_of("ack", ack, ACKS)}
    settings |= {
        "prefetch": whole("prefetch", prefetch, least=0),
        "seconds": number("seconds", seconds, least=0),
    }
    settings |= {"poison": list(poison), "requeue": requeue}
    worker = Worker("rabbitmq_worker", name, settings, dies, POINTS)
    worker.start()
    return worker


def main() -> None:
    """Be the worker."""
    import pika

    diary = Diary()
    told = diary.settings

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        message = body.decode()
        diary.write("got", message, redelivered=method.redelivered)
        if told["ack"] == "before work":
            channel.basic_ack(method.delivery_tag)
        diary.point("before work")
        if message in told["poison"]:
            diary.write("failed", message)
            channel.basic_nack(method.delivery_tag, requeue=told["requeue"])
            return
        time.sleep(told["seconds"])
        diary.write("done", message)
        diary.point("after work")
        if properties.reply_to:
            named = pika.BasicProperties(correlation_id=properties.correlation_id)
            channel.basic_publish("", properties.reply_to, f"{message} done".encode(), named)
        if told["ack"] == "after work":
            channel.basic_ack(method.delivery_tag)
        diary.point("after ack")

    channel = pika.BlockingConnection(pika.URLParameters(told["url"])).channel()
    channel.basic_qos(prefetch_count=told["prefetch"])
    channel.basic_consume(told["queue"], handle, auto_ack=told["ack"] == "automatic")
    diary.write("ready")
    channel.start_consuming()


if __name__ == "__main__":
    main()

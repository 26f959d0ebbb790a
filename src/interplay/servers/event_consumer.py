"""The service that packs what was ordered, as a process of its own that one may kill -9 at any moment.

JetStream delivers an event again until it is acknowledged. With `inbox` the service writes the event's id
into a table in the transaction of its effect: what is there already is acknowledged, and not done again.
"""

from __future__ import annotations

import asyncio
import json

from ..arguments import number, one_of
from .nats_server import Nats
from .outbox_table import OutboxTable
from .workers import Diary, Dies, Worker

KEYS = ["message id", "order"]
POINTS = ["before effect", "between", "after effect", "after ack"]
SEEN = "INSERT INTO inbox (message_id) VALUES (%s) ON CONFLICT DO NOTHING"
PACK = "INSERT INTO parcels (order_id) VALUES (%s)"


def start(
    shop: OutboxTable,
    broker: Nats,
    stream: str,
    *,
    inbox: bool = True,
    key: str = "order",
    lease: float = 1.0,
    dies: Dies = None,
    name: str = "packing",
) -> Worker:
    """Start a consumer of the stream; what it does not acknowledge within `lease` seconds comes again.

    With `inbox`, `key` says what makes two events the same: the "order" that they tell of, or the "message
    id" that the relay gave them. `dies`, such as ("after effect", 6), is one of "before effect",
    "between" (noted in the inbox, not packed, and not committed), "after effect" and "after ack".
    """
    settings = {"database": shop.database.url, "nats": broker.url, "stream": stream, "inbox": inbox}
    more = {"key": one_of("key", key, KEYS), "lease": number("lease", lease, above=0), "durable": name}
    worker = Worker("event_consumer", name, settings | more, dies, POINTS)
    worker.start()
    return worker


async def main() -> None:
    """Be the consumer."""
    import nats
    import psycopg
    from nats.js.api import ConsumerConfig

    diary = Diary()
    told = diary.settings
    sql = psycopg.connect(told["database"], autocommit=True)
    js = (await nats.connect(told["nats"])).jetstream()
    config = ConsumerConfig(ack_wait=told["lease"])
    events = await js.pull_subscribe(">", told["durable"], stream=told["stream"], config=config)
    diary.write("ready")
    while True:
        try:
            (message,) = await events.fetch(1, timeout=5)
        except nats.errors.TimeoutError:
            continue
        order = json.loads(message.data)["order"]
        diary.write("got", order, deliveries=message.metadata.num_delivered)
        diary.point("before effect")
        with sql.transaction():
            given = (message.headers or {}).get("Nats-Msg-Id", str(message.metadata.sequence.stream))
            seen = sql.execute(SEEN, (order if told["key"] == "order" else given,)).rowcount == 0
            if not (seen and told["inbox"]):
                diary.point("between")
                sql.execute(PACK, (order,))
        diary.write("dropped" if seen and told["inbox"] else "done", order)
        diary.point("after effect")
        await message.ack_sync()
        diary.point("after ack")


if __name__ == "__main__":
    asyncio.run(main())

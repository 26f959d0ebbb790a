"""The service that takes orders, as a process of its own that one may kill -9 between its two writes.

"dual" writes the order into PostgreSQL and publishes the event to NATS, one after the other; "outbox" writes
both into PostgreSQL, in one transaction.
"""

from __future__ import annotations

import asyncio
import time

from ..arguments import number, one_of, whole
from .nats_server import Nats
from .outbox_table import INSERT_ORDER, SUBJECT, OutboxTable, event, write
from .workers import Diary, Dies, Worker

HOWS = ["outbox", "dual: commit first", "dual: publish first"]
POINTS = ["before", "between", "after"]


def start(
    shop: OutboxTable,
    broker: Nats,
    how: str = "outbox",
    *,
    count: int = 40,
    seconds: float = 0.0,
    dies: Dies = None,
    name: str = "orders",
) -> Worker:
    """Start the service: it takes order-0, order-1 and so on, `seconds` after one another, and ends.

    `how` is "outbox", "dual: commit first" or "dual: publish first". `dies`, such as ("between", 17), is one
    of "before", "between" (after the first write, before the second, or before the commit) and "after".
    Started again, it goes on with the next order: the customer of the one at which it died was told nothing.
    """
    settings = {"database": shop.database.url, "nats": broker.url, "how": one_of("how", how, HOWS)}
    more = {"count": whole("count", count, least=1), "seconds": number("seconds", seconds, least=0)}
    worker = Worker("order_service", name, settings | more, dies, POINTS)
    worker.start()
    return worker


async def main() -> None:
    """Be the service."""
    import nats
    import psycopg

    diary = Diary()
    told = diary.settings
    sql = psycopg.connect(told["database"], autocommit=True)
    line = await nats.connect(told["nats"])
    js = line.jetstream()
    diary.write("ready")
    for n in range(diary.before, told["count"]):
        order, total = f"order-{n}", 10 + n
        diary.write("got", order)
        diary.point("before")
        if told["how"] == "outbox":
            with sql.transaction():
                write(sql, order, total)
                diary.point("between")
        elif told["how"] == "dual: commit first":
            sql.execute(INSERT_ORDER, (order, total))
            diary.point("between")
            await js.publish(SUBJECT, event(order, total).encode())
        else:
            await js.publish(SUBJECT, event(order, total).encode())
            diary.point("between")
            sql.execute(INSERT_ORDER, (order, total))
        diary.write("done", order)
        diary.point("after")
        time.sleep(told["seconds"])
    await line.close()


if __name__ == "__main__":
    asyncio.run(main())

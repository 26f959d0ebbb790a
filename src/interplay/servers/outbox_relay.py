"""The relay of the outbox, as a process of its own that one may kill -9 between publishing and marking.

"polling" asks the table for unsent rows every so often; "notify" the same, woken by PostgreSQL's NOTIFY;
"tailing" reads the log of changes by logical decoding, and tells it how far it has come. All of them publish
first and note it after: at least once. What they publish twice, JetStream drops when it carries a message
id (`dedup`).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from ..arguments import number, one_of, whole
from .nats_server import Nats
from .outbox_table import SLOT, OutboxTable
from .workers import Diary, Dies, Worker

HOWS = ["polling", "notify", "tailing"]
POINTS = ["before publish", "after publish", "after mark"]
# SKIP LOCKED: several relays may run, each with rows of its own
UNSENT = """
SELECT id, subject, payload FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
MARK = "UPDATE outbox SET sent_at = clock_timestamp() WHERE id = ANY(%s)"
# four lines for each order: BEGIN, its row, its event, COMMIT
CHANGES = "SELECT lsn::text, data FROM pg_logical_slot_peek_changes(%s, NULL, 4 * %s)"
ADVANCE = "SELECT pg_replication_slot_advance(%s, %s::pg_lsn)"
# a line of test_decoding, in which a quote in a text is written twice
ROW = re.compile(
    r"table \w+\.outbox: INSERT: id\[bigint\]:(\d+) "
    r"subject\[text\]:'(.*)' payload\[text\]:'(.*)' created_at"
)


def start(
    shop: OutboxTable,
    broker: Nats,
    how: str = "polling",
    *,
    every: float = 0.05,
    batch: int = 10,
    dedup: bool = False,
    dies: Dies = None,
    name: str = "relay",
) -> Worker:
    """Start a relay that looks every `every` seconds for up to `batch` events.

    `dies`, such as ("after publish", 17), is one of "before publish", "after publish" (the n-th event is
    out, and not marked, nor are those of its batch before it) and "after mark" (of the n-th batch).
    A "tailing" relay sees what is written from its first start on.
    """
    settings: dict[str, Any] = {"database": shop.database.url, "nats": broker.url}
    settings |= {"how": one_of("how", how, HOWS), "every": number("every", every, above=0)}
    settings |= {"batch": whole("batch", batch, least=1), "dedup": dedup}
    worker = Worker("outbox_relay", name, settings, dies, POINTS)
    if how == "tailing":
        shop.database.slot(SLOT)
    worker.start()
    return worker


async def main() -> None:
    """Be the relay."""
    import nats
    import psycopg

    diary = Diary()
    told = diary.settings
    sql = psycopg.connect(told["database"], autocommit=True)
    js = (await nats.connect(told["nats"])).jetstream()
    if told["how"] == "notify":
        sql.execute("LISTEN outbox")

    async def publish(number: int, subject: str, payload: str) -> int:
        diary.point("before publish")
        headers = {"Nats-Msg-Id": f"outbox-{number}"} if told["dedup"] else None
        await js.publish(subject, payload.encode(), headers=headers)  # waits for JetStream's confirmation
        diary.write("published", number)
        diary.point("after publish")
        return number

    async def poll() -> list[int]:
        with sql.transaction():
            rows = sql.execute(UNSENT, (told["batch"],)).fetchall()
            out = [await publish(*row) for row in rows]
            sql.execute(MARK, (out,))
        return out

    async def tail() -> list[int]:
        rows = sql.execute(CHANGES, (SLOT, told["batch"])).fetchall()
        events = [found.groups() for _, data in rows if (found := ROW.match(data))]
        texts = [(int(number), s.replace("''", "'"), p.replace("''", "'")) for number, s, p in events]
        out = [await publish(*row) for row in texts]
        if rows:
            sql.execute(ADVANCE, (SLOT, rows[-1][0]))
        return out

    diary.write("ready")
    while True:
        if out := await (tail() if told["how"] == "tailing" else poll()):
            diary.write("marked", out)
            diary.point("after mark")
        elif told["how"] == "notify":
            for _ in sql.notifies(timeout=told["every"], stop_after=1):
                pass
        else:
            await asyncio.sleep(told["every"])


if __name__ == "__main__":
    asyncio.run(main())

"""The tables of unit 11 in PostgreSQL: orders, and the outbox of events that tell of them.

An order and its event are written in one transaction (`place`), so there is never one without the other.
`order_service.py` places orders in a process that can be killed, `outbox_relay.py` publishes what is in the
outbox, `event_consumer.py` packs what it hears of.
"""

from __future__ import annotations

import json
from typing import Any

from .postgres import Postgres
from .workers import Worker, wait_for

TABLES = """
DROP TABLE IF EXISTS orders, outbox, parcels, inbox;
CREATE TABLE orders (id text PRIMARY KEY, total int NOT NULL);
CREATE TABLE outbox (
    id bigserial PRIMARY KEY,
    subject text NOT NULL,
    payload text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
);
CREATE TABLE parcels (order_id text NOT NULL, packed_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE inbox (message_id text PRIMARY KEY);
"""
SUBJECT = "shop.orders"
SLOT = "relay"
INSERT_ORDER = "INSERT INTO orders (id, total) VALUES (%s, %s)"
INSERT_EVENT = "INSERT INTO outbox (subject, payload) VALUES (%s, %s)"


class OutboxTable:
    """The tables, new and empty."""

    def __init__(self, database: Postgres) -> None:
        self.database = database
        database.drop_slot(SLOT)
        database.sql.execute(TABLES)

    def place(self, order: str, total: int, crash: bool = False) -> None:
        """Write an order and its event in one transaction; with `crash` it ends before it is committed."""
        sql = self.database.sql
        try:
            with sql.transaction():
                write(sql, order, total)
                if crash:
                    raise _CrashError
        except _CrashError:
            pass

    def orders(self) -> list[str]:
        """The orders that there are."""
        return self._column("SELECT id FROM orders ORDER BY length(id), id")

    def unsent(self) -> list[int]:
        """The ids of the events that are not marked as sent."""
        return self._column("SELECT id FROM outbox WHERE sent_at IS NULL ORDER BY id")

    def parcels(self) -> list[str]:
        """The order of each parcel that was packed; one that is in it twice was packed twice."""
        return self._column("SELECT order_id FROM parcels ORDER BY packed_at")

    def settled(self, relay: Worker, seconds: float = 10.0) -> bool:
        """Wait until all events have been published and that is noted; False when they have not been."""
        events = set(self._column("SELECT id FROM outbox"))
        return wait_for(
            lambda: events <= {n for batch in relay.report().of("marked") for n in batch}, seconds
        )

    def lags(self, relay: Worker) -> list[float]:
        """For each event the seconds from when it was written to when it was first published."""
        rows = self.database.sql.execute("SELECT id, extract(epoch FROM created_at) FROM outbox")
        created = {number: float(at) for number, at in rows}
        first: dict[int, float] = {}
        for row in relay.report().rows:
            if row["what"] == "published":
                first.setdefault(row["message"], row["at"])
        return [at - created[number] for number, at in sorted(first.items())]

    def _column(self, query: str) -> list[Any]:
        return [value for (value,) in self.database.sql.execute(query)]


class _CrashError(Exception):
    """The process ends here, as far as the database can tell."""


def event(order: str, total: int) -> str:
    """The event that tells of an order, as text."""
    return json.dumps({"type": "OrderPlaced", "order": order, "total": total})


def write(sql: Any, order: str, total: int) -> None:
    """Both rows, and a word to a relay that listens; the caller has begun a transaction."""
    sql.execute(INSERT_ORDER, (order, total))
    sql.execute(INSERT_EVENT, (SUBJECT, event(order, total)))
    sql.execute("NOTIFY outbox")


def create(database: Postgres) -> OutboxTable:
    """Make the tables anew, in the database; they are empty."""
    return OutboxTable(database)

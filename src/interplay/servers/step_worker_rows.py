"""The database of a STEP in PostgreSQL: all tables are rows of one, and a commit is a transaction.

    SELECT table_name, key, value FROM shop_rows WHERE process = 'inventory'

A tuple, which JSON has not, stands there as {"()": [...]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..actions import write

TABLE = """
CREATE TABLE IF NOT EXISTS shop_rows (
    nr bigserial PRIMARY KEY, shop text NOT NULL, process text NOT NULL, table_name text NOT NULL,
    key jsonb, value jsonb, UNIQUE (shop, process, table_name, key)
)
"""
LOAD = "SELECT table_name, key, value FROM shop_rows WHERE shop = %s AND process = %s ORDER BY nr"
# Two NULL keys are different, so that a row without a key is always a new one.
PUT = """
INSERT INTO shop_rows (shop, process, table_name, key, value) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (shop, process, table_name, key) DO UPDATE SET value = excluded.value
"""
DELETE = "DELETE FROM shop_rows WHERE shop = %s AND process = %s AND table_name = %s AND key = %s"


def packed(value: Any) -> Any:
    """As JSON can carry it."""
    if isinstance(value, tuple):
        return {"()": [packed(one) for one in value]}
    if isinstance(value, list):
        return [packed(one) for one in value]
    if isinstance(value, Mapping):
        return {key: packed(one) for key, one in value.items()}
    return value


def unpacked(value: Any) -> Any:
    """As it was."""
    if isinstance(value, list):
        return [unpacked(one) for one in value]
    if isinstance(value, dict):
        if list(value) == ["()"]:
            return tuple(unpacked(one) for one in value["()"])
        return {key: unpacked(one) for key, one in value.items()}
    return value


class Rows:
    """The database of one process of a shop: `stored` is what the STEP reads.

    With `reads` only these tables are in it; the others are written and not read.
    """

    def __init__(self, url: str, shop: str, process: str, reads: list[str] | None = None) -> None:
        import psycopg

        self.shop, self.process, self.reads = shop, process, reads
        self.sql = psycopg.connect(url, autocommit=True, connect_timeout=5)
        self.stored: dict[str, Any] = {}
        self.load()

    def load(self) -> None:
        """Read what is committed."""
        self.stored.clear()
        for table, key, value in self.sql.execute(LOAD, (self.shop, self.process)):
            if self.reads is None or table in self.reads:
                write(self.stored, [(table, unpacked(key), unpacked(value))])

    def write(self, writes: Any) -> None:
        """Carry out the writes of a commit: all, or none."""
        from psycopg.types.json import Jsonb

        with self.sql.transaction():
            for table, key, value in writes:
                row = (self.shop, self.process, table)
                if key is not None and value is None:
                    self.sql.execute(DELETE, (*row, Jsonb(packed(key))))
                else:
                    at = None if key is None else Jsonb(packed(key))
                    self.sql.execute(PUT, (*row, at, Jsonb(packed(value))))
        write(self.stored, [one for one in writes if self.reads is None or one[0] in self.reads])


def create(sql: Any, shop: str, stored: Mapping[str, Mapping[str, Any]]) -> None:
    """The databases of a new shop, by the name of the process, with what they have at first."""
    from psycopg.types.json import Jsonb

    sql.execute(TABLE)
    for process, tables in stored.items():
        for table, rows in tables.items():
            for key, value in rows.items():
                sql.execute(PUT, (shop, process, table, Jsonb(packed(key)), Jsonb(packed(value))))


def read(sql: Any, shop: str) -> dict[str, dict[str, Any]]:
    """All databases of a shop, by the name of the process."""
    rows = sql.execute("SELECT DISTINCT process FROM shop_rows WHERE shop = %s", (shop,)).fetchall()
    found: dict[str, dict[str, Any]] = {}
    for (process,) in rows:
        found[process] = {}
        for table, key, value in sql.execute(LOAD, (shop, process)):
            write(found[process], [(table, unpacked(key), unpacked(value))])
    return found


def drop(sql: Any, shop: str) -> None:
    """Without this shop."""
    sql.execute("DELETE FROM shop_rows WHERE shop = %s", (shop,))

"""SQL on a PostgreSQL, and its log of changes as text (logical decoding)."""

from __future__ import annotations

from typing import Any


class Sql:
    """The PostgreSQL at `url`."""

    url: str

    def __init__(self) -> None:
        self._sql: Any = None
        self._slots: set[str] = set()

    def connect(self) -> Any:
        """A psycopg connection where each statement is committed; `with sql.transaction():` for more."""
        import psycopg

        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    @property
    def sql(self) -> Any:
        """A connection that stays open, for what the course itself asks."""
        if self._sql is None or self._sql.closed or self._sql.broken:
            self._sql = self.connect()
        return self._sql

    def slot(self, name: str) -> None:
        """Keep the log of changes from now on, for a reader of this name (a replication slot)."""
        self.drop_slot(name)
        self._slots.add(name)
        self.sql.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (name,))

    def drop_slot(self, name: str) -> None:
        """Keep it no longer."""
        ours = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
        self.sql.execute(ours, (name,))

    def decode(self, name: str) -> list[str]:
        """What was changed since the slot was made, or last read: lines of PostgreSQL's test_decoding."""
        rows = self.sql.execute("SELECT data FROM pg_logical_slot_get_changes(%s, NULL, NULL)", (name,))
        return [data for (data,) in rows]

    def drop_slots(self) -> None:
        """Keep none of those made here: one that nobody reads keeps the log from being tidied up."""
        for name in self._slots:
            self.drop_slot(name)

    def hang_up(self) -> None:
        """Close the connection that stays open."""
        if self._sql is not None:
            self._sql.close()
        self._sql = None

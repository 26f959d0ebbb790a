"""An event store in PostgreSQL: streams with versions, and one position over all of them.

`append` asks for the version that the writer has seen; the primary key refuses a second one. Positions are
drawn when an event is written, and seen when it is committed: two transactions may commit in the other order,
and a reader that goes on from the highest position it has seen skips the one that was still open, for ever.
`Reader(safe=True)` reads only up to the oldest transaction that is still running.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from .postgres import Postgres

TABLE = """
DROP TABLE IF EXISTS events;
CREATE TABLE events (
    position bigserial UNIQUE,
    stream text NOT NULL,
    version int NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    writer xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (stream, version)
);
"""
COLUMNS = "position, stream, version, type, data, at"
VERSION = "SELECT coalesce(max(version), 0) FROM events WHERE stream = %s"
APPEND = "INSERT INTO events (stream, version, type, data) VALUES (%s, %s, %s, %s)"
OF_STREAM = f"SELECT {COLUMNS} FROM events WHERE stream = %s AND version > %s ORDER BY version"
NAIVE = f"SELECT {COLUMNS} FROM events WHERE position > %s ORDER BY position"
# Transactions below xmin have ended. A position is not enough then: what is below it may still come.
SAFE = f"""
SELECT {COLUMNS}, writer::text FROM events
WHERE (writer, position) > (%s::xid8, %s) AND writer < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY writer, position
"""
What = tuple[str, dict[str, Any]]


class ConflictError(Exception):
    """The stream is not at the version that the writer has seen."""


class Event(NamedTuple):
    """An event as it was written."""

    position: int
    stream: str
    version: int
    type: str
    data: dict[str, Any]
    at: datetime


class EventStore:
    """The store, new and empty."""

    def __init__(self, database: Postgres) -> None:
        self.database = database
        database.sql.execute(TABLE)

    def append(self, stream: str, expected: int, events: list[What]) -> int:
        """Append (type, data) events to a stream that is at version `expected` (0: new); its new version.

        Raises ConflictError, and writes nothing, when it is at another version.
        """
        with self.writing(stream, expected, events, self.database.sql):
            return expected + len(events)

    @contextlib.contextmanager
    def writing(self, stream: str, expected: int, events: list[What], sql: Any = None) -> Iterator[None]:
        """The same, by another writer: it is committed at the end of the block."""
        import psycopg

        writer = sql or self.database.connect()
        try:
            with writer.transaction():
                if writer.execute(VERSION, (stream,)).fetchone() != (expected,):
                    raise ConflictError(f"{stream} is not at version {expected}")
                for number, (kind, data) in enumerate(events, expected + 1):
                    writer.execute(APPEND, (stream, number, kind, json.dumps(data)))
                yield
        except psycopg.errors.UniqueViolation:
            raise ConflictError(f"{stream} has gone on from version {expected} meanwhile") from None
        finally:
            if writer is not sql:
                writer.close()

    def read(self, stream: str, after: int = 0) -> list[Event]:
        """The events of a stream, in order, that follow this version."""
        return [Event(*row) for row in self.database.sql.execute(OF_STREAM, (stream, after))]


class Reader:
    """Reads all streams, each time what is new; a projection lives on this."""

    def __init__(self, store: EventStore, safe: bool = False) -> None:
        self.store = store
        self.safe = safe
        self.position = 0  # of the last event that it has read …
        self._writer = "0"  # … and its transaction

    def poll(self) -> list[Event]:
        """What it has not read yet, as far as it can see."""
        sql = self.store.database.sql
        if not self.safe:
            found = [Event(*row) for row in sql.execute(NAIVE, (self.position,))]
        else:
            rows = sql.execute(SAFE, (self._writer, self.position)).fetchall()
            found = [Event(*row[:-1]) for row in rows]
            self._writer = rows[-1][-1] if rows else self._writer
        if found:
            self.position = found[-1].position
        return found


def create(database: Postgres) -> EventStore:
    """Make the store anew, in the database."""
    return EventStore(database)


def environment(database: Postgres) -> dict[str, str]:
    """What the library `eventsourcing` wants to be told to use this database: Application(env=…)."""
    parts = urlsplit(database.url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_HOST": parts.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": unquote(parts.username or ""),
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_SCHEMA": "course" if database.given else "public",
    }

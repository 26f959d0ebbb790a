"""The tables of unit 12 in PostgreSQL: the state of each saga, and what the three services have of it.

The orchestrator (`saga_orchestrator.py`) keeps in `saga` and `saga_log` how far each order has come; the
services (`saga_services.py`) have one table each, and one of the commands that they have done.
"""

from __future__ import annotations

from typing import Any

from .postgres import Postgres
from .workers import wait_for

DBOS_SCHEMA = "course_dbos"  # where DBOS keeps its own
TABLES = f"""
DROP SCHEMA IF EXISTS {DBOS_SCHEMA} CASCADE;
DROP TABLE IF EXISTS saga, saga_log, stock, charges, shipments, commands;
CREATE TABLE saga (order_id text PRIMARY KEY, total int NOT NULL, status text NOT NULL DEFAULT 'running');
CREATE TABLE saga_log (
    id bigserial PRIMARY KEY, order_id text NOT NULL, action text NOT NULL, answer text NOT NULL
);
CREATE TABLE stock (pieces int NOT NULL CHECK (pieces >= 0));
CREATE TABLE charges (order_id text NOT NULL, cents int NOT NULL);
CREATE TABLE shipments (order_id text NOT NULL);
CREATE TABLE commands (id text PRIMARY KEY, answer text NOT NULL);
"""
# In order; the compensation of each; None: it is the last one, and there is nothing to undo after it.
STEPS: list[tuple[str, str | None]] = [("reserve", "release"), ("charge", "refund"), ("ship", None)]
SERVICES = {
    "inventory": ["reserve", "release"],
    "payments": ["charge", "refund"],
    "shipping": ["ship"],
}


class SagaTables:
    """The tables, new, with so many pieces in stock."""

    def __init__(self, database: Postgres, stock: int) -> None:
        self.database = database
        database.sql.execute(TABLES)
        database.sql.execute("INSERT INTO stock VALUES (%s)", (stock,))

    def begin(self, order: str, total: int = 100) -> None:
        """Note that this order is to be carried out; the orchestrator finds it."""
        self.database.sql.execute("INSERT INTO saga (order_id, total) VALUES (%s, %s)", (order, total))
        self.database.sql.execute("NOTIFY saga")

    def status(self) -> dict[str, str]:
        """For each order "running", "done" or "compensated"."""
        return dict(self._rows("SELECT order_id, status FROM saga ORDER BY length(order_id), order_id"))

    def settled(self, seconds: float = 10.0) -> bool:
        """Wait until no saga is running; False when one still is after so long."""
        return wait_for(lambda: "running" not in self.status().values(), seconds)

    def log(self, order: str) -> list[tuple[str, str]]:
        """What the orchestrator noted of an order, in order: (action, "done" or "refused")."""
        return self._rows("SELECT action, answer FROM saga_log WHERE order_id = %s ORDER BY id", order)

    def state(self) -> dict[str, Any]:
        """What the services have: pieces in stock, the sum charged, and the orders shipped."""
        ((stock,),) = self._rows("SELECT pieces FROM stock")
        ((charged,),) = self._rows("SELECT coalesce(sum(cents), 0)::int FROM charges")
        shipped = self._rows("SELECT order_id FROM shipments ORDER BY order_id")
        return {"stock": stock, "charged": charged, "shipped": [order for (order,) in shipped]}

    def _rows(self, query: str, *parameters: Any) -> list[Any]:
        return list(self.database.sql.execute(query, parameters))


def perform(sql: Any, action: str, order: str, total: int) -> str:
    """A service's work on one command, inside the caller's transaction: "done" or "refused"."""
    if action == "reserve":
        taken = sql.execute("UPDATE stock SET pieces = pieces - 1 WHERE pieces > 0")
        return "done" if taken.rowcount else "refused"
    if action == "release":
        sql.execute("UPDATE stock SET pieces = pieces + 1")
    elif action in ("charge", "refund"):
        cents = total if action == "charge" else -total
        sql.execute("INSERT INTO charges VALUES (%s, %s)", (order, cents))
    else:
        sql.execute("INSERT INTO shipments VALUES (%s)", (order,))
    return "done"


def following(log: list[tuple[str, str]]) -> tuple[str, bool]:
    """What comes after this log: (action, whether it is a compensation); ("", …) at the end.

    It depends on nothing else, which is why another process can go on from it.
    """
    done = [action for action, answer in log if answer == "done"]
    refused = any(answer == "refused" for _, answer in log)
    if not refused:
        return next(((action, False) for action, _ in STEPS if action not in done), ("", False))
    undo = [(action, back) for action, back in reversed(STEPS) if action in done and back]
    return next(((back, True) for _, back in undo if back not in done), ("", True))


def create(database: Postgres, stock: int = 10) -> SagaTables:
    """Make the tables anew, in the database."""
    return SagaTables(database, stock)

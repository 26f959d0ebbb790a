"""The orchestrator of the sagas, as a process of its own that one may kill -9 at any step.

All that it knows is in PostgreSQL: after each answer it notes it, and what comes next follows from what is
noted (`saga_tables.following`). A new process goes on from there; the step at which the old one died is asked
for again, under the same id.
"""

from __future__ import annotations

import asyncio
import json

from ..arguments import number
from .nats_server import Nats
from .saga_tables import SERVICES, SagaTables, following
from .workers import Diary, Dies, Worker

POINTS = ["before command", "after command", "after note"]
RUNNING = "SELECT order_id, total FROM saga WHERE status = 'running' ORDER BY order_id"
LOG = "SELECT action, answer FROM saga_log WHERE order_id = %s ORDER BY id"
NOTE = "INSERT INTO saga_log (order_id, action, answer) VALUES (%s, %s, %s)"
END = "UPDATE saga SET status = %s WHERE order_id = %s"


def start(
    shop: SagaTables, broker: Nats, *, patience: float = 0.5, dies: Dies = None, name: str = "orchestrator"
) -> Worker:
    """Start the orchestrator; it asks again when a service has not answered for `patience` seconds.

    `dies`, such as ("after command", 2), is one of "before command", "after command" (it has the answer, and
    has not noted it) and "after note".
    """
    settings = {"database": shop.database.url, "nats": broker.url}
    more = {"patience": number("patience", patience, above=0)}
    worker = Worker("saga_orchestrator", name, settings | more, dies, POINTS)
    worker.start()
    return worker


async def main() -> None:
    """Be the orchestrator."""
    import nats
    import psycopg

    diary = Diary()
    told = diary.settings
    sql = psycopg.connect(told["database"], autocommit=True)
    line = await nats.connect(told["nats"])
    sql.execute("LISTEN saga")
    service_of = {action: service for service, actions in SERVICES.items() for action in actions}

    async def ask(order: str, total: int, action: str) -> str:
        command = {"id": f"{order} {action}", "order": order, "total": total, "action": action}
        while True:
            try:
                where = f"commands.{service_of[action]}"
                answer = await line.request(where, json.dumps(command).encode(), timeout=told["patience"])
                return str(answer.data.decode())
            except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
                diary.write("asks again", order, action=action)
                await asyncio.sleep(0.05)

    async def carry_out(order: str, total: int) -> None:
        action, undoing = following(sql.execute(LOG, (order,)).fetchall())
        while action:
            diary.point("before command")
            answer = await ask(order, total, action)
            diary.point("after command")
            sql.execute(NOTE, (order, action, answer))
            diary.write(action, order, answer=answer)
            diary.point("after note")
            action, undoing = following(sql.execute(LOG, (order,)).fetchall())
        sql.execute(END, ("compensated" if undoing else "done", order))
        diary.write("done", order)

    diary.write("ready")
    while True:
        for order, total in sql.execute(RUNNING).fetchall():
            await carry_out(order, total)
        for _ in sql.notifies(timeout=0.5, stop_after=1):
            pass


if __name__ == "__main__":
    asyncio.run(main())

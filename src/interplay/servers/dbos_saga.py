"""The same saga as a DBOS workflow: the library keeps the log, and goes on from it after a crash.

A workflow is a plain function; each of its steps is noted in PostgreSQL when it has ended, and not run again.
A step that was running when the process died is run again, so it has to be idempotent all the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..arguments import number
from . import process
from .saga_tables import DBOS_SCHEMA, STEPS, SagaTables, perform
from .workers import Diary, Dies, Worker

POINTS = ["before step", "in step", "after step"]


def missing() -> str:
    """ "" when DBOS can be used here; else one sentence that says why not."""
    return process.missing("dbos")


def start(
    shop: SagaTables,
    *,
    refuses: Sequence[str] = (),
    seconds: float = 0.0,
    dies: Dies = None,
    name: str = "DBOS",
) -> Worker:
    """Start a process that runs a workflow for each order of the saga table; it ends when all have ended.

    Shipping refuses the orders in `refuses`; a step takes `seconds`. `dies`, such as ("in step", 2), is one
    of "before step", "in step" (its effect is there, and not noted) and "after step".
    """
    settings = {"database": shop.database.url, "refuses": list(refuses)}
    more = {"seconds": number("seconds", seconds, least=0)}
    worker = Worker("dbos_saga", name, settings | more, dies, POINTS)
    worker.timeout = 40.0  # it makes tables of its own, once
    worker.start()
    return worker


def main() -> None:
    """Be the process."""
    import psycopg
    from dbos import DBOS, DBOSConfig, SetWorkflowID

    diary = Diary()
    told = diary.settings
    sql = psycopg.connect(told["database"], autocommit=True)

    def effect(order: str, total: int, action: str) -> str:
        diary.write("got", order, action=action)
        time.sleep(told["seconds"])
        with sql.transaction():
            key = f"{order} {action}"
            known = sql.execute("SELECT answer FROM commands WHERE id = %s", (key,)).fetchone()
            refused = action == "ship" and order in told["refuses"]
            answer = known[0] if known else "refused" if refused else perform(sql, action, order, total)
            sql.execute("INSERT INTO commands VALUES (%s, %s) ON CONFLICT DO NOTHING", (key, answer))
        diary.write(action, order, answer=answer, repeated=known is not None)
        diary.point("in step")
        return answer

    step = DBOS.step()(effect)

    @DBOS.workflow()
    def saga(order: str, total: int) -> str:
        done: list[str] = []
        for action, back in STEPS:
            diary.point("before step")
            if step(order, total, action) == "refused":
                for undo in reversed(done):
                    step(order, total, undo)
                return "compensated"
            diary.point("after step")
            done += [back] if back else []
        return "done"

    config: DBOSConfig = {"name": "shop", "system_database_url": told["database"], "log_level": "ERROR"}
    DBOS(config=config | {"dbos_system_schema": DBOS_SCHEMA, "application_version": "1"})
    DBOS.launch()  # and goes on with the workflows that had not ended
    diary.write("ready")
    for order, total in sql.execute("SELECT order_id, total FROM saga ORDER BY order_id").fetchall():
        with SetWorkflowID(order):
            status = saga(order, total)
        sql.execute("UPDATE saga SET status = %s WHERE order_id = %s", (status, order))
        diary.write("done", order)
    DBOS.destroy()


if __name__ == "__main__":
    main()

"""Inventory, payments and shipping, which do a saga's commands: one process, asked over NATS.

Each writes its effect and the command's id in one transaction. A command that comes again, because its
answer was lost or the orchestrator was, gets the old answer and is not done twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import number, one_of
from .nats_server import Nats
from .saga_tables import SERVICES, SagaTables, perform
from .workers import Diary, Dies, Worker

POINTS = ["before work", "after work"]


def start(
    shop: SagaTables,
    broker: Nats,
    *,
    declines: Mapping[str, Sequence[str]] | None = None,
    idempotent: bool = True,
    seconds: float = 0.0,
    dies: Dies = None,
    name: str = "services",
) -> Worker:
    """Start the services; each command takes `seconds`.

    `declines`, such as {"shipping": ["order-1"]}: that service says no to these orders. Without `idempotent`
    a command that comes again is done again. `dies` is "before work" or "after work" (done and not answered)
    of the n-th command.
    """
    told = {
        one_of("declines", service, SERVICES): list(orders) for service, orders in (declines or {}).items()
    }
    settings: dict[str, Any] = {"database": shop.database.url, "nats": broker.url, "declines": told}
    settings |= {"idempotent": idempotent, "seconds": number("seconds", seconds, least=0)}
    worker = Worker("saga_services", name, settings, dies, POINTS)
    worker.start()
    return worker


async def main() -> None:
    """Be the services."""
    import nats
    import psycopg

    diary = Diary()
    told = diary.settings
    sql = psycopg.connect(told["database"], autocommit=True)
    line = await nats.connect(told["nats"])

    def work(service: str, command: dict[str, Any]) -> tuple[str, bool]:
        with sql.transaction():
            known = sql.execute("SELECT answer FROM commands WHERE id = %s", (command["id"],)).fetchone()
            if known and told["idempotent"]:
                return known[0], True
            order = command["order"]
            declined = order in told["declines"].get(service, [])
            answer = "refused" if declined else perform(sql, command["action"], order, command["total"])
            note = "INSERT INTO commands VALUES (%s, %s) ON CONFLICT DO NOTHING"
            sql.execute(note, (command["id"], answer))
            return answer, known is not None

    async def handle(message: Any) -> None:
        command = json.loads(message.data)
        diary.point("before work")
        await asyncio.sleep(told["seconds"])
        answer, repeated = work(message.subject.split(".")[1], command)
        diary.write(command["action"], command["order"], answer=answer, repeated=repeated)
        diary.point("after work")
        await message.respond(answer.encode())

    for service in SERVICES:
        await line.subscribe(f"commands.{service}", queue=service, cb=handle)
    await line.flush()
    diary.write("ready")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

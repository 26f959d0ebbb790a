"""The command `course shop`: the capstone's shop as processes, beside its simulation."""

import time
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from coursework.layout import Course, NotFound
from coursework.own_design import own_design
from interplay.capstone import Design, designs, schedules
from interplay.capstone.schedules import CROWD
from interplay.servers import ServerError, real_shop

KILLED = (4.0, 6.0)  # s: from when to when


def go_shopping(
    course: Course,
    console: Console,
    name: str,
    number: int | None,
    kill: list[str],
    stay: bool,
    seconds: float,
) -> None:
    """Start the shop, let customers come, print what became of it, and stop it."""
    if sentence := real_shop.missing():
        raise NotFound(sentence.replace("This section is skipped, because", "The shop cannot run here:"))
    design, said = _design(course, name)
    for words in said:
        console.print(words, markup=False)
    schedule = _schedule(number, kill, seconds)
    try:
        with console.status("Envoy, NATS, PostgreSQL and the shop's own processes start …"):
            shop = real_shop.start(design, quiet=True)
        with shop:
            started = f"{len(shop.servers)} processes in {shop.seconds_to_start:.1f} s, at {shop.url}"
            console.print(started, markup=False, soft_wrap=True)
            if stay:
                _stay(console, shop)
            else:
                with console.status(f"Customers come for {seconds:g} s …"):
                    beside = shop.beside(schedule)
                console.print(str(beside), markup=False, highlight=False, soft_wrap=True)
                if shop.restarts:
                    console.print(
                        f"Ended by itself, and started again: {', '.join(shop.restarts)}.", markup=False
                    )
    except ServerError as error:
        raise NotFound(str(error)) from None
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing of the shop is left.")
        raise typer.Exit(130) from None


def _design(course: Course, name: str) -> tuple[Design, list[str]]:
    if not name:
        return own_design(course)
    known = designs()
    if name not in known:
        raise NotFound(f"There is no design {name!r}. There are: {', '.join(known)}.")
    return known[name], [f"The design {name!r}."]


def _schedule(number: int | None, kill: list[str], seconds: float) -> dict[str, Any]:
    schedule = dict(real_shop.NOTHING if number is None else schedules(number + 1)[number])
    for name in kill:
        if name not in real_shop.STEPS:
            raise NotFound(f"There is no process {name!r} to kill. There are: {', '.join(real_shop.STEPS)}.")
    crashes = [{"kind": "crash", "service": name, "start": KILLED[0], "end": KILLED[1]} for name in kill]
    crowd = {**CROWD, **schedule.get("crowd", {}), "busy": seconds, "until": seconds + 30.0}
    return {**schedule, "faults": [*schedule["faults"], *crashes], "crowd": crowd}


def _stay(console: Console, shop: Any) -> None:
    """Let it run until Ctrl-C: what is killed from outside is started again."""
    table = Table("process", "id")
    for name, server in shop.servers.items():
        table.add_row(name, "" if getattr(server, "given", False) else str(server.pid))
    console.print(table)
    console.print(
        f"Order with a browser: {shop.url}/orders/1. kill -9 and an id: it is started again. "
        "Ctrl-C ends all of it.",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    seen = 0
    while True:
        time.sleep(0.2)
        shop.tend(most=1000)
        for name in shop.restarts[seen:]:
            ids = f"process {shop.servers[name].pid}" if shop.servers[name].alive else "not yet"
            console.print(f"{name} ended, and is there again: {ids}", markup=False)
        seen = len(shop.restarts)

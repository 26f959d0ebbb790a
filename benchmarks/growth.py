"""Whether a long run costs more per request or message than a short one; and what a trace takes.

Each size runs in a process of its own, so that its memory is its own: one for the time, which has run for
a while before, and one for the memory, which has not. On Linux and macOS.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import models
import sagas
from sidebyside import arguments, cpu, report, table

from interplay import Constant, Exponential, Orchestrator, Simulation, participant
from interplay.actions import Answer, Event, ack, commit_offset, step
from interplay.participants import WORK

SIZES = (10_000, 100_000, 1_000_000)
NET, RATE, PAUSE = 0.002, 60.0, 100.0
PER_ITEM = {"queue": 3, "log": 3, "saga": 9}  # messages


def kilobytes() -> int:
    """The most memory that this process has taken so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


def call(requests: int, record: str) -> Simulation:
    """A call with a deadline."""
    shop = Simulation(1, delay=Constant(models.NET), record=record)
    till = shop.service("till", workers=models.WORKERS, time=Exponential(1.0))
    shop.users(shop.client(till, deadline=models.DEADLINE), rate=models.RATE)
    shop.run(until=requests / models.RATE)
    return shop


def consume(state: Any, event: Event) -> Answer:
    """Says of each message, or batch of records, that it is done with."""
    if event["kind"] == "delivery":
        return step(state, ack(event))
    return step(state, commit_offset(event) if event["kind"] == "records" else None)


def posted(shop: Simulation, to: str, items: int) -> Simulation:
    """Users who send a message each and do not wait."""

    def journey(request: Any) -> Any:
        shop.post(request, to, {"kind": "order placed"})
        return
        yield

    shop.users(journey, rate=RATE, end=items / RATE)
    shop.run(until=items / RATE + PAUSE)
    return shop


def queue(items: int, record: str) -> Simulation:
    """Two consumers of a queue, at most ten messages each at once."""
    shop = Simulation(1, delay=Constant(NET), record=record)
    mail = shop.queue("mail", visibility=30.0)
    for n in range(2):
        mail.subscribe(shop.process(f"notifications {n}", consume, time=Exponential(0.02)), prefetch=10)
    return posted(shop, "mail", items)


def log(items: int, record: str) -> Simulation:
    """A group of two that reads a log of four partitions, record by record. It is kept for a minute."""
    shop = Simulation(1, delay=Constant(NET), record=record)
    facts = shop.log("facts", partitions=4, retention=60.0)
    for n in range(2):
        facts.subscribe(shop.process(f"analytics {n}", consume, time=Exponential(0.01)), group="analytics")
    return posted(shop, "facts", items)


def saga(items: int, record: str) -> Simulation:
    """The saga of sagas.py."""
    shop = Simulation(1, delay=Constant(NET), record=record)
    shop.process("orders", Orchestrator(patience=5.0), workers=4, time=Constant(sagas.LOG_TIME))
    for name, work in WORK.items():
        time = Exponential(sagas.WORK_TIME)
        own = {"stock": {"book": items}} if name == "inventory" else sagas.stored(name)
        if name == "payments":
            own = {"accounts": dict.fromkeys(own["accounts"], 10 * items)}
        shop.process(name, participant(work), stored=own, workers=2, time=time)

    def buy(request: Any) -> Any:
        place = {"kind": "place", "order": sagas.order(request.number), "request": request.number}
        return (yield from shop.ask(request, "orders", place))

    shop.users(buy, rate=RATE, end=items / RATE)
    shop.run(until=items / RATE + PAUSE)
    return shop


MODELS: dict[str, Callable[[int, str], Simulation]] = {"queue": queue, "log": log, "saga": saga}


def alone(model: str, items: int, record: str, before: int) -> list[float]:
    """Seconds and kilobytes of one run, and of its spans, in a new process that ran `before` items."""
    command = [sys.executable, __file__, "--alone", model, str(items), record, str(before)]
    return list(
        map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    )


def messages(rounds: int) -> str:
    """Queue, log and saga: CPU and memory per message."""
    rows = []
    for model, each in PER_ITEM.items():
        for record in ("spans", "everything"):
            fewer, less = 0, 0.0
            for n in SIZES:
                items = n // each
                seconds, memory, _ = map(
                    median, zip(*(alone(model, items, record, 1000) for _ in range(rounds)), strict=True)
                )
                further = f"{(memory - less) / (n - fewer) * 1024:.0f} B"
                each_one = f"{1e6 * seconds / n:.2f} µs"
                rows.append((f"{model}, {n:,}", record, each_one, further, f"{memory / 1024:.0f} MB"))
                fewer, less = n, memory
    head = ("messages", "recorded", "CPU per message", "memory for each further message", "in all")
    words = (
        "A message of the queue or the log is three: sent, delivered, acknowledged. A saga's are nine for "
        "an order that goes through; its memory is in its databases, too, which keep every order. The log "
        f"keeps a minute. Median of {rounds} runs."
    )
    return f"{table(head, rows)}\n\n{words}"


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        run = MODELS.get(sys.argv[2], call)
        run(int(sys.argv[5]), "everything")
        before = kilobytes()
        seconds, shop = cpu(lambda n: run(n, sys.argv[4]), int(sys.argv[3]))
        after = kilobytes()
        print(seconds, after - before, shop.trace.spans.array().nbytes / 1024)
        return
    rounds = arguments(rounds=3).rounds
    rows = []
    measured = {(n, how): [] for how in ("spans", "everything") for n in SIZES}
    for _ in range(rounds):
        for (n, how), values in measured.items():
            values.append((alone("call", n, how, 50_000)[0], *alone("call", n, how, 1000)[1:]))
    last = {"spans": (0, 0.0), "everything": (0, 0.0)}
    for (n, how), values in measured.items():
        seconds, memory, spans = map(median, zip(*values, strict=True))
        fewer, less = last[how]
        last[how] = n, memory
        rows.append(
            (
                f"{n:,}",
                how,
                f"{1e6 * seconds / n:.2f} µs",
                f"{(memory - less) / (n - fewer) * 1024:.0f} B",
                f"{memory / 1024:.0f} MB",
                f"{spans / 1024:.0f} MB",
            )
        )
    head = (
        "requests",
        "recorded",
        "CPU per request",
        "memory for each further request",
        "in all",
        "spans alone",
    )
    report(
        "growth",
        "Long runs",
        f"{table(head, rows)}\n\nMedian of {rounds} runs of a call with a deadline.\n\n{messages(rounds)}",
        "simpy",
    )


if __name__ == "__main__":
    main()

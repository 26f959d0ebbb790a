"""Whether a long run costs more per request than a short one, in time and in memory; and what a trace takes.

Each size runs in a process of its own, so that its memory is its own: one for the time, which has run for
a while before, and one for the memory, which has not. On Linux and macOS.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

import models
from sidebyside import arguments, cpu, report, table

from interplay import Constant, Exponential, Simulation

SIZES = (10_000, 100_000, 1_000_000)


def kilobytes() -> int:
    """The most memory that this process has taken so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


def run(requests: int, record: str) -> Simulation:
    shop = Simulation(1, delay=Constant(models.NET), record=record)
    till = shop.service("till", workers=models.WORKERS, time=Exponential(1.0))
    shop.users(shop.client(till, deadline=models.DEADLINE), rate=models.RATE)
    shop.run(until=requests / models.RATE)
    return shop


def alone(requests: int, record: str, before: int) -> list[float]:
    """Seconds and kilobytes of one run, and of its spans, in a new process that ran `before` requests."""
    command = [sys.executable, __file__, "--alone", str(requests), record, str(before)]
    return list(
        map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    )


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        run(int(sys.argv[4]), "everything")
        before = kilobytes()
        seconds, shop = cpu(lambda n: run(n, sys.argv[3]), int(sys.argv[2]))
        after = kilobytes()
        print(seconds, after - before, shop.trace.spans.array().nbytes / 1024)
        return
    rounds = arguments(rounds=3).rounds
    rows = []
    measured = {(n, how): [] for how in ("spans", "everything") for n in SIZES}
    for _ in range(rounds):
        for (n, how), values in measured.items():
            values.append((alone(n, how, 50_000)[0], *alone(n, how, 1000)[1:]))
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
        f"{table(head, rows)}\n\nMedian of {rounds} runs of a call with a deadline.",
        "simpy",
    )


if __name__ == "__main__":
    main()

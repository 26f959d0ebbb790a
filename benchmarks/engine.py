"""The engine against idiomatic SimPy: one service, one call with a deadline, a chain with retries.

Both come to the same, to the last digit, or this ends with an error.
"""

from __future__ import annotations

import models
import simpy_twins
from sidebyside import arguments, equal, race, report, table

SIZE = 10_000
MODELS = {
    "M/M/1": {
        "SimPy": lambda n: simpy_twins.queue(n, 1, SIZE),
        "spans": lambda n: models.queue(n, 1, SIZE),
        "everything": lambda n: models.queue(n, 1, SIZE, "everything"),
    },
    "M/M/4": {
        "SimPy": lambda n: simpy_twins.queue(n, 4, SIZE),
        "spans": lambda n: models.queue(n, 4, SIZE),
        "everything": lambda n: models.queue(n, 4, SIZE, "everything"),
    },
    "a call with a deadline": {
        "SimPy": lambda n: simpy_twins.rpc(n, SIZE),
        "spans": lambda n: models.rpc(n, SIZE),
        "everything": lambda n: models.rpc(n, SIZE, "everything"),
    },
    "the same in a journey": {
        "SimPy": lambda n: simpy_twins.rpc(n, SIZE),
        "spans": lambda n: models.rpc(n, SIZE, journey=True),
        "everything": lambda n: models.rpc(n, SIZE, "everything", journey=True),
    },
    "three services, deadlines, retries": {
        "SimPy": lambda n: simpy_twins.chain(n, SIZE // 3),
        "spans": lambda n: models.chain(n, SIZE // 3),
        "everything": lambda n: models.chain(n, SIZE // 3, "everything"),
    },
}


def main() -> None:
    rounds = arguments().rounds
    rows = []
    for name, programs in MODELS.items():
        ratios, results = race(programs, rounds)
        equal(results)
        rows.append((name, ratios["spans"], ratios["everything"]))
    text = table(("model", "spans recorded", "everything recorded"), rows)
    note = (
        f"CPU time as a multiple of what processes, `Resource` and `|` take for the same model, median "
        f"(and middle half) of {rounds} rounds. SimPy's side records nothing; the results are equal to the "
        f"last digit."
    )
    report("engine", "Against idiomatic SimPy", f"{text}\n\n{note}", "simpy")


if __name__ == "__main__":
    main()

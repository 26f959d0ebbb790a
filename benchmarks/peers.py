"""M/M/1 and M/M/4 in other simulators of queues, each in a process of its own, in turns.

    uv run --python 3.13 --extra bench benchmarks/peers.py

happysim asks for Python 3.13. Where one of them is not installed nothing is measured, and the results stay.
"""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from statistics import mean
from typing import Any

import models
from sidebyside import arguments, cpu, race, report, table

LOAD, SIZE = 0.8, 100_000


def interplay(seed: int, workers: int) -> float:
    count, waits = models.queue(seed, workers, SIZE)
    return waits / count


def ciw(seed: int, workers: int) -> float:
    import ciw

    ciw.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(LOAD * workers)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[workers],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(SIZE, method="Finish")
    return mean(record.waiting_time for record in simulation.get_all_records())


def happysim(seed: int, workers: int) -> float:
    import happysimulator as hs
    import numpy as np
    from happysimulator.distributions import ExponentialLatency

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - it draws from there
    end = SIZE / (LOAD * workers)
    sink = hs.Sink()
    till = hs.Server("till", concurrency=workers, service_time=ExponentialLatency(1.0), downstream=sink)
    source = hs.Source.poisson(rate=LOAD * workers, target=till, stop_after=end)
    hs.Simulation(sources=[source], entities=[till, sink], end_time=hs.Instant.from_seconds(end)).run()
    return sink.latency_stats()["avg"] - 1.0


def salabim(seed: int, workers: int) -> float:
    import salabim as sim

    sim.yieldless(False)  # the quicker of its two styles
    rng = random.Random(seed)
    env = sim.Environment(trace=False, random_seed=seed, yieldless=False)
    waits: list[float] = []

    class Customer(sim.Component):
        def process(self) -> Any:
            came = env.now()
            yield self.request(till)
            waits.append(env.now() - came)
            yield self.hold(rng.expovariate(1.0))

    class Source(sim.Component):
        def process(self) -> Any:
            for _ in range(SIZE):
                yield self.hold(rng.expovariate(LOAD * workers))
                Customer()

    till = sim.Resource("till", capacity=workers)
    Source()
    env.run()
    return mean(waits)


PEERS: dict[str, tuple[str, Callable[[int, int], float]]] = {  # name: module, model
    "interplay": ("interplay", interplay),
    "Ciw": ("ciw", ciw),
    "happysim": ("happysimulator", happysim),
    "salabim": ("salabim", salabim),
}


def alone(name: str, seed: int, workers: int) -> tuple[float, float]:
    """CPU seconds and mean wait of one model in a new process; starting up is not counted."""
    command = [sys.executable, __file__, "--alone", name, str(seed), str(workers)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, wait = map(float, output.split()[-2:])
    return seconds, wait


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        warnings.simplefilter("ignore")
        _, _, name, seed, workers = sys.argv
        module, model = PEERS[name]
        __import__(module)
        print(*cpu(lambda seed: model(seed, int(workers)), int(seed)))
        return
    rounds = arguments(rounds=5).rounds
    missing = [name for name, (module, _) in PEERS.items() if not find_spec(module)]
    if missing:
        print(f"Not installed here: {', '.join(missing)}. results/peers.md stays as it is. To measure anew:")
        print("    uv run --python 3.13 --extra bench benchmarks/peers.py")
        return
    here = list(PEERS)
    rows: dict[str, list[str]] = {name: [name] for name in here}
    for workers in (1, 4):
        ratios, waits = race(
            {name: lambda n, name=name, workers=workers: alone(name, n, workers) for name in here},
            rounds,
            measure=lambda program, n: program(n),
        )
        for name in here:
            rows[name] += [str(ratios[name]), f"{mean(waits[name]):.2f}"]
    text = table(
        ("", "M/M/1", "mean wait (theory 4)", "M/M/4", "(theory .75)"), list(map(tuple, rows.values()))
    )
    note = (
        f"CPU time as a multiple of interplay's with spans recorded, {SIZE} customers at a load of 0.8, "
        f"median (and middle half) of {rounds} rounds. Mean waits scatter: they show that all simulate the "
        f"same queue."
    )
    packages = [{"Ciw": "ciw"}.get(name, name) for name in here if name != "interplay"]
    report("peers", "Against other simulators", f"{text}\n\n{note}", *packages)


if __name__ == "__main__":
    main()

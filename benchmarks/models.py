"""The models of simpy_twins.py, as written with the library."""

from __future__ import annotations

import math

from simpy_twins import ATTEMPTS, BACKOFF, CHAIN, CHAIN_RATE, DEADLINE, NET, RATE, WORKERS

from interplay import Constant, Exponential, Retry, Run, Simulation


def queue(seed: int, workers: int, customers: int, record: str = "spans") -> tuple[int, float]:
    shop = Simulation(seed, delay=Constant(0), record=record)
    shop.users(shop.service("till", workers=workers, time=Exponential(1.0)), rate=0.8 * workers)
    run = shop.run(until=customers / (0.8 * workers))
    waits = [span[5] - span[4] for span in run.trace.spans if not math.isnan(span[5])]
    return len(waits), round(sum(waits), 6)


def took(run: Run) -> float:
    return round(sum(row[2] - row[1] for row in run.trace.requests if row[3] == 0), 6)


def rpc(seed: int, requests: int, record: str = "spans", journey: bool = False) -> tuple[int, int, float]:
    shop = Simulation(seed, delay=Constant(NET), record=record)
    till = shop.service("till", workers=WORKERS, time=Exponential(1.0))
    client = shop.client(till, deadline=DEADLINE)

    def buy(request):
        reply = yield from client.call(request)
        return reply

    shop.users(buy if journey else client, rate=RATE)
    run = shop.run(until=requests / RATE)
    return run.ok, run.failed, took(run)


def chain(seed: int, requests: int, record: str = "spans") -> tuple[int, int, int, float]:
    shop = Simulation(seed, delay=Constant(NET), record=record)
    for name, (workers, mean, _) in CHAIN.items():
        shop.service(name, workers=workers, time=Exponential(mean))
    clients = [
        shop.client(name, caller=caller, deadline=CHAIN[name][2], retry=Retry(ATTEMPTS, BACKOFF))
        for caller, name in zip([None, *CHAIN], CHAIN, strict=False)
    ]
    for service, client in zip(shop.services.values(), clients[1:], strict=False):
        service.calls = client.call
    shop.users(clients[0], rate=CHAIN_RATE)
    run = shop.run(until=requests / CHAIN_RATE)
    return run.ok, run.failed, len(run.trace.spans), took(run)

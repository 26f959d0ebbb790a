"""The same models as a practised SimPy user writes them: processes, Resource, `|` for a deadline.

They draw from the same random streams as the library's, so both must come to the same, to the last digit.
"""

from __future__ import annotations

from typing import Any

import simpy

from interplay import Exponential, FullJitter, Streams

NET, DEADLINE, WORKERS, RATE = 0.05, 6.0, 4, 3.2
CHAIN = {  # each service: workers, mean time (s), the deadline of who calls it (s)
    "front": (8, 0.3, 20.0),
    "middle": (6, 0.5, 8.0),
    "back": (4, 1.0, 4.0),
}
CHAIN_RATE, ATTEMPTS, BACKOFF = 2.6, 3, FullJitter(0.5, 4.0)


def queue(seed: int, workers: int, customers: int) -> tuple[int, float]:
    """M/M/c at a load of 0.8: how many were served or are, and the sum of their waits."""
    env, streams = simpy.Environment(), Streams(seed)
    gap = streams.draws("arrivals 1", Exponential(1 / (0.8 * workers)))
    work = streams.draws("till service time", Exponential(1.0))
    till = simpy.Resource(env, workers)
    waits = []

    def customer() -> Any:
        came = env.now
        with till.request() as place:
            yield place
            waits.append(env.now - came)
            yield env.timeout(work())

    def source() -> Any:
        while True:
            yield env.timeout(gap())
            env.process(customer())

    env.process(source())
    env.run(until=customers / (0.8 * workers))
    return len(waits), round(sum(waits), 6)


def rpc(seed: int, requests: int) -> tuple[int, int, float]:
    """A call over a network with a deadline: how many in time, how many late, and the sum of the former."""
    env, streams = simpy.Environment(), Streams(seed)
    gap = streams.draws("arrivals 1", Exponential(1 / RATE))
    work = streams.draws("till service time", Exponential(1.0))
    till = simpy.Resource(env, WORKERS)
    took, late = [], 0

    def serve() -> Any:
        yield env.timeout(NET)
        with till.request() as place:
            yield place
            yield env.timeout(work())
        yield env.timeout(NET)

    def user() -> Any:
        nonlocal late
        began = env.now
        reply, deadline = env.process(serve()), env.timeout(DEADLINE)
        came = yield reply | deadline
        if reply in came:
            took.append(env.now - began)
        else:
            late += 1

    def source() -> Any:
        while True:
            yield env.timeout(gap())
            env.process(user())

    env.process(source())
    env.run(until=requests / RATE)
    return len(took), late, round(sum(took), 6)


def chain(seed: int, requests: int) -> tuple[int, int, int, float]:
    """Three services, each calling the next, with retries: ok, failed, arrivals, sum of times."""
    env, streams, names = simpy.Environment(), Streams(seed), list(CHAIN)
    gap = streams.draws("arrivals 1", Exponential(1 / CHAIN_RATE))
    work = {n: streams.draws(f"{n} service time", Exponential(CHAIN[n][1])) for n in names}
    luck = {
        n: streams.generator(f"{caller} to {n} backoff").random
        for caller, n in zip(["web", *names], names, strict=False)
    }
    places = {n: simpy.Resource(env, CHAIN[n][0]) for n in names}
    took, failed, attempts = [], 0, 0

    def serve(name: str) -> Any:
        nonlocal attempts
        yield env.timeout(NET)
        attempts += 1
        with places[name].request() as place:
            yield place
            yield env.timeout(work[name]())
            ok = True
            if name != names[-1]:
                ok = yield env.process(call(names[names.index(name) + 1]))
        yield env.timeout(NET)
        return ok

    def call(name: str) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            reply, deadline = env.process(serve(name)), env.timeout(CHAIN[name][2])
            came = yield reply | deadline
            if reply in came and reply.value:
                return True
            if attempt < ATTEMPTS:
                yield env.timeout(BACKOFF.delay(attempt, env.now, luck[name]()))
        return False

    def user() -> Any:
        nonlocal failed
        began = env.now
        if (yield env.process(call(names[0]))):
            took.append(env.now - began)
        else:
            failed += 1

    def source() -> Any:
        while True:
            yield env.timeout(gap())
            env.process(user())

    env.process(source())
    env.run(until=requests / CHAIN_RATE)
    return len(took), failed, attempts, round(sum(took), 6)

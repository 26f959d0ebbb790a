"""A queue and a log beside the same in hand-written SimPy: publishers, consumers, acknowledgements, leases.

Both draw from the same random streams and come to the same, to the last digit, or this ends with an error.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from typing import Any

import simpy
from sidebyside import arguments, equal, race, report, table

from interplay import Constant, Exponential, Simulation, Streams
from interplay.actions import Answer, ack, commit_offset, step

SIZE, NET, RATE = 10_000, 0.05, 20.0
LEASE, PREFETCH, WORKERS, POLL_WITHIN = 30.0, 30, 30, 30.0
PARTITIONS, MEMBERS, KEYS, START = 12, 6, 100, 10.0  # the group has its partitions by then
SHARE = PARTITIONS // MEMBERS
Result = tuple[int, int, float]  # messages sent, handled, and the sum of their times from one to the other


def arrivals(
    env: simpy.Environment, seed: int, until: float, publish: Callable[[int], None], start: float = 0.0
) -> None:
    """Messages at random times, as Simulation.users has them."""
    gap = Streams(seed).draws("arrivals 1", Exponential(1 / RATE))

    def source() -> Any:
        n = 0
        yield env.timeout(start)
        while True:
            yield env.timeout(gap())
            publish(n)
            n += 1

    env.process(source())
    env.run(until=until)


# The queue: consumers that compete, a lease on each delivery, an acknowledgement after the work.


def queue_by_hand(seed: int, messages: int) -> Result:
    env = simpy.Environment()
    work = Streams(seed).draws("notifications service time", Exponential(1.0))
    queue, workers = simpy.Store(env), simpy.Resource(env, WORKERS)
    room = simpy.Container(env, PREFETCH, PREFETCH)
    sent, took = 0, []

    def post(began: float) -> Any:
        yield env.timeout(NET)
        yield queue.put(began)

    def deliver() -> Any:
        while True:
            yield room.get(1)
            began = yield queue.get()
            env.process(lease(began))

    def lease(began: float) -> Any:
        acked = env.process(consume(began))
        came = yield acked | env.timeout(LEASE)
        if acked not in came:
            yield queue.put(began)  # somebody else has to do it again
            yield acked
        yield room.put(1)

    def consume(began: float) -> Any:
        yield env.timeout(NET)
        with workers.request() as worker:
            yield worker
            yield env.timeout(work())
        took.append(env.now - began)
        yield env.timeout(NET)

    def publish(_: int) -> None:
        nonlocal sent
        sent += 1
        env.process(post(env.now))

    env.process(deliver())
    arrivals(env, seed, messages / RATE, publish)
    return sent, len(took), round(sum(took), 6)


def queue_by_library(seed: int, messages: int, record: str = "spans") -> Result:
    shop, took = Simulation(seed, delay=Constant(NET), record=record), []

    def consume(state: Any, event: Any) -> Answer:
        if event["kind"] != "delivery":
            return step(state)
        took.append(event["now"] - event["body"]["began"])
        return step(state, ack(event))

    mail = shop.queue("mail", visibility=LEASE)
    consumer = shop.process("notifications", consume, workers=WORKERS, time=Exponential(1.0))
    mail.subscribe(consumer, prefetch=PREFETCH)

    def journey(request: Any) -> Any:
        shop.post(request, mail, {"kind": "mail", "began": shop.env.now})
        yield from ()

    shop.users(journey, rate=RATE)
    run = shop.run(until=messages / RATE)
    return run.requests, len(took), round(sum(took), 6)


# The log: partitions by key, a group of members, an offset committed after each record.


def log_by_hand(seed: int, messages: int) -> Result:
    env, streams = simpy.Environment(), Streams(seed)
    log: list[list[float]] = [[] for _ in range(PARTITIONS)]
    committed, generation = [0] * PARTITIONS, [1] * PARTITIONS
    work = [streams.draws(f"reader {m} service time", Exponential(0.05)) for m in range(MEMBERS)]
    idle: dict[int, simpy.Event] = {}  # by member
    sent, took = 0, []

    def append(partition: int, began: float) -> Any:
        yield env.timeout(NET)
        log[partition].append(began)
        wakes = idle.pop(partition // SHARE, None)
        if wakes is not None:
            wakes.succeed()

    def serve(m: int) -> Any:
        """The broker's side: one record after the other, and a member that takes too long is out."""
        own, turn = range(m * SHARE, (m + 1) * SHARE), 0
        positions = dict.fromkeys(own, 0)
        while True:
            for i in range(turn, turn + SHARE):
                partition = own[i % SHARE]
                if positions[partition] < len(log[partition]):
                    turn = (i + 1) % SHARE
                    break
            else:
                idle[m] = env.event()
                yield idle[m]
                continue
            began = log[partition][positions[partition]]
            positions[partition] += 1
            handled = env.process(handle(m, partition, positions[partition], began, generation[partition]))
            came = yield handled | env.timeout(POLL_WITHIN)
            if handled not in came:
                generation[partition] += 1  # its commits are refused from now on
                return

    def handle(m: int, partition: int, following: int, began: float, told: int) -> Any:
        yield env.timeout(NET)
        yield env.timeout(work[m]())
        took.append(env.now - began)
        env.process(commit(partition, following, told))
        yield env.timeout(NET)  # it polls again

    def commit(partition: int, following: int, told: int) -> Any:
        yield env.timeout(NET)
        if told == generation[partition]:
            committed[partition] = following

    def publish(n: int) -> None:
        nonlocal sent
        sent += 1
        key = f"customer {n % KEYS}"
        env.process(append(zlib.crc32(key.encode()) % PARTITIONS, env.now))

    for m in range(MEMBERS):
        env.process(serve(m))
    arrivals(env, seed, START + messages / RATE, publish, START)
    return sent, sum(committed), round(sum(took), 6)


def log_by_library(seed: int, messages: int, record: str = "spans") -> Result:
    shop, took = Simulation(seed, delay=Constant(NET), record=record), []

    def read(state: Any, event: Any) -> Answer:
        if event["kind"] != "records":
            return step(state)
        took.append(event["now"] - event["records"][0]["body"]["began"])
        return step(state, commit_offset(event))

    orders = shop.log("orders", partitions=PARTITIONS)
    orders.group("billing", poll_within=POLL_WITHIN)
    for m in range(MEMBERS):
        orders.subscribe(shop.process(f"reader {m}", read, time=Exponential(0.05)), group="billing")
    numbers = itertools.count()

    def journey(request: Any) -> Any:
        key = f"customer {next(numbers) % KEYS}"
        shop.post(request, orders, {"kind": "order", "began": shop.env.now}, key=key)
        yield from ()

    shop.users(journey, rate=RATE, start=START)
    run = shop.run(until=START + messages / RATE)
    return run.requests, sum(orders.groups["billing"].committed.values()), round(sum(took), 6)


MODELS = {
    "a queue": {
        "SimPy": lambda n: queue_by_hand(n, SIZE),
        "spans": lambda n: queue_by_library(n, SIZE),
        "everything": lambda n: queue_by_library(n, SIZE, "everything"),
    },
    "a log with a group of six": {
        "SimPy": lambda n: log_by_hand(n, SIZE),
        "spans": lambda n: log_by_library(n, SIZE),
        "everything": lambda n: log_by_library(n, SIZE, "everything"),
    },
}


def main() -> None:
    rounds = arguments().rounds
    rows = []
    for name, programs in MODELS.items():
        ratios, results = race(programs, rounds)
        equal(results)
        seconds = ratios["spans"].seconds
        rows.append((name, ratios["spans"], ratios["everything"], f"{SIZE / seconds:,.0f}"))
    head = ("model", "spans recorded", "everything recorded", "messages per CPU second, spans")
    note = (
        f"CPU time as a multiple of what processes, `Store`, `Resource` and `|` take for the same model, "
        f"median (and middle half) of {rounds} rounds of {SIZE:,} messages. Each message is sent, handed to "
        f"a consumer, worked on, and acknowledged, all over a network; a lease, or a time to poll within, "
        f"runs meanwhile. SimPy's side records nothing; the results are equal to the last digit."
    )
    report("messaging", "Queues and logs", f"{table(head, rows)}\n\n{note}", "simpy")


if __name__ == "__main__":
    main()

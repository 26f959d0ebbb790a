"""A saga with the library and hand-written in SimPy, and a whole shop with faults.

Both sagas come to the same, to the last digit, or this ends with an error. The whole shop is eight services,
300 orders and four faults: so much a schedule of the last lab takes.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import simpy
from sidebyside import arguments, equal, race, report, table

from interplay import Constant, Exponential, Simulation, Streams
from interplay.actions import Answer, Event, ack, commit, put, send, step
from interplay.participants import UNDOES, WORK, participant
from interplay.saga import BUY, Orchestrator, Task

WAITS = 100_000
NET, WORK_TIME, LOG_TIME, RATE, ORDERS = 0.002, 0.010, 0.001, 60.0, 2000
PEOPLE = 50


def order(number: int) -> dict[str, Any]:
    """Every tenth order cannot be shipped, and is undone."""
    address = None if number % 10 == 0 else "1 Long Lane"
    customer = f"customer {number % PEOPLE}"
    return {
        "number": number,
        "item": "book",
        "quantity": 1,
        "customer": customer,
        "price": 10,
        "address": address,
    }


def stored(name: str) -> dict[str, Any]:
    return {
        "inventory": {"stock": {"book": 10 * ORDERS}},
        "payments": {"accounts": {f"customer {n}": 10 * ORDERS for n in range(PEOPLE)}},
    }.get(name, {})


def ours(seed: int, record: str = "spans") -> tuple[int, int, float]:
    shop = Simulation(seed, delay=Constant(NET), record=record)
    shop.process("orders", Orchestrator(patience=5.0), workers=4, time=Constant(LOG_TIME))
    for name, work in WORK.items():
        shop.process(name, participant(work), stored=stored(name), workers=2, time=Exponential(WORK_TIME))

    def buy(request: Any) -> Any:
        place = {"kind": "place", "order": order(request.number), "request": request.number}
        return (yield from shop.ask(request, "orders", place))

    shop.users(buy, rate=RATE, end=ORDERS / RATE)
    run = shop.run(until=ORDERS / RATE + 100)
    return run.ok, run.failed, round(sum(r[2] - r[1] for r in run.trace.requests), 6)


def simpys(seed: int, patient: bool = True) -> tuple[int, int, float]:
    """As a practised SimPy user writes it: a process an order, a Resource a service, `|` for patience.

    It has what makes a saga safe: a log, commands that are sent again, participants that do each work once.
    """
    env, streams = simpy.Environment(), Streams(seed)
    gap = streams.draws("arrivals 1", Exponential(1 / RATE))
    desk = simpy.Resource(env, 4)
    places = {name: simpy.Resource(env, 2) for name in WORK}
    times = {name: streams.draws(f"{name} service time", Exponential(WORK_TIME)) for name in WORK}
    databases = {name: stored(name) for name in WORK}
    answers: dict[Any, bool] = {}
    logs: dict[int, list[tuple[str, bool]]] = {}
    took: list[float] = []
    counts = {True: 0, False: 0}

    def carry_out(name: str, command: str, what: dict[str, Any]) -> bool:
        key = command, what["number"]
        if key not in answers:
            undone = UNDOES.get(command)
            if undone and not answers.get((undone, what["number"])):
                answers[undone, what["number"]], answers[key] = False, True
            else:
                writes = WORK[name][command](databases[name], what)
                for row, column, value in writes or ():
                    if value is None:
                        databases[name][row].pop(column)
                    else:
                        databases[name].setdefault(row, {})[column] = value
                answers[key] = writes is not None
        return answers[key]

    def serve(name: str, command: str, what: dict[str, Any]) -> Any:
        yield env.timeout(NET)
        with places[name].request() as place:
            yield place
            yield env.timeout(times[name]())
            done = carry_out(name, command, what)
        yield env.timeout(NET)
        return done

    def ask(name: str, command: str, what: dict[str, Any]) -> Any:
        while True:
            asked = env.process(serve(name, command, what))
            if not patient:
                return (yield asked)
            came = yield asked | env.timeout(5.0)
            if asked in came:
                return asked.value

    def note(number: int, entry: tuple[str, bool] | None) -> Any:
        with desk.request() as place:
            yield place
            yield env.timeout(LOG_TIME)
            if entry is not None:
                logs[number].append(entry)

    def saga(number: int) -> Any:
        began, what = env.now, order(number)
        logs[number] = []
        yield env.timeout(NET)
        yield from note(number, None)
        ok = True
        for task in BUY:
            ok = yield from ask(task.to, task.do, what)
            yield from note(number, (task.do, ok))
            if not ok:
                break
        if not ok:
            done = {name for name, yes in logs[number] if yes}
            for task in reversed(BUY):
                if task.do in done and task.undo:
                    yield from ask(task.to, task.undo, what)
                    yield from note(number, (task.undo, True))
        yield env.timeout(NET)
        counts[ok] += 1
        took.append(env.now - began)

    def source() -> Any:
        number = 0
        while True:
            yield env.timeout(gap())
            if env.now >= ORDERS / RATE:
                return
            number += 1
            env.process(saga(number))

    env.process(source())
    env.run(until=ORDERS / RATE + 100)
    return counts[True], counts[False], round(sum(took), 6)


def gateway(state: Any, event: Event) -> Answer:
    if event["kind"] != "buy":
        return step(state)
    return step(state, send("orders", {**event, "kind": "place"}, "request"))


def listener(state: Any, event: Event) -> Answer:
    """Counts each order once, though it may hear of it twice."""
    if event["kind"] != "delivery":
        return step(state)
    number = event["body"]["order"]["number"]
    fresh = number not in state["stored"].get("seen", {})
    return step(state, commit(("seen", number, True)) if fresh else None, ack(event))


def notify(state: Any, event: Event) -> Answer:
    """Sends a mail, tells analytics, and answers."""
    if event["kind"] != "notify":
        return step(state)
    number = event["order"]["number"]
    answer = {"kind": "notify done", "command": "notify", "number": number, "ok": True}
    told = put("facts", {"kind": "order shipped", "order": event["order"]})
    return step(state, commit(("mails", number, True)), told, send(event["from"], answer, "reply"))


def whole_shop(seed: int, record: str = "spans") -> Simulation:
    """300 orders and four faults.

    Web, gateway, orders, inventory, payments, shipping, notifications, analytics.
    """
    shop = Simulation(seed, delay=Exponential(NET), record=record)
    shop.process("gateway", gateway, workers=8, time=Constant(LOG_TIME))
    plan = (*BUY, Task("notify", "notifications"))
    shop.process("orders", Orchestrator(plan), workers=4, time=Constant(LOG_TIME))
    for name, work in WORK.items():
        shop.process(name, participant(work), stored=stored(name), workers=4, time=Exponential(WORK_TIME))
    shop.process("notifications", notify, workers=4, time=Exponential(WORK_TIME))
    facts = shop.queue("facts", visibility=5.0)
    facts.subscribe(shop.process("analytics", listener, time=Exponential(WORK_TIME)), prefetch=10)

    def buy(request: Any) -> Any:
        message = {"kind": "buy", "order": order(request.number), "request": request.number}
        return (yield from shop.ask(request, "gateway", message, deadline=20.0))

    shop.users(buy, rate=30, end=10)
    shop.fault("crash", "orders", start=3, end=4)
    shop.fault("slow", "payments", start=5, end=7)
    shop.fault("crash", "inventory", start=6, end=6.5)
    shop.partition("orders", "shipping", start=8, end=9)
    return shop


def shop_run(seed: int, record: str = "spans") -> int:
    """How many messages were sent."""
    return len(whole_shop(seed, record).run(until=40).trace.messages)


def waits(n: int) -> int:
    """SimPy alone: one process that waits a hundred thousand times."""
    env = simpy.Environment()

    def process() -> Any:
        for _ in range(WAITS):
            yield env.timeout(1)

    env.process(process())
    env.run()
    return WAITS


def each(seconds: float, things: float) -> tuple[str, str]:
    """How long one takes, and how many a second takes."""
    return f"{1e6 * seconds / things:.2f} µs", f"{things / seconds:,.0f}"


def main() -> None:
    rounds = arguments().rounds
    programs: dict[str, Callable[[int], Any]] = {
        "SimPy": simpys,
        "SimPy, where no command is sent again": lambda n: simpys(n, patient=False),
        "interplay, spans recorded": ours,
        "interplay, everything recorded": lambda n: ours(n, "everything"),
    }
    ratios, results = race(programs, rounds)
    equal(results)
    saga = table(("saga", "CPU"), list(ratios.items()))
    note = (
        f"CPU time as a multiple of what processes, `Resource` and `|` take for the same {ORDERS} orders, "
        f"median (and middle half) of {rounds} rounds. SimPy's side records nothing; the results are equal "
        f"to the last digit."
    )
    messages = median(shop_run(n, "everything") for n in range(1, rounds + 1))
    programs = {"waits": waits, "spans": shop_run, "everything": lambda n: shop_run(n, "everything")}
    seconds = {name: ratio.seconds for name, ratio in race(programs, rounds)[0].items()}
    rows: list[Any] = [("SimPy alone: `env.timeout`", "", *each(seconds["waits"], WAITS))]
    for record in ("spans", "everything"):
        schedule = f"{1000 * seconds[record]:.0f} ms"
        rows.append((f"{record} recorded", schedule, *each(seconds[record], messages)))
    shop = table(("the whole shop", "a schedule", "a message (or event)", "in a second of CPU"), rows)
    what = f"Eight services, 300 orders, four faults, {messages:,.0f} messages; median of {rounds} schedules."
    report("sagas", "Sagas, and the whole shop", f"{saga}\n\n{note}\n\n{shop}\n\n{what}", "simpy")


if __name__ == "__main__":
    main()

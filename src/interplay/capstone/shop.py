"""The whole shop, built from a design: web, gateway, orders, inventory, payments, shipping, notifications and
analytics, with queues and a log where the configuration says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from ..actions import Answer, Event, reply, step
from ..after import After
from ..broker import Broker
from ..bulkhead import Bulkhead
from ..call import Call, Reply, Request
from ..circuit_breaker import CircuitBreaker
from ..participants import WORK, participant
from ..points import Points
from ..process import Process
from ..rate_limit import TokenBucket
from ..retry import FullJitter
from ..simulation import Simulation
from ..streams import Constant, Exponential
from .configuration import checked
from .desk import Desk, Saga
from .listeners import Consumer, Letters, analytics, from_queue, relay
from .schedules import CROWD, Schedule

WORK_TIME = {  # s, on average
    "orders": 0.005, "inventory": 0.020, "payments": 0.100, "shipping": 0.050, "notifications": 0.050,
    "analytics": 0.010,
}  # fmt: skip
POISON = 10**6  # the request number of the first poison message, for figures
STOCK, PEOPLE, MONEY, PRICE = 100_000, 10, 100_000, 10  # enough of everything but patience


class Design(NamedTuple):
    """A configuration (see configuration.py), a saga (desk.py) and a consumer (listeners.py)."""

    config: Mapping[str, Mapping[str, Any]]
    saga: Saga
    consumer: Consumer


def order(number: int) -> dict[str, Any]:
    """The order with this number; every eighth has no address, and cannot be shipped."""
    return {
        "number": f"o{number}", "item": "book", "quantity": 1, "customer": f"customer {number % PEOPLE}",
        "price": PRICE, "address": None if number % 8 == 0 else "1 Long Lane",
    }  # fmt: skip


class Shop:
    """The shop of a design under a fault schedule. `simulation` is ready to run, for `until` seconds.

    `times` are mean work times of processes (s), where they are not those of WORK_TIME. After the run, the
    databases are in `stored`, by the name of the process.
    """

    letters: Broker | None = None  # the queue before notifications, if there is one

    def __init__(
        self,
        design: Design,
        schedule: Schedule,
        *,
        pages: bool = True,
        record: str = "spans",
        times: Mapping[str, float] | None = None,
    ) -> None:
        self.config, self.times = checked(design.config), WORK_TIME | dict(times or {})
        self.crowd = {**schedule.get("crowd", CROWD)}
        self.until = self.crowd["until"]
        self.simulation = shop = Simulation(schedule["seed"], delay=Constant(0.002), record=record)
        shop.points = Points({int(point): kind for point, kind in schedule["points"].items()})
        self.kinds: dict[int, dict[str, Any] | None] = {}  # by request: the order, or None for a page
        self.old_pages = 0  # that show what was in stock some time ago
        self.gateway()
        self.orders(design.saga)
        self.listeners(design.consumer)
        self.customers(schedule, pages)
        shop.faults(schedule["faults"])
        for nth, moment in enumerate(schedule["poison"]):
            self.poison(moment, nth)

    @property
    def stored(self) -> dict[str, dict[str, Any]]:
        """The databases, by the name of the process."""
        return {
            name: part.stored for name, part in self.simulation.parts.items() if isinstance(part, Process)
        }

    def gateway(self) -> None:
        """One door for pages and orders, with as many rooms as it has workers."""
        shop, config = self.simulation, self.config["gateway"]
        shop.service("gateway", workers=config["workers"], time=Constant(0.001), calls=self._serve)
        self._luck = shop.streams.generator("gateway backoff").random
        tries = self.config["pages"]["breaker_after"]
        self._breaker = None if tries is None else CircuitBreaker(tries, open_for=2.0)

        def bucket(name: str) -> TokenBucket | None:
            rate = config[f"{name}_per_second"]
            return None if rate is None else TokenBucket(rate, burst=max(1.0, rate))

        slots = config["orders_at_once"]
        room = None if slots is None else Bulkhead(slots)
        self._doors = {
            "page": shop.client("gateway", limit=bucket("pages")),
            "order": shop.client("gateway", limit=bucket("orders"), bulkhead=room),
        }

    def _serve(self, call: Call) -> Generator[Any, Any, Reply]:
        """What a worker of the gateway does for a call: ask orders, or inventory for what is in stock."""
        ordered = self.kinds[call.number]
        if ordered is None:
            reply = yield from self._ask(call, "inventory", {"kind": "page"}, "pages", self._breaker)
            if not reply.ok and self.config["pages"]["when_down"] == "last known":
                self.old_pages += 1
                return Reply("ok", reply.attempts)
            return reply
        place = {"kind": "place", "order": ordered, "request": call.number}
        return (yield from self._ask(call, "orders", place, "orders", None))

    def _ask(
        self, call: Call, to: str, message: Event, kind: str, breaker: CircuitBreaker | None
    ) -> Generator[Any, Any, Reply]:
        """Some attempts, each with a timeout, behind a breaker."""
        config, env = self.config[kind], self.simulation.env
        wait = FullJitter(base=max(config["first_wait"], 1e-9), cap=10.0)
        for attempt in range(1, config["attempts"] + 1):
            if breaker is not None and not breaker.allow(env.now):
                return Reply("rejected", attempt)
            sent = env.now
            reply = yield from self.simulation.ask(call, to, message, deadline=config["timeout"])
            if breaker is not None:
                breaker.record(reply.ok, env.now, sent)
            if reply.ok or attempt == config["attempts"]:
                break
            yield env.timeout(wait.delay(attempt, env.now, self._luck()))
        return reply

    def orders(self, saga: Saga) -> None:
        """Orders with its saga, and those who carry out its commands."""
        queued = self.config["commands"]["by"] == "queue"
        early = self.config["orders"]["answer"] == "when accepted"
        desk = Desk(saga, queued=queued, early=early, listeners=self._names())
        self._process("orders", desk, {})
        for name, work in WORK.items():
            commands = participant(work)
            do = from_queue(commands) if queued else commands
            stored: dict[str, Any] = {}
            if name == "inventory":
                do, stored = _with_page(do), {"stock": {"book": STOCK}}
            if name == "payments":
                stored = {"accounts": {f"customer {n}": MONEY for n in range(PEOPLE)}}
            process = self._process(name, do, stored)
            if queued:
                self._queue(f"{name} queue").subscribe(process, prefetch=2 * process.workers)

    def listeners(self, consumer: Consumer) -> None:
        """Notifications and analytics, and the relay that brings them the news."""
        shop, news = self.simulation, self.config["news"]
        letters = self._process("notifications", Letters(consumer), {})
        tally = self._process("analytics", analytics, {})
        brokers = set()
        if news["notifications"] == "queue":
            self.letters = self._queue("letters queue")
            self.letters.subscribe(letters, prefetch=2 * letters.workers)
            brokers.add("letters queue")
        if news["analytics"] == "log":
            log = shop.log("orders log")
            log.subscribe(tally, group="analytics", batch=10)
            brokers.add("orders log")
        stored = self.stored["orders"]
        rule = relay(news["every"], frozenset(brokers))
        shop.process("relay", rule, memory={"out": {}}, stored=stored, time=Constant(0.001))

    def customers(self, schedule: Schedule, pages: bool) -> None:
        """Who comes: those who look at a page, those who order, and more of those in a spike."""
        shop, numbers = self.simulation, itertools.count(1)

        def look(request: Request) -> Generator[Any, Any, Reply]:
            self.kinds[request.number] = None
            return (yield from self._doors["page"].call(request))

        def buy(request: Request) -> Generator[Any, Any, Reply]:
            self.kinds[request.number] = order(next(numbers))
            return (yield from self._doors["order"].call(request))

        end = self.crowd["busy"]
        if pages and self.crowd["pages"]:
            shop.users(look, rate=self.crowd["pages"], end=end)
        shop.users(buy, rate=self.crowd["orders"], end=end)
        for spike in schedule["spikes"]:
            shop.users(buy, rate=spike["rate"], start=spike["start"], end=spike["end"])

    def poison(self, moment: float, nth: int) -> None:
        """At this moment a message comes to notifications that nobody can read."""
        shop, name = self.simulation, f"poison {nth}"
        news = {"kind": name, "id": name, "order": None, "news": "accepted", "at": moment}

        def come(_: Any) -> None:
            shop.messages.carry(0, POISON + nth, 0, {"do": "send", "to": self._names()[0], "message": news})

        After(shop.env, moment, come)

    def _names(self) -> tuple[str, str]:
        """Where news goes: to the listeners themselves, or to what stands before them."""
        news = self.config["news"]
        letters = "letters queue" if news["notifications"] == "queue" else "notifications"
        return letters, "orders log" if news["analytics"] == "log" else "analytics"

    def _process(self, name: str, do: Any, stored: dict[str, Any]) -> Process:
        workers, time = self.config["workers"][name], Exponential(self.times[name])
        return self.simulation.process(name, do, stored=stored, workers=workers, time=time)

    def _queue(self, name: str) -> Any:
        policy = self.config["queues"]
        limit = policy["deliveries"]
        how = {"visibility": policy["visibility"], **({} if limit is None else {"limit": limit})}
        return self.simulation.queue(name, **how)


def _with_page(commands: Any) -> Any:
    """Inventory also shows what is in stock."""

    def serve(state: Any, event: Event) -> Answer:
        return step(state, reply()) if event["kind"] == "page" else commands(state, event)

    return serve

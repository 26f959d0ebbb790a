"""One run of the real shop: customers come, faults happen, and it is judged as in the simulator."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..capstone.schedules import CROWD
from ..capstone.score import Outcome, judge
from ..trace import ERROR, OK
from . import load
from .real_shop_gateway import FIRST_PAGE

if TYPE_CHECKING:
    from .real_shop import RealShop

DEADLINE = 5.0  # s; then a customer gives up
EACH = 10_000  # orders of one run have numbers of one ten thousand; those of a spike, of a tenth of it
QUIET = 0.6  # s in which nothing may happen at the end
PATIENCE = 8.0  # s of quiet, after which nothing more is waited for


class Run:
    """A run, the `nth` of its shop."""

    def __init__(self, shop: RealShop, schedule: dict[str, Any], nth: int) -> None:
        self.shop, self.schedule = shop, schedule
        self.crowd = schedule.get("crowd", CROWD)
        self.first = EACH * nth
        self.began = 0.0
        self.before = {name: len(rows) for name, rows in self._rows().items()}
        self.known = set(shop.stored["analytics"].get("seen", {}))
        self.cut: dict[str, list[str]] = defaultdict(list)
        self.wrong: list[BaseException] = []

    def play(self, calm: float) -> Outcome:
        """Let it happen."""
        crowd, end = self.crowd, self.crowd["busy"]
        with ThreadPoolExecutor(16) as pool:
            self.began = time.monotonic()
            come = [(0.0, end, crowd["orders"], "orders"), (0.0, end, crowd["pages"], "pages")]
            come += [(s["start"], s["end"], s["rate"], "orders") for s in self.schedule["spikes"]]
            loads = [pool.submit(self._come, nth, *one) for nth, one in enumerate(come) if one[2] > 0]
            faults = [pool.submit(self._fault, fault) for fault in self.schedule["faults"]]
            faults += [pool.submit(self._poison, *one) for one in enumerate(self.schedule["poison"])]
            jobs: list[Future[Any]] = [*loads, *faults]
            while not all(job.done() for job in jobs):
                self._tend()
            requests = [row for job in loads for row in job.result()]
            for job in faults:
                job.result()
            until = self.began + end + calm
            while time.monotonic() < until and not self._over(requests):
                self._tend()
        return self.judged(requests)

    def _tend(self) -> None:
        time.sleep(0.1)
        self.shop.tend()

    def _wait(self, moment: float) -> None:
        time.sleep(max(0.0, self.began + moment - time.monotonic()))

    def _come(self, nth: int, start: float, end: float, rate: float, kind: str) -> list[tuple[Any, ...]]:
        """Some customers; their requests as the simulator's trace has them."""
        self._wait(start)
        after = self.first + nth * EACH // 10
        seed = self.schedule["seed"] + 31 * nth
        came = time.monotonic() - self.began
        path = f"/{kind}/{{}}?after={after}"
        told = load.offer(self.shop, rate, end - start, deadline=DEADLINE, seed=seed, path=path)
        first = after + 1 + (FIRST_PAGE if kind == "pages" else 0)
        codes = [OK if status == "OK" else ERROR for status in told.status]
        rows = zip(told.due + came, told.ended + came, codes, strict=True)
        return [(first + n, due, ended, code, 0) for n, (due, ended, code) in enumerate(rows)]

    def _fault(self, fault: dict[str, Any]) -> None:
        """One fault from its start to its end."""
        shop, kind = self.shop, fault.get("kind", "partition")
        self._wait(fault["start"])
        if kind == "crash":
            shop.kill(fault["service"])
            self._wait(fault["end"])
            shop.start(fault["service"])
        elif kind == "slow":
            shop.streams.behave(fault["service"], slowness=fault["factor"])
            self._wait(fault["end"])
            shop.streams.behave(fault["service"], slowness=1.0)
        elif kind == "partition":
            for one, other in (fault["between"], fault["between"][::-1]):
                self.cut[one].append(other)
                shop.streams.behave(one, cut=self.cut[one])
            self._wait(fault["end"])
            for one, other in (fault["between"], fault["between"][::-1]):
                self.cut[one].remove(other)
                shop.streams.behave(one, cut=self.cut[one])
        else:
            raise ValueError(f"the real shop has no fault {kind!r}: it has crash, slow and partition")

    def _poison(self, nth: int, moment: float) -> None:
        self._wait(moment)
        name = f"poison {self.first + nth}"
        news = {"kind": name, "id": name, "order": None, "news": "accepted", "at": moment}
        self.shop.streams.publish(self.shop.model._names()[0], news)

    def _rows(self) -> dict[str, list[Any]]:
        """What each process has written down so far."""
        from .workers import Worker

        servers = self.shop.servers.items()
        return {name: server.report().rows for name, server in servers if isinstance(server, Worker)}

    def _over(self, requests: list[Any]) -> bool:
        """Whether nothing is under way, and every promise is kept, or nobody will do anything about it."""
        config = self.shop.config
        done = [row["at"] for rows in self._rows().values() for row in rows]
        still = time.time() - max(done, default=0.0)
        if still < QUIET:
            return False
        if still > max(PATIENCE, 1 + config["queues"]["visibility"], 1 + 2 * config["news"]["every"]):
            return True
        outcome = self.judged(requests)
        return not outcome.books and not outcome.letters

    def judged(self, requests: list[Any]) -> Outcome:
        """What became of it, by the capstone's own judge."""
        shop, new = (
            self.shop,
            [row for name, rows in self._rows().items() for row in rows[self.before[name] :]],
        )
        stored = shop.stored
        kinds = {row[0]: None if row[0] >= FIRST_PAGE else {"number": f"o{row[0]}"} for row in requests}
        letters = None
        if shop.model.letters is not None:
            name = shop.model.letters.name
            waits = SimpleNamespace(ready=shop.streams.left(name), delayed=0, leased=0)
            letters = SimpleNamespace(queue=waits, dead=shop.streams.dead_letters(name))
        seen: Any = SimpleNamespace(
            stored=stored, kinds=kinds, letters=letters, config=shop.config,
            old_pages=sum(row["what"] == "old page" for row in new),
            simulation=SimpleNamespace(
                network=SimpleNamespace(sent=sum(row.get("messages", 0) for row in new)), points=None
            ),
        )  # fmt: skip
        outcome = judge(seen, requests, self.schedule)
        late = [one for id, one in stored["analytics"].get("seen", {}).items() if id not in self.known]
        outcome.staleness = [seconds for news, seconds in late if news != "accepted"]
        return outcome

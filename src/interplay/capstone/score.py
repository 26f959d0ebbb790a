"""What a design came to under fault schedules: promises first, then the SLO, then what it cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..participants import imbalance
from ..trace import OK
from .levels import LEVELS, SOON, Level
from .schedules import Schedule
from .shop import MONEY, PEOPLE, STOCK, Design, Shop


@dataclass
class Outcome:
    """One run. `books` and `letters` say in words what is broken, or None.

    `answers` has, by "page" and "order", the seconds of each request, inf for one without a good answer;
    `staleness` the seconds from the end of each order until analytics knew of it. `happened` has what went
    wrong at points, in words.
    """

    schedule: Schedule
    books: str | None
    letters: str | None
    answers: dict[str, list[float]]
    staleness: list[float]
    old_pages: int
    messages: int
    workers: int
    happened: list[str] = field(default_factory=list)

    @property
    def broken(self) -> str | None:
        """The first promise that is broken, in words."""
        return self.books or self.letters


@dataclass
class Score:
    """Many runs of one design. Shares are in [0, 1], of all requests in all runs; times in seconds."""

    outcomes: list[Outcome] = field(repr=False)

    @property
    def broken_books(self) -> list[Outcome]:
        """Runs in which money or stock was lost or invented, or an order was forgotten."""
        return [outcome for outcome in self.outcomes if outcome.books]

    @property
    def broken_letters(self) -> list[Outcome]:
        """Runs in which a letter was lost, or written twice."""
        return [outcome for outcome in self.outcomes if outcome.letters]

    def soon(self, kind: str) -> float:
        """The share of the pages, or orders, that were answered well, and within SOON."""
        times = [t for outcome in self.outcomes for t in outcome.answers[kind]]
        return sum(t <= SOON[kind] for t in times) / max(1, len(times))

    @property
    def stale(self) -> float:
        """The 99th percentile of staleness, s."""
        times = sorted(t for outcome in self.outcomes for t in outcome.staleness)
        return times[math.ceil(0.99 * len(times)) - 1] if times else math.inf

    @property
    def old(self) -> float:
        """The share of the pages that showed what was in stock some time ago."""
        pages = sum(len(outcome.answers["page"]) for outcome in self.outcomes)
        return sum(outcome.old_pages for outcome in self.outcomes) / max(1, pages)

    @property
    def messages(self) -> float:
        """Messages per request."""
        requests = sum(len(times) for outcome in self.outcomes for times in outcome.answers.values())
        return sum(outcome.messages for outcome in self.outcomes) / max(1, requests)

    @property
    def workers(self) -> int:
        """Workers that are paid for, in all services."""
        return self.outcomes[0].workers

    def value(self, level: Level) -> float:
        """What this design came to at a level."""
        values = {
            "pages": lambda: self.soon("page"),
            "old pages": lambda: self.old,
            "orders": lambda: self.soon("order"),
            "staleness": lambda: self.stale,
            "messages": lambda: self.messages,
            "workers": lambda: self.workers,
        }
        return float(values[level.name]())

    @property
    def missed(self) -> list[str]:
        """The levels that are not met, in words; the service levels before the cost."""
        found = [(level, self.value(level)) for level in LEVELS]
        return [
            f"{level.name}, {level.what}: {level.shown(value)}; {level.wanted} is wanted"
            for level, value in found
            if not level.met(value)
        ]


def play(design: Design, schedule: Schedule, **how: Any) -> Outcome:
    """Run a design under one schedule."""
    shop = Shop(design, schedule, **how)
    run = shop.simulation.run(until=shop.until)
    return judge(shop, run.trace.requests, schedule)


def judge(shop: Shop, requests: Iterable[Any], schedule: Schedule) -> Outcome:
    """What became of a run that has ended."""
    answers: dict[str, list[float]] = {"page": [], "order": []}
    accepted = []
    for number, start, end, status, _ in requests:
        order = shop.kinds.get(number)
        good = status == OK
        answers["page" if order is None else "order"].append(end - start if good else math.inf)
        if order is not None and good:
            accepted.append(order["number"])
    seen = shop.stored["analytics"].get("seen", {})
    config = shop.config
    return Outcome(
        schedule, _books(shop, accepted, seen), _letters(shop), answers,
        [late for news, late in seen.values() if news != "accepted"],
        shop.old_pages, shop.simulation.network.sent,
        config["gateway"]["workers"] + sum(config["workers"].values()),
        list(shop.simulation.points.happened) if shop.simulation.points else [],
    )  # fmt: skip


def _books(shop: Shop, accepted: Iterable[str], seen: Any) -> str | None:
    stored = shop.stored
    wrong = imbalance(
        stored["inventory"], stored["payments"], stored["shipping"], stock=STOCK, money=MONEY * PEOPLE
    )
    if wrong:
        return wrong
    shipped = stored["shipping"].get("shipments", {})
    for number in accepted:
        if number not in shipped and f"{number} refused" not in seen:
            return f"order {number} was answered, and is neither shipped nor refused"
    for number in shipped:
        if f"{number} done" not in seen:
            return f"order {number} is shipped, and nobody was told"
    for id in seen:
        number, news = id.split()
        if (news == "done") != (number in shipped) and news != "accepted":
            return f"the news says that order {number} is {news}, and it is not"
    return None


def _letters(shop: Shop) -> str | None:
    seen = shop.stored["analytics"].get("seen", {})
    letters = shop.stored["notifications"].get("letters", [])
    for id in letters:
        if id.startswith("poison"):
            return f"a letter was written for {id}, which nobody can read"
        if letters.count(id) > 1:
            return f"the letter {id!r} was written {letters.count(id)} times"
    missing = set(seen) - set(letters)
    if missing:
        return f"the letter {min(missing)!r} was never written"
    if shop.letters is not None:
        queue = shop.letters.queue
        left = queue.ready + queue.delayed + queue.leased
        if left:
            return f"{left} messages are still in the queue, delivered again and again"
        dead = sorted(body["id"] for body, _ in shop.letters.dead)
        if any(not id.startswith("poison") for id in dead):
            return f"{dead[0]!r} is a dead letter, and could be read"
    return None


def score(design: Design, schedules: Iterable[Schedule], **how: Any) -> Score:
    """Run a design under many schedules."""
    return Score([play(design, schedule, **how) for schedule in schedules])

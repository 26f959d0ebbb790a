"""Offer a real HTTP server a load, open loop, from one process: so many requests a second, come what may.

One thread, one event loop. Every request has a deadline, as users have: what is not answered by then is
given up, and no good is done by an answer that comes later. So at most rate * deadline requests are open.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import number
from .measuring import Measured


@dataclass(frozen=True)
class PerSecond:
    """What happened in each stretch of `width` seconds, all per second."""

    time: np.ndarray  # when each stretch begins, in seconds
    offered: np.ndarray  # requests that were due in it
    goodput: np.ndarray  # answers with "OK", within the deadline, that came in it
    status: dict[str, np.ndarray]  # the same of each kind of ending: "OK", "503", "429", "TimeoutError"


@dataclass(frozen=True)
class Load(Measured):
    """A `Measured` with rates: those of the whole run, and those of each second."""

    lasted: float  # seconds in which requests were due

    @property
    def offered(self) -> float:
        """Requests per second."""
        return len(self.status) / self.lasted

    @property
    def goodput(self) -> float:
        """Requests per second that were answered with "OK" within the deadline."""
        return float(self.ok.sum()) / self.lasted

    def per_second(self, width: float = 1.0) -> PerSecond:
        """The rates in stretches of `width` seconds; the last ends with the last answer."""
        stretches = int(max(self.lasted, self.ended.max()) / number("width", width, above=0) + 1)
        edges = np.arange(stretches + 1) * width

        def rate(moments: np.ndarray) -> np.ndarray:
            return np.histogram(moments, edges)[0] / width

        kinds = np.array(self.status)
        status = {kind: rate(self.ended[kinds == kind]) for kind in sorted(set(self.status))}
        goodput = status.get("OK", np.zeros(stretches))
        return PerSecond(edges[:-1], rate(self.due), goodput, status)


def offer(
    server: Any,
    rate: float | Sequence[float],
    seconds: float,
    *,
    deadline: float = 0.5,
    seed: int | None = 1,
    path: str = "/orders/{}",
) -> Load:
    """Send GET /orders/order-0, order-1, … to a server, or to a proxy before it; returns when all have ended.

    `rate` requests per second for so many seconds, or several rates, one after the other, for `seconds` each.
    The gaps are exponential; with `seed=None` they are equal. A request that is not answered `deadline`
    seconds after it was due is given up: "TimeoutError". In `path`, {} stands for the order.
    """
    rates = [float(one) for one in np.atleast_1d(rate)]
    for one in rates:
        number("rate", one, above=0)
    number("seconds", seconds, above=0)
    number("deadline", deadline, above=0)
    due = np.concatenate([k * seconds + _moments(one, seconds, seed, k) for k, one in enumerate(rates)])
    rows: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            rows.extend(asyncio.run(_send(server.url, path, due.tolist(), deadline)))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)  # a notebook's own thread has a loop already
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    started, ended, status = zip(*rows, strict=True) if rows else [()] * 3
    lasted = seconds * len(rates)
    return Load(due, np.array(started, float), np.array(ended, float), list(status), lasted)


def _moments(rate: float, seconds: float, seed: int | None, part: int) -> np.ndarray:
    """When requests are due, in seconds from 0."""
    if seed is None:
        return np.arange(max(1, round(rate * seconds))) / rate
    draw = np.random.default_rng([seed, part])
    count = int(rate * seconds + 10 * (rate * seconds) ** 0.5 + 10)  # more than enough
    moments = np.cumsum(draw.exponential(1 / rate, count))
    return moments[moments < seconds]


async def _send(url: str, path: str, due: list[float], deadline: float) -> list[Any]:
    import aiohttp

    rows: list[Any] = [None] * len(due)
    zero = time.perf_counter() + 0.05

    async def one(n: int, session: aiohttp.ClientSession) -> None:
        started = time.perf_counter() - zero
        try:
            async with asyncio.timeout(max(0.0, due[n] + deadline - started)):
                async with session.get(url + path.format(f"order-{n}")) as answer:
                    await answer.read()
                    status = "OK" if answer.status == 200 else str(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            status = type(error).__name__
        rows[n] = (started, time.perf_counter() - zero, status)

    connector = aiohttp.TCPConnector(limit=0)  # as many connections as it takes
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        tasks = []
        for n, moment in enumerate(due):
            await asyncio.sleep(max(0.0, zero + moment - time.perf_counter()))
            tasks.append(asyncio.create_task(one(n, session)))
        await asyncio.gather(*tasks)
    return rows

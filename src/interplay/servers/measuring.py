"""Measure a real server from one process: latencies, bytes on the wire, round trips.

Two testers, and the difference between them is a lesson. One waits for each answer before it asks again
(`closed_loop`). The other has a timetable (`on_schedule`): a call is due at its moment, whatever became of
the calls before. A tester that measures from the moment of *sending* leaves out how long a call that was due
had to wait for its turn to be sent: coordinated omission. Source: Gil Tene, How NOT to Measure Latency
(2015), and his wrk2.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..arguments import number, whole
from ..run import Latency

if TYPE_CHECKING:
    from .fault_proxy import FaultProxy


@dataclass(frozen=True)
class Measured:
    """What the caller saw. One entry in each array per call, in the order of the timetable; in seconds."""

    due: np.ndarray  # when it should be sent, since the start
    started: np.ndarray  # when it was sent
    ended: np.ndarray  # when its answer was there
    status: list[str]  # "OK"; the HTTP status, "503"; gRPC's, "UNAVAILABLE"; or the error, "ReadTimeout"

    @property
    def ok(self) -> np.ndarray:
        """Which calls ended well (booleans)."""
        return np.array([status == "OK" for status in self.status])

    @property
    def seconds(self) -> np.ndarray:
        """How long each call took, from sending."""
        return self.ended - self.started

    @property
    def since_due(self) -> np.ndarray:
        """How long each call took, from the moment it was due: what a user would have felt."""
        return self.ended - self.due

    @property
    def latency(self) -> Latency:
        """Percentiles of `seconds`, of the calls that ended well."""
        return Latency(self.seconds[self.ok].tolist())

    @property
    def corrected(self) -> Latency:
        """Percentiles of `since_due`, of the calls that ended well: without coordinated omission."""
        return Latency(self.since_due[self.ok].tolist())


def closed_loop(call: Callable[[str], Any], calls: int = 1000, together: int = 1) -> Measured:
    """`together` callers, each of which sends its next call when the last is answered.

    Calls `call("order-0")`, `call("order-1")`, … A call that fails is recorded, not raised.
    """
    return _measure(call, [None] * whole("calls", calls, least=1), together)


def on_schedule(
    call: Callable[[str], Any], rate: float, seconds: float, together: int = 1, seed: int | None = None
) -> Measured:
    """`rate` calls a second for so many seconds, each due at its own moment, sent by `together` callers.

    With `seed` the gaps are exponential (users who know nothing of each other), without they are equal. A
    call for which no caller is free at its moment is sent late: with enough callers none is, and the loop is
    open. Calls `call("order-0")`, … A call that fails is recorded, not raised.
    """
    count = math.ceil(number("rate", rate, above=0) * number("seconds", seconds, above=0))
    gaps = np.full(count, 1.0)
    if seed is not None:
        gaps = np.random.default_rng(seed).exponential(size=count)
    return _measure(call, ((np.cumsum(gaps) - gaps[0]) / rate).tolist(), together)


def _measure(call: Callable[[str], Any], timetable: list[Any], together: int) -> Measured:
    rows: list[Any] = [None] * len(timetable)
    turns = itertools.count()  # next() is atomic: each call is taken by one caller
    zero = time.perf_counter()

    def caller() -> None:
        while (turn := next(turns)) < len(timetable):
            due = timetable[turn]
            if due is not None:
                time.sleep(max(0.0, zero + due - time.perf_counter()))
            started = time.perf_counter() - zero
            status = "OK"
            try:
                call(f"order-{turn}")
            except Exception as error:
                status = outcome(error)
            rows[turn] = (started if due is None else due, started, time.perf_counter() - zero, status)

    with ThreadPoolExecutor(whole("together", together, least=1)) as pool:
        for done in [pool.submit(caller) for _ in range(together)]:
            done.result()
    due, started, ended, status = zip(*rows, strict=True)
    return Measured(np.array(due), np.array(started), np.array(ended), list(status))


def outcome(error: Exception) -> str:
    """What went wrong in a call: "503", "DEADLINE_EXCEEDED", "ReadTimeout"; other errors are raised again."""
    if callable(code := getattr(error, "code", None)):  # grpc.RpcError
        return str(code().name)
    if response := getattr(error, "response", None):
        return str(response.status_code)  # httpx.HTTPStatusError
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("httpx", "aiohttp"):
        return type(error).__name__
    raise error  # a mistake in the code, not a failure of the server


class Bytes(NamedTuple):
    """Bytes from the client (`up`) and to it (`down`)."""

    up: float
    down: float


@dataclass(frozen=True)
class Wire:
    """What calls cost on the wire, in bytes of TCP payload: bodies, headers and frames.

    What TCP and IP add is not in it (40 bytes or more a packet), nor are their packets without payload.
    """

    first: Bytes  # of the first call
    later: Bytes  # of each call after it, on average
    connections: int  # opened by all of them


def wire(call: Callable[[], Any], proxy: FaultProxy, calls: int = 20) -> Wire:
    """The bytes of a first call and of `calls` later ones, as they pass the proxy.

    The client must not have used its connection before, else the first call is a later one.
    """
    proxy.reset()
    call()
    first = _settled(proxy)
    for _ in range(whole("calls", calls, least=1)):
        call()
    total = _settled(proxy)
    later = Bytes((total.up - first.up) / calls, (total.down - first.down) / calls)
    return Wire(Bytes(first.up, first.down), later, proxy.report().connections)


def _settled(proxy: FaultProxy) -> Bytes:
    """What has passed, once nothing has for a tenth of a second (gRPC says things after the answer, too)."""
    seen, changed = Bytes(-1, -1), time.monotonic()
    while time.monotonic() - changed < 0.1:
        now = proxy.report()
        if seen != (now.up, now.down):
            seen, changed = Bytes(now.up, now.down), time.monotonic()
        time.sleep(0.01)
    return seen


def round_trips(call: Callable[[], Any], proxy: FaultProxy, seconds: float = 0.1, calls: int = 3) -> float:
    """How often `call` waits for the other side: what it takes longer, per `seconds` that answers are late.

    The fastest of `calls` counts. TCP's own handshake is not seen, since the kernel answers it before the
    proxy; it is one more for each new connection.
    """

    def fastest() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    plain = min(fastest() for _ in range(calls))
    proxy.behave("delay", seconds=seconds)
    slow = min(fastest() for _ in range(calls))
    proxy.behave()
    return (slow - plain) / seconds


def arrivals(answers: Iterable[Any]) -> list[tuple[float, Any]]:
    """Each item of a stream with the seconds since the call: [(0.001, first), (0.051, second), …]."""
    began = time.perf_counter()
    return [(time.perf_counter() - began, answer) for answer in answers]

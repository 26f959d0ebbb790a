"""What an interaction cost in a run: for the caller, for those who wait for news, and for who pays for it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..log_broker import LogBroker
from ..process import Process
from ..run import Run
from ..trace import CALLS
from . import calling, later, together  # noqa: F401  each enters the shops that it builds
from .shops import UNTIL, Shop, base


class Costs(NamedTuple):
    """One run of a shop. Shares are in [0, 1]; times in seconds; what is "a request" is a mean.

    ok        share of the requests that were answered well
    p50, p99  until the answer was there, of those that were answered well
    done      share of the work, at all services, that was done by the end
    lost      share of what orders had said yes to, or had committed, that some service never did
    behind    99th percentile of the time from the request until the work was done; of a copy, its age
    disorder  share of the work that came after later work for the same key
    told      share of the past states of what changed that could still be told
    calls     calls a request, beyond the user's own
    messages  everything on the network, a request: calls, answers, messages, acknowledgements
    rows      rows and records that are left in databases and logs, a request
    parts     moving parts: services, processes, brokers, databases' relays, sidecars
    """

    ok: float
    p50: float
    p99: float
    done: float
    lost: float
    behind: float
    disorder: float
    told: float
    calls: float
    messages: float
    rows: float
    parts: int


def play(pattern: str, interaction: Any, **how: Any) -> Costs:
    """Build a shop (see Shop for the arguments), run it, and say what it cost."""
    shop = Shop(pattern, interaction, **how)
    return costs(shop, shop.simulation.run(until=UNTIL))


def costs(shop: Shop, run: Run) -> Costs:
    """What a run that has ended came to."""
    requests = {n: start for n, start, *_ in run.trace.requests}
    total = max(1, len(requests))
    kinds = [message[4] for message in run.trace.messages]
    return Costs(
        ok=run.ok / total,
        p50=run.latency.p50,
        p99=run.latency.p99,
        done=sum(map(len, shop.done.values())) / total / len(shop.names),
        lost=_lost(shop),
        behind=_behind(shop, requests),
        disorder=_disorder(shop),
        told=shop.told() / max(1, len(shop.promised)),
        calls=sum(kind in CALLS for kind in kinds) / total - 1,
        messages=len(kinds) / total,
        rows=_rows(shop) / total,
        parts=len({base(name) for name in shop.simulation.parts}) + shop.sidecars,
    )


def _lost(shop: Shop) -> float:
    missing = [n for n in shop.promised if any(n not in done for done in shop.done.values())]
    return len(missing) / max(1, len(shop.promised))


def _behind(shop: Shop, requests: dict[int, float]) -> float:
    late = shop.ages or [at - requests[n] for done in shop.done.values() for n, at in done.items()]
    return float(np.quantile(late, 0.99, method="inverted_cdf")) if late else math.nan


def _disorder(shop: Shop) -> float:
    place = {n: i for i, n in enumerate(shop.promised)}  # the order in which orders said yes
    wrong = seen = 0
    for done in shop.done.values():
        latest: dict[str, int] = {}
        for n in done:
            key = shop.key(n)
            here = place.get(n, n)
            wrong += here < latest.get(key, 0)
            latest[key] = max(here, latest.get(key, 0))
            seen += 1
    return wrong / max(1, seen)


def _rows(shop: Shop) -> int:
    parts = shop.simulation.parts.values()
    stored = {id(part.stored): part.stored for part in parts if isinstance(part, Process)}
    rows = sum(len(table) for tables in stored.values() for table in tables.values())
    rows += sum(
        part.log.end(p) for part in parts if isinstance(part, LogBroker) for p in range(part.log.partitions)
    )
    if not stored and shop.asked.changes:  # services keep a row for each change
        rows = sum(map(len, shop.done.values()))
    return rows

"""The moments worth a look, found in a trace.

=========  =================================================================================================
fault      a fault starts or ends (the trace's markers)
queue      a queue builds up: it reaches 12, or one for each worker, and 3 s later is at least half of that
full       a queue is full: the first rejection after two seconds without one
drop       a queue throws away calls that have waited, unserved: the first after two seconds without one
breaker    a circuit breaker opens, half-opens or closes
budget     a retry budget is spent: less than one token is left
retries    retries outnumber first tries, for two windows (and again only after they have become few)
tips       the shop tips over: for 5 s or more without any fault, most new users are not served, because a
           service gets more calls than it can serve. The moment is when that begins
again      a queue delivers messages again: the first after two seconds without one
dead       a message becomes a dead letter: the first after two seconds without one
lag        a consumer group falls behind, by 12 records and for 3 s; and it has read all again
rebalance  partitions of a log have got another reader
commit     a process commits, in a run of a search with at most MOST_COMMITS of them
fails      where nothing else stands out and one user in twenty or more is not served: the first of them,
           or where nearly all of them begin
recovers   after three bad seconds or more, nine of ten new users are served again, for three windows
=========  =================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ..trace import (
    BREAKER,
    CALLS,
    DEAD,
    EVENT,
    FIRST_GROUP,
    OK,
    OPEN,
    QUEUE,
    REJECTED,
    REQUEST,
    RETRY,
    TOKENS,
    UP,
    Trace,
)
from .measures import Tables

BREAKERS = {1: "breaker opens", 2: "breaker half-opens", 0: "breaker closes"}
MOST_COMMITS = 24
MOST = {
    "queue": 2,
    "full": 2,
    "drop": 2,
    "breaker": 6,
    "again": 3,
    "dead": 3,
    "lag": 4,
    "rebalance": 4,
}  # of one kind at one node, lest they fill the line


@dataclass(frozen=True)
class Moment:
    """At `time` (s), `what` happens; `kind` is listed above, `why` says more, `node` is -1 for all."""

    time: float
    kind: str
    what: str
    why: str = ""
    node: int = -1


def find_moments(trace: Trace | Tables) -> list[Moment]:
    """All moments of a run, in order of time."""
    tables = trace if isinstance(trace, Tables) else Tables.of(trace)
    found: list[Moment] = []
    for search in (
        _faults, _queues, _refusals, _breakers, _budgets, _tips_and_recovers, _retries,
        _redelivered, _dead_letters, _lags, _rebalances, _commits,
    ):  # fmt: skip
        counts: dict[tuple[str, int], int] = {}
        for moment in search(tables):
            key = (moment.kind, moment.node)
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= MOST.get(moment.kind, 99):
                found.append(moment)
            elif moment.kind == "breaker":  # how it ended is worth more than the middle
                found[max(i for i, m in enumerate(found) if (m.kind, m.node) == key)] = moment
    return sorted(found or _fails(tables), key=lambda m: m.time)


def _fails(tables: Tables) -> list[Moment]:
    """In a run without any other moment: that many users are not served, all through the run or when."""
    ended = tables.requests[tables.requests["status"] != OPEN]
    failed = np.sort(ended["end"][ended["status"] != OK])
    if not len(ended) or len(failed) < len(ended) / 20:
        return []
    what = f"{100 * len(failed) / len(ended):.0f} % of the users are not served"
    few, until = len(failed) // 20, tables.until
    first, last = float(failed[few]), float(failed[-1 - few])  # nine of ten failures lie between
    late, early = first > until / 4, last < 3 * until / 4
    if not late and not early:
        return [Moment(float(failed[0]), "fails", what, "one here, one there, all through the run")]
    then = ended[(ended["end"] >= first) & (ended["end"] <= (last if early else until))]
    share = 100 * np.mean(then["status"] != OK)
    when = f"between {first:.0f} and {last:.0f} s: there" if early else f"after {first:.0f} s: from then on"
    return [Moment(first, "fails", what, f"nearly all of them {when} it is {share:.0f} %")]


def telling(moments: list[Moment], until: float) -> float:
    """Where to start looking (s): where the harm can be seen. That is two seconds after the last fault has
    ended and the shop is still down; else the first moment that is not a fault; else a quarter in. A run of
    a search is told from its beginning.
    """
    if any(m.kind == "commit" for m in moments):
        return 0.0
    of = {kind: [m.time for m in moments if m.kind == kind] for kind in ("tips", "recovers", "fault")}
    if of["tips"]:
        back = min((t for t in of["recovers"] if t > of["tips"][0]), default=until)
        return min(until, max([of["tips"][0], *(t for t in of["fault"] if t < back - 2)]) + 2.0)
    first = [m.time for m in moments if m.kind not in ("fault", "recovers")] + of["fault"]
    return min(until, first[0] + 1.0) if first else until / 4


def page(moments: list[Moment]) -> list[dict[str, Any]]:
    """Plain dicts for the page."""
    return [asdict(m) | {"time": round(m.time, 3)} for m in moments]


def _faults(tables: Tables) -> Iterator[Moment]:
    for time, label, node in tables.markers:
        words = label.replace("errors starts", "errors start").replace("errors ends", "errors end")
        yield Moment(time, "fault", words, node=node)


def _queues(tables: Tables) -> Iterator[Moment]:
    for node in tables.of_kind("service", "process", "queue"):
        name, workers = tables.nodes[node].name, tables.nodes[node].workers or 1
        many = max(12, workers)
        what = "a backlog" if tables.nodes[node].kind == "queue" else "a queue"
        times, values = tables.gauge(node, QUEUE)
        armed = True
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            if armed and value >= many:
                later = tables.at(node, QUEUE, np.array([min(time + 3.0, tables.until)]))[0]
                if later >= many / 2:
                    armed = False
                    why = f"{int(value)} wait for {workers} workers" if workers > 1 else f"{int(value)} wait"
                    yield Moment(time, "queue", f"{name}: {what} builds up", why, node)
            elif value <= many / 4:
                armed = True


def _refusals(tables: Tables) -> Iterator[Moment]:
    """A call that is refused at the door starts and ends as it arrives; one thrown away never starts."""
    refused = tables.spans[tables.spans["status"] == REJECTED]
    dropped = np.isnan(refused["started"])
    for node in tables.services:
        name, here = tables.nodes[node].name, refused["node"] == node
        for time, _ in _bursts(refused[here & ~dropped], "ended"):
            yield Moment(time, "full", f"{name}: full, it rejects", node=node)
        for time, burst in _bursts(refused[here & dropped], "ended"):
            late = np.mean([_is_late(tables, span) for span in burst[:20]]) > 0.5
            what = "drops what has expired" if late else "drops what has waited too long"
            yield Moment(time, "drop", f"{name}: {what}", node=node)


def _bursts(rows: np.ndarray, when: str) -> Iterator[tuple[float, np.ndarray]]:
    """Rows in groups with no more than two seconds between them: the time of the first, and the group."""
    rows = np.sort(rows, order=when)
    starts = np.flatnonzero(np.diff(rows[when], prepend=-np.inf) > 2.0)
    for group in np.split(rows, starts[1:]) if len(rows) else []:
        yield float(group[when][0]), group


def _is_late(tables: Tables, span: np.void) -> bool:
    """Whether the caller had given up when this span ended: its user, its work or its next attempt tells."""
    end, spans, requests = span["ended"] + 1e-4, tables.spans, tables.requests
    user = requests["end"][requests["request"] == span["request"]]
    own = spans[spans["request"] == span["request"]]
    above = own["ended"][own["span"] == span["parent"]]
    again = own[(own["parent"] == span["parent"]) & (own["node"] == span["node"])]
    again = again["arrived"][again["attempt"] > span["attempt"]]
    return bool((user <= end).any() or (above <= end).any() or (again <= end).any())


def _breakers(tables: Tables) -> Iterator[Moment]:
    for node, who in enumerate(tables.nodes):
        times, values = tables.gauge(node, BREAKER)
        before = 0
        for time, value in zip(times.tolist()[1:], values.tolist()[1:], strict=True):
            if int(value) != before:
                yield Moment(time, "breaker", f"{who.name}: {BREAKERS[int(value)]}", node=node)
            before = int(value)


def _budgets(tables: Tables) -> Iterator[Moment]:
    for node, who in enumerate(tables.nodes):
        times, values = tables.gauge(node, TOKENS)
        armed, most = True, values.max()
        for time, value in zip(times.tolist()[1:], values.tolist()[1:], strict=True):
            if armed and value < 1:
                armed = False
                yield Moment(time, "budget", f"{who.name}: retry budget spent", node=node)
            elif value > most / 2:
                armed = True


def _tips_and_recovers(tables: Tables) -> Iterator[Moment]:
    window = max(1.0, tables.until / 100)
    n = int(tables.until / window)
    edges = np.arange(n + 1) * window
    status, start = tables.requests["status"], tables.requests["start"]
    asked, over, served = (
        np.histogram(start[rows], edges)[0] for rows in (status >= 0, status != OPEN, status == OK)
    )
    share = np.divide(served, over, out=np.ones(n), where=over > 0)
    known = over >= 0.8 * asked  # towards the end, many users still wait: nothing can be said of them
    whole = _unbroken(tables, edges)
    bad = (share < 0.5) & (over >= 2) & known
    for is_bad, group in groupby(range(n), key=lambda i: bool(bad[i])):
        stretch = list(group)
        if not is_bad or len(stretch) * window < 3:
            continue
        free = [i for i in stretch if whole[i]]
        if len(free) * window >= 5:
            yield from _tip(tables, edges, stretch, free)
        for i in range(stretch[-1] + 1, n):
            if i + 3 <= n and known[i : i + 3].all() and share[i] >= 0.9 and (share[i : i + 3] >= 0.8).all():
                yield Moment(
                    float(edges[i]), "recovers", "recovers", "nine of ten new users are served again"
                )
                break
            if bad[i]:
                break


def _tip(tables: Tables, edges: np.ndarray, stretch: list[int], free: list[int]) -> Iterator[Moment]:
    calls = tables.messages[np.isin(tables.messages["kind"], CALLS)]
    for node in tables.services:
        can = _capacity(tables, node)
        rate = np.histogram(calls["arrives"][calls["target"] == node], edges)[0] / (edges[1] - edges[0])
        if rate[free].mean() > can:
            many = (rate > can) & (np.append(rate[1:], rate[-1]) > can)  # two windows: one is chance
            begins = np.flatnonzero(many & (np.arange(len(rate)) >= stretch[0] - 3))
            i = int(begins[0]) if len(begins) else stretch[0]
            why = f"{tables.nodes[node].name} gets {rate[i]:.0f} calls a second and can serve {can:.0f}"
            at = max([edges[i], *(m[0] for m in tables.markers if edges[i] < m[0] < edges[i + 1])])
            yield Moment(float(at), "tips", "tips over", why, node)
            return


def _capacity(tables: Tables, node: int) -> float:
    """Calls a second that a service can serve: its workers over the mean time that one is taken."""
    spans = tables.spans[(tables.spans["node"] == node) & (tables.spans["ended"] > tables.spans["started"])]
    workers = tables.nodes[node].workers
    return float(workers / np.mean(spans["ended"] - spans["started"])) if len(spans) and workers else np.inf


def _unbroken(tables: Tables, edges: np.ndarray) -> np.ndarray:
    """For each window, whether no service is broken at its start or middle."""
    middles = (edges[:-1] + edges[1:]) / 2
    whole = np.ones(len(middles), bool)
    for node in range(1, len(tables.nodes)):
        whole &= (tables.at(node, UP, edges[:-1]) == 1) & (tables.at(node, UP, middles) == 1)
    return whole


def _retries(tables: Tables) -> Iterator[Moment]:
    window = max(1.0, tables.until / 100)
    edges = np.arange(int(tables.until / window) + 1) * window
    sent, kind = tables.messages["sent"], tables.messages["kind"]
    first = np.histogram(sent[kind == REQUEST], edges)[0]
    again = np.histogram(sent[kind == RETRY], edges)[0]
    many, few = (again > first) & (again >= 3), again <= first / 4
    armed = True
    for i in range(len(many) - 1):
        if armed and many[i] and many[i + 1]:
            armed = False
            yield Moment(float(edges[i]), "retries", "retries outnumber first tries")
        elif few[i] and few[i + 1]:
            armed = True


def _redelivered(tables: Tables) -> Iterator[Moment]:
    messages = tables.messages
    for node in tables.of_kind("queue"):
        again = (messages["source"] == node) & (messages["kind"] == EVENT) & (messages["attempt"] > 1)
        for time, burst in _bursts(messages[again], "sent"):
            name, why = tables.nodes[node].name, "no acknowledgement had come"
            many = f", {len(burst)} times in a row" if len(burst) > 1 else ""
            yield Moment(time, "again", f"{name}: delivers again{many}", why, node)


def _dead_letters(tables: Tables) -> Iterator[Moment]:
    states = tables.states
    for node in tables.of_kind("queue"):
        counts = states[(states["node"] == node) & (states["gauge"] == DEAD)]
        more = counts[np.diff(counts["value"], prepend=0.0) > 0]
        for time, burst in _bursts(more, "time"):
            total = int(burst["value"][-1])
            why = f"{total} dead letters by then" if total > 1 else ""
            yield Moment(time, "dead", f"{tables.nodes[node].name}: a dead letter", why, node)


def _lags(tables: Tables) -> Iterator[Moment]:
    for node in tables.of_kind("log"):
        name, behind = tables.nodes[node].name, False
        times, values = tables.gauge(node, QUEUE)
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            if not behind and value >= 12:
                if tables.at(node, QUEUE, np.array([min(time + 3.0, tables.until)]))[0] >= 12:
                    behind = True
                    yield Moment(time, "lag", f"{name}: lag grows", f"{int(value)} records to be read", node)
            elif behind and value == 0:
                behind = False
                yield Moment(time, "lag", f"{name}: all is read again", node=node)


def _rebalances(tables: Tables) -> Iterator[Moment]:
    """Partitions that go from one reader to another, or back to one after a while with none."""
    for number, (node, group) in enumerate(tables.groups, FIRST_GROUP):
        rows = tables.offsets[(tables.offsets["node"] == node) & (tables.offsets["group"] == number)]
        owners: dict[int, int] = {}
        moved = np.zeros(len(rows), bool)
        for i, row in enumerate(rows):
            partition, owner = int(row["partition"]), int(row["owner"])
            moved[i] = owner > 0 and owners.get(partition, owner) != owner
            if owner:
                owners[partition] = owner
        for time, burst in _bursts(rows[moved], "time"):
            if not burst["offset"].any():
                continue  # the readers come one after the other: that is the beginning
            readers = sorted({tables.nodes[owner].name for owner in burst["owner"]})
            why = f"now with {', '.join(readers)}"
            what = f"{tables.nodes[node].name}: partitions of {group} move"
            yield Moment(time, "rebalance", what, why, node)


def _commits(tables: Tables) -> Iterator[Moment]:
    commits = [note for note in tables.notes if not note[4]]
    for time, _, node, words, *_ in commits if len(commits) <= MOST_COMMITS else []:
        yield Moment(time, "commit", f"{tables.nodes[node].name}: {words}", node=node)

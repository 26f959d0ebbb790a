"""Two-phase commit beside sagas: all or none after any fault, what locks cost, a coordinator that crashes."""

import math

import numpy as np
import pytest
from saga_shop import STORED, WORK, choreographed, judge, orchestrated, order, place, sends_first, two_phase

from interplay import ArgumentError, Constant, Exponential, Simulation, theory
from interplay.actions import step, write
from interplay.after import After
from interplay.participants import participant, reserve
from interplay.saga import Orchestrator, Task
from interplay.search import search
from interplay.trace import OK, REJECTED
from interplay.two_phase_commit import Coordinator, Voter

NO_ADDRESS = order(2, address=None)


def test_all_commit_or_none():
    shop = two_phase(orders=(order(1), NO_ADDRESS, order(3)))
    run = shop.run(until=60)
    assert judge(shop) is None
    assert [row[3] for row in sorted(run.trace.requests)] == [OK, REJECTED, OK]
    for name in WORK:
        stored = shop.parts[name].stored
        assert stored["ended"] == {1: "commit", 2: "abort", 3: "commit"}
        assert stored["locks"] == stored["prepared"] == {}
    assert shop.parts["payments"].stored["accounts"] == {"anna": 0}


def test_the_same_orders_as_a_saga():
    """One order, or one that cannot be shipped: both ways end with the same databases."""
    for orders in [(order(1),), (NO_ADDRESS,)]:
        both = [build(orders=orders) for build in (two_phase, orchestrated)]
        for shop in both:
            shop.run(until=60)
            assert judge(shop) is None
        for name, tables in {"inventory": ("stock", "reserved"), "payments": ("accounts", "charged")}.items():
            one, other = ({t: shop.parts[name].stored.get(t) or {} for t in tables} for shop in both)
            assert one == other


def test_messages_of_one_transaction():
    """n are asked, n vote, n are told; the user asks and is told."""
    run = two_phase(orders=(order(1),)).run(until=60)
    assert len(run.trace.messages) == 3 * 3 + 2


def test_no_fault_at_any_point_leaves_half_a_transaction():
    found = search(two_phase, judge, until=60)
    assert found.broken is None, (found.broken, found.happened)
    assert len(found.places) == 130
    assert found.schedules > 600


def test_copies_and_messages_that_overtake_each_other():
    stored, voter = {"stock": {"book": 10}}, Voter(reserve, name="inventory")

    def hear(kind, number):
        event = {"kind": kind, "number": number, "order": order(number), "from": "orders", "now": 0.0}
        actions = voter({"stored": stored}, event)["actions"]
        for action in actions:
            if action["do"] == "commit":
                write(stored, action["writes"])
        return [action["message"]["kind"] for action in actions if action["do"] == "send"]

    assert hear("prepare", 1) == hear("prepare", 1) == ["vote yes"]
    assert stored["locks"] == {("stock", "book"): 1, ("reserved", 1): 1}
    assert hear("in doubt", 1) == ["what of"]
    assert hear("commit", 1) == hear("commit", 1) == hear("in doubt", 1) == []
    assert hear("prepare", 1) == ["vote yes"], "a late copy"
    assert stored["stock"] == {"book": 9}
    assert stored["locks"] == stored["prepared"] == {}
    assert hear("abort", 2) == []
    assert hear("prepare", 2) == ["vote no"], "the decision was faster"
    assert stored["stock"] == {"book": 9}
    assert hear("other", 3) == []


@pytest.mark.parametrize("build", [orchestrated, choreographed, two_phase])
def test_on_a_bad_evening_every_order_still_comes_to_an_end(build):
    """A tenth of all messages is lost, each part crashes, and anna orders one book after the other."""
    shop = build(orders=(), seed=5, loss=0.1)

    def buy(request):
        number = request.number
        address = None if number % 3 == 0 else "1 Long Lane"
        message = {"kind": "place", "order": order(number, address=address)}
        while True:
            reply = yield from shop.ask(request, "orders", message, deadline=3.0)
            if reply.status != "timeout":
                return reply

    shop.users(buy, rate=1, end=60)
    for start, name in enumerate(["orders", *WORK], 2):
        shop.fault("crash", name, start=10 * start, end=10 * start + 4)
    run = shop.run(until=200)
    assert run.in_flight == 0
    assert run.requests > 40
    assert judge(shop) is None
    shipped = shop.parts["shipping"].stored["shipments"]
    assert len(shipped) == 2, "anna has the money for two"
    assert sum(shop.parts["inventory"].stored["stock"].values()) == 8


class AbortsAlone(Voter):
    """A planted mistake: in doubt for too long, it decides alone."""

    def _ask(self, n, row):
        return self._end({"stored": self.stored}, n, "abort")

    def __call__(self, state, event):
        self.stored = state["stored"]
        return super().__call__(state, event)


class Unlocked(Voter):
    """A planted mistake: nobody waits for anybody."""

    def _prepare(self, state, stored, event):
        return super()._prepare(state, {**stored, "locks": {}}, event)


class NeverAsks(Voter):
    """A planted mistake: it waits for a decision that was lost."""

    def _ask(self, n, row):
        return []


class GoesOn(Coordinator):
    """A planted mistake: after a crash it leaves alone what had begun."""

    def __call__(self, state, event):
        return step(state) if event["kind"] == "started" else super().__call__(state, event)


class Majority(Coordinator):
    """A planted mistake: two of three are enough."""

    def __init__(self, *participants):
        super().__init__(*participants)
        self.participants = _Fewer(participants)


class _Fewer(tuple):
    def __len__(self):
        return super().__len__() - 1


BUGS = {
    "tells before the decision is logged": {"coordinator": lambda: sends_first(Coordinator(*WORK))},
    "votes before it is prepared": {"voter": lambda work, name: sends_first(Voter(work, name=name))},
    "aborts alone": {"voter": AbortsAlone},
    "no locks": {"voter": Unlocked},
    "never asks": {"voter": NeverAsks},
    "goes on after a crash": {"coordinator": lambda: GoesOn(*WORK)},
    "a majority is enough": {"coordinator": lambda: Majority(*WORK)},
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_shrunk(bug):
    planted = dict(BUGS[bug])
    make = planted.pop("coordinator", lambda: None)
    found = search(lambda: two_phase(coordinator=make(), **planted), judge, until=60)
    assert found.broken is not None
    assert len(found.faults) <= 5


def test_who_is_in_doubt_asks_also_after_its_own_crash():
    shop = two_phase(orders=(order(1),))
    shop.fault("crash", "orders", start=0.0025, end=5)  # votes are under way
    shop.fault("crash", "inventory", start=2.0, end=7)
    run = shop.run(until=4)
    assert list(shop.parts["inventory"].stored["prepared"]) == [1]
    assert set(shop.parts["inventory"].stored["locks"]) == {("stock", "book"), ("reserved", 1)}
    again = two_phase(orders=(order(1),))
    again.fault("crash", "orders", start=0.0025, end=5)
    again.fault("crash", "inventory", start=2.0, end=7)
    run = again.run(until=60)
    assert judge(again) is None
    assert [row[3] for row in run.trace.requests] == [REJECTED], "what had only begun is aborted"
    assert again.parts["inventory"].stored["locks"] == {}
    asked = [run.trace.message_names()[i] for i, m in enumerate(run.trace.messages) if 2 < m[0] < 8]
    assert "what of" in asked


def hot(n, how, time=None, delay=0.01, orders=60, seed=1):
    """A shop where so many orders come at once, and each changes the same row of each of `n` participants.

    Returns it with the times at which they ended.
    """
    shop = Simulation(seed, delay=Constant(delay), record="spans")
    names = [f"part {k}" for k in range(n)]
    plan = [Task(f"do {name}", name) for name in names]
    coordinator = Coordinator(*names, patience=10**6) if how == "2pc" else Orchestrator(plan, patience=10**6)
    shop.process("orders", coordinator)
    for name in names:
        step = Voter(reserve, name=name, patience=10**6)
        step = step if how == "2pc" else participant({f"do {name}": reserve})
        shop.process(name, step, stored={"stock": {"book": orders}}, time=time)
    place(shop, [order(n) for n in range(1, orders + 1)], deadline=None)
    run = shop.run(until=10**6)
    assert run.ok == orders
    assert [shop.parts[name].stored["stock"]["book"] for name in names] == [0] * n
    return shop, np.sort([row[2] for row in run.trace.requests])


@pytest.mark.parametrize(("slower", "agrees"), [(1.0, True), (1.05, False), (0.95, False)])
def test_a_hot_row_commits_once_a_lock_hold_and_no_more(slower, agrees):
    """The row is locked from the vote until the decision is back: two delays."""
    _, ends = hot(2, "2pc", delay=0.01 * slower)
    throughput = float((len(ends) - 1) / (ends[-1] - ends[0]))
    assert (throughput == pytest.approx(theory.hot_row_throughput(theory.two_phase_hold(0.01, 2)))) is agrees


def holds(n, seed=1, mean=0.1, slower=1.0, orders=60):
    """Between two commits: from the run, and as the draws of the participants have it."""
    _, ends = hot(n, "2pc", Exponential(mean * slower), seed=seed, orders=orders)
    streams = Simulation(seed).streams
    draws = [streams.draws(f"part {k} service time", Exponential(mean)) for k in range(n)]
    work = np.array([[draw() for _ in range(2 * orders)] for draw in draws])
    slowest = work[:, orders + 1 : 2 * orders - 1].max(axis=0)
    return np.diff(ends)[1:], 2 * 0.01 + slowest


@pytest.mark.parametrize(("slower", "agrees"), [(1.0, True), (1.05, False)])
@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_the_hold_grows_with_the_participants(n, slower, agrees):
    """Everybody waits for the slowest: 2 d + s H(n). Exact on the draws, and in the mean."""
    both = [holds(n, seed, slower=slower) for seed in range(1, 6 if agrees else 2)]
    assert all(np.allclose(run, drawn, atol=1e-9) for run, drawn in both) is agrees
    if agrees:
        all_holds = np.concatenate([run for run, _ in both])
        expected = theory.two_phase_hold(0.01, n, 0.1)
        assert abs(all_holds.mean() - expected) < 4 * all_holds.std() / math.sqrt(len(all_holds))


def test_a_saga_keeps_a_row_only_for_its_own_work():
    """Locks wait for the slowest of eight participants; the saga's rows work next to each other."""

    def rate(how, n, time):
        ends = hot(n, how, time, orders=200)[1][1:]  # by then, everybody is in line
        return (len(ends) - 1) / (ends[-1] - ends[0])

    assert [rate("saga", n, Constant(0.02)) for n in (1, 8)] == pytest.approx([50, 50])
    assert [rate("2pc", n, Constant(0.02)) for n in (1, 8)] == pytest.approx([25, 25], rel=0.01)
    saga, two = ([rate(how, n, Exponential(0.02)) for n in (1, 8)] for how in ("saga", "2pc"))
    assert two[0] / two[1] > 1.6
    assert saga[0] / saga[1] < 1.5, "orders still catch each other up on the way"
    assert saga[1] / two[1] > 2.5


def two_desks(how):
    """Two services place orders for the same book; the first one is down from 10 to 20 s.

    How many the other one sells in 6 seconds before, while it is down, and after.
    """
    shop = Simulation(3, delay=Constant(0.05))
    for desk in ("orders", "office"):
        step = Coordinator(*WORK, name=desk) if how == "2pc" else Orchestrator(name=desk)
        shop.process(desk, step, workers=100)
    for name, (do, *_) in WORK.items():
        step = Voter(WORK[name][do], name=name) if how == "2pc" else participant(WORK[name])
        stored = {"stock": {"book": 10**6}, "accounts": dict.fromkeys(("orders", "office"), 10**6)}
        shop.process(name, step, stored=stored)

    def buy(desk):
        def journey(request):
            number = request.number
            message = {"kind": "place", "order": order(number, customer=desk), "request": number}
            return (yield from shop.ask(request, desk, message))

        return journey

    for desk in ("orders", "office"):
        shop.users(buy(desk), rate=4, end=30)
    shop.fault("crash", "orders", start=10, end=20)
    run = shop.run(until=80)
    office = {span[0] for span in run.trace.spans if span[3] == shop.parts["office"].node}
    ends = [row[2] for row in run.trace.requests if row[0] in office and row[3] == OK]
    assert not shop.parts["inventory"].stored.get("prepared"), "nothing stays locked"
    return [sum(start <= t < start + 6 for t in ends) for start in (2, 12, 22)]


def test_a_crashed_coordinator_blocks_the_others_and_a_crashed_orchestrator_does_not():
    before, meanwhile, after = two_desks("2pc")
    assert meanwhile == 0
    assert min(before, after) > 15
    assert min(two_desks("saga")) > 15


def blocked(seed, n=300, every=3.0, slow=0.98, delay=0.01, mttf=2.0, down=0.2, late=1.0):
    """Transactions one after the other, and a coordinator that crashes at random.

    How many were in doubt when it crashed; how many, by the times of the crashes; how many there were.
    """
    window = 2 * delay + slow  # from when the votes are asked for until the decision leaves
    shop = Simulation(seed, delay=Constant(delay), record="spans")
    shop.process("orders", Coordinator("fast", "slow", patience=10**6))
    for name, time in (("fast", None), ("slow", Constant(slow * late))):
        voter = Voter(reserve, name=name, patience=10**6)
        shop.process(name, voter, stored={"stock": {"book": 10**6}}, time=time)
    rng = np.random.default_rng([seed, 2])
    crashes, now = [], 0.0
    while now < n * every:
        now += rng.exponential(mttf)
        crashes.append(now)
        shop.fault("crash", "orders", start=now, end=now + down)
        now += down
    starts = [k * every + 0.5 for k in range(n)]
    up = [t for t in starts if not any(c <= t + delay <= c + down for c in crashes)]

    def place_at(number):
        def journey(request):
            shop.post(request, "orders", {"kind": "place", "order": order(number)})
            return
            yield

        After(shop.env, starts[number - 1], lambda _: shop.arrive(journey))

    for number in range(1, n + 1):
        place_at(number)
    shop.run(until=n * every + 20)
    rows = shop.parts["orders"].stored["transactions"]
    aborted = sum(row["status"] == "abort" for row in rows.values())
    asked = [t + delay for t in up]
    expected = sum(any(t < c < t + window for c in crashes) for t in asked)
    assert len(rows) == len(up)
    return aborted, expected, len(rows)


@pytest.mark.parametrize(("late", "agrees"), [(1.0, True), (1.05, False)])
def test_share_of_transactions_that_block(late, agrees):
    """Exact against the crash times; and in the mean 1 - e**(-w / MTTF)."""
    runs = [blocked(seed, late=late) for seed in range(1, 9 if agrees else 3)]
    assert all((aborted == expected) for aborted, expected, _ in runs) is agrees
    if agrees:
        total, n = sum(r[0] for r in runs), sum(r[2] for r in runs)
        p = theory.blocked_share(1.0, 2.0)
        assert abs(total / n - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_published_shares():
    assert theory.blocked_share(0.02, 1.0) == pytest.approx(0.0198, abs=5e-5)
    assert theory.blocked_share(0.02, 30 * 86400) == pytest.approx(7.7e-9, rel=0.01)
    assert theory.hot_row_throughput(0.02) == 50
    assert theory.two_phase_hold(0.01, 100) == 0.02
    assert theory.two_phase_hold(0.0, 100, 1.0) == pytest.approx(5.187, abs=5e-4)


def test_a_deadlock_ends_when_the_coordinator_loses_patience():
    """Each of two has what the other waits for. After 1 s one of them is told no, and the other goes on."""
    shop = Simulation(1, delay=Constant(0.001))
    for desk, patience in (("orders", 1.0), ("office", 2.0)):
        shop.process(desk, Coordinator("inventory", "payments", name=desk, patience=patience))
    for name, work in (("inventory", "reserve"), ("payments", "charge")):
        stored = {table: dict(rows) for table, rows in STORED[name].items()}
        shop.process(name, Voter(WORK[name][work], name=name), stored=stored)
    node = {name: shop.parts[name].node for name in ("orders", "office", "inventory", "payments")}
    near = {(node["orders"], node["inventory"]), (node["office"], node["payments"])}
    send = shop.messages._send

    def slower(source, target, kind, envelope, deliver):
        envelope.extra = 0.0 if (source, target) in near else 0.05
        send(source, target, kind, envelope, deliver)

    shop.messages._send = slower
    place(shop, (order(1),), "orders")
    place(shop, (order(2),), "office")
    run = shop.run(until=60)
    ended = {r[0]: (r[3], r[2]) for r in run.trace.requests}
    assert ended[1][0] == REJECTED
    assert 1 < ended[1][1] < 1.2
    assert ended[2][0] == OK
    assert 1 < ended[2][1] < 1.5
    assert [shop.parts[name].stored["prepared"] for name in ("inventory", "payments")] == [{}, {}]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Coordinator, "participants is"),
        (lambda: Coordinator("a", patience=0), "patience is 0"),
        (lambda: Voter(reserve, name="a", patience=-1), "patience is -1"),
        (lambda: theory.compensations(1.5, 5), "success is 1.5"),
        (lambda: theory.compensations(0.5, 0), "tasks is 0"),
        (lambda: theory.blocked_share(-1, 1), "window is -1"),
        (lambda: theory.blocked_share(1, 0), "mttf is 0"),
        (lambda: theory.hot_row_throughput(0), "hold is 0"),
        (lambda: theory.two_phase_hold(-1, 1), "delay is -1"),
    ],
)
def test_wrong_arguments_are_refused_in_words(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()

"""Sagas: what the log asks for, what participants keep, and a crash, loss, copy or delay at every point."""

import numpy as np
import pytest
from saga_shop import STORED, WORK, choreographed, judge, orchestrated, order, place, sends_first

from interplay import ArgumentError, Constant, Simulation, choreography, theory
from interplay.actions import commit, send, step
from interplay.after import After
from interplay.participants import UNDOES, imbalance, participant
from interplay.saga import BUY, Command, Orchestrator, Task, next_commands, outcome
from interplay.search import play, search
from interplay.trace import COMPENSATION, OK, REJECTED

LONG = (*BUY, Task("notify", "notifications"), Task("thank", "notifications"))


def run_log(plan, refused):
    """The log of a saga in which this task is refused; every restart on the way asks for the same."""
    log = []
    while commands := next_commands(plan, log):
        assert commands == next_commands(plan, tuple(log)), "a restart is the same call on the same log"
        (command,) = commands
        log.append((command.name, command.name != refused))
        assert len(log) <= 2 * len(plan)
    return log


def test_what_the_log_asks_for():
    assert next_commands(BUY, []) == [Command("reserve", "inventory", "event", False)]
    assert [name for name, _ in run_log(BUY, None)] == ["reserve", "charge", "ship"]
    assert run_log(BUY, "reserve") == [("reserve", False)]
    assert run_log(BUY, "charge") == [("reserve", True), ("charge", False), ("release", True)]
    assert [name for name, _ in run_log(BUY, "ship")] == ["reserve", "charge", "ship", "refund", "release"]
    assert [outcome(BUY, run_log(BUY, refused)) for refused in (None, "charge")] == ["ok", "rejected"]
    assert outcome(BUY, [("reserve", True)]) is None


def test_after_the_pivot_there_is_no_way_back():
    done = [("reserve", True), ("charge", True)]
    assert [command.final for command in next_commands(LONG, done)] == [False]  # ship, the pivot
    done.append(("ship", True))
    assert [(c.name, c.final) for c in next_commands(LONG, done)] == [("notify", True)]
    done.append(("notify", True))
    assert [(c.name, c.final) for c in next_commands(LONG, done)] == [("thank", True)]
    back = [*done[:2], ("ship", False)]
    assert [(c.name, c.kind, c.final) for c in next_commands(BUY, back)] == [("refund", "compensation", True)]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ((), "at least one Task"),
        ((Task("a", "x", "b"), Task("b", "x")), "names that differ"),
        ((Task("a", "x"), Task("b", "x", "c")), "no way back"),
    ],
)
def test_plans_are_refused_in_words(plan, words):
    with pytest.raises(ArgumentError, match=words):
        Orchestrator(plan)


def test_patience_is_a_time():
    with pytest.raises(ArgumentError, match="patience is 0"):
        Orchestrator(patience=0)
    with pytest.raises(ArgumentError, match="patience is -1"):
        choreography.initiator(patience=-1)


def saga_of(plan, refusals, seed=1):
    """Run one saga for each entry of `refusals`, the command that is to be refused; the shop and its run."""
    refused = dict(enumerate(refusals, 1))

    def answer(state, event):
        if "order" not in event:
            return step(state)
        number, name = event["order"]["number"], event["kind"]
        ok = refused[number] != name
        return step(state, send("orders", {"kind": "answer", "command": name, "number": number, "ok": ok}))

    shop = Simulation(seed, delay=Constant(0.001))
    shop.process("orders", Orchestrator(plan))
    shop.process("all", answer)
    place(shop, [order(n) for n in refused])
    return shop, shop.run(until=60)


def undone(shop, plan):
    """Compensations of each saga, from what was committed."""
    undos = {task.undo for task in plan}
    rows = shop.parts["orders"].stored["sagas"]
    return [sum(name in undos for name, _ in rows[n]["log"]) for n in sorted(rows)]


FIVE = tuple(Task(f"do {k}", "all", f"undo {k}") for k in range(5))


@pytest.mark.parametrize(("success", "agrees"), [(0.95, True), (0.95 * 0.95, False), (0.95 * 1.05, False)])
def test_mean_compensations_of_a_saga(success, agrees):
    """Each way that five tasks can go is run once; weighted with its probability, the sum is exact."""
    counts = undone(saga_of(FIVE, [*(f"do {k}" for k in range(5)), None])[0], FIVE)
    assert counts == [0, 1, 2, 3, 4, 0]
    weights = [success**k * (1 - success) for k in range(5)] + [success**5]
    mean = float(np.dot(counts, weights))
    assert (mean == pytest.approx(theory.compensations(0.95, 5), rel=1e-9)) is agrees
    assert round(theory.compensations(0.95, 5), 3) == 0.429


def test_sagas_with_luck_do_what_their_draws_say():
    rng = np.random.default_rng(12)
    fails = rng.random((1500, 5)) > 0.95
    first = [int(row.argmax()) if row.any() else None for row in fails]
    shop, run = saga_of(FIVE, [None if k is None else f"do {k}" for k in first])
    counts = undone(shop, FIVE)
    assert counts == [k or 0 for k in first]
    z = (np.mean(counts) - theory.compensations(0.95, 5)) / (np.std(counts) / len(counts) ** 0.5)
    assert abs(z) < 4
    assert run.ok == first.count(None)


def test_compensations_are_sent_in_reverse_order():
    shop = orchestrated(orders=(order(1, address=None),))
    run = shop.run(until=60)
    names = run.trace.message_names()
    sent = [names[i] for i, row in enumerate(run.trace.messages) if row[4] == COMPENSATION]
    assert sent == ["refund", "release"]
    assert [row[3] for row in run.trace.requests] == [REJECTED]


def test_the_same_orders_come_to_the_same_both_ways():
    ended = []
    for build in (orchestrated, choreographed):
        shop = build()
        run = shop.run(until=60)
        assert judge(shop) is None
        assert [run.trace.message_names()[0]] == ["place"]
        stored = {name: shop.parts[name].stored for name in WORK}
        assert stored["shipping"]["shipments"].keys() == {1}
        ended.append((sorted((r[0], r[3]) for r in run.trace.requests), stored))
    assert ended[0] == ended[1]
    assert [status for _, status in ended[0][0]] == [OK, REJECTED, REJECTED]


def test_what_each_way_costs_in_messages():
    """Orchestration asks and is answered, 2 n; choreography passes on, n + 1; both are asked and reply."""
    counts = [
        len(build(orders=(order(1),)).run(until=60).trace.messages) for build in (orchestrated, choreographed)
    ]
    assert counts == [2 * 3 + 2, 3 + 1 + 2]


def test_a_participant_does_once_and_answers_always():
    stored = {"stock": {"book": 10}}
    inventory = participant(WORK["inventory"])

    def ask(name, number=7, **other):
        event = {"kind": name, "order": order(number, **other), "from": "orders", "now": 0.0}
        actions = inventory({"stored": stored}, event)["actions"]
        for action in actions:
            if action["do"] == "commit":
                for table, key, value in action["writes"]:
                    rows = stored.setdefault(table, {})
                    rows[key] = value
                    if value is None:
                        del rows[key]
        return actions[-1]["message"]["ok"], len(actions) - 1

    assert ask("reserve") == (True, 1)
    assert ask("reserve") == (True, 0)
    assert stored["stock"] == {"book": 9}
    assert ask("reserve", number=8, quantity=3) == (True, 1)
    assert ask("release") == (True, 1)
    assert ask("release") == (True, 0)
    assert stored["stock"] == {"book": 7}, "added to what is there, not what was there restored"
    assert ask("reserve") == (True, 0), "a late copy changes nothing"
    assert ask("reserve", number=9, quantity=8) == (False, 1)
    assert ask("reserve", number=9, quantity=1) == (False, 0), "refused stays refused"
    assert ask("release", number=10) == (True, 1)
    assert ask("reserve", number=10) == (False, 0), "what comes after its undoing is refused"
    assert stored["stock"] == {"book": 7}
    assert stored["reserved"] == {8: 3}
    assert inventory({"stored": stored}, {"kind": "other"})["actions"] == []


def test_imbalance_says_what_is_wrong():
    def says(inventory=(), payments=(), shipping=(), under_way=()):
        databases = (dict(STORED["inventory"], **dict(inventory)), dict(STORED["payments"], **dict(payments)))
        return imbalance(*databases, dict(shipping), stock=10, money=20, under_way=under_way)

    assert says() is None
    assert says({"stock": {"book": 9}}) == "10 pieces were in stock, and 9 are there or reserved"
    assert says({}, {"charged": {1: 5}}) == "20 was in the accounts, and 25 is there or charged"
    half = {"stock": {"book": 9}, "reserved": {4: 1}}
    assert says(half) == "order 4 is reserved, and nothing else"
    assert says(half, under_way=[4]) is None
    assert says({}, {}, {"shipments": {4: 1}}) == "order 4 is shipped, and nothing else"


def test_asked_again_it_answers_again():
    for build in (orchestrated, choreographed):
        shop = build(orders=(order(1), order(2, address=None)))
        shop.fault("crash", "orders", start=20, end=21)

        def again(request, shop=shop):
            number = request.number - 2
            return (yield from shop.ask(request, "orders", {"kind": "place", "order": order(number)}))

        After(shop.env, 30, lambda _, shop=shop, again=again: [shop.arrive(again), shop.arrive(again)])
        run = shop.run(until=60)
        assert [row[3] for row in sorted(run.trace.requests)] == [OK, REJECTED] * 2
        assert shop.parts["shipping"].stored["shipments"] == {1: 1}


def test_what_must_succeed_is_repeated_until_it_does():
    """Notifications refuse twice, after the pivot: they are asked a third time, and nothing is undone."""
    refusals = iter([False, False, True])

    def notifications(state, event):
        if event["kind"] != "notify":
            return step(state)
        answer = {"kind": "answer", "command": "notify", "number": 1, "ok": next(refusals)}
        return step(state, send("orders", answer))

    shop = orchestrated(orders=(order(1),), orchestrator=Orchestrator(LONG[:4], patience=2.0))
    shop.process("notifications", notifications)
    run = shop.run(until=60)
    assert shop.parts["orders"].stored["sagas"][1]["log"] == tuple((task.do, True) for task in LONG[:4])
    assert [(row[3], 4 < row[2] < 4.1) for row in run.trace.requests] == [(OK, True)]
    assert not [row for row in run.trace.messages if row[4] == COMPENSATION]


@pytest.mark.parametrize("build", [orchestrated, choreographed])
def test_a_restarted_service_goes_on_and_its_user_hears_of_it(build):
    shop = build(orders=(order(1),))
    shop.fault("crash", "orders", start=0.0025, end=5)
    run = shop.run(until=60)
    (row,) = run.trace.requests
    assert row[3] == OK
    assert 5 < row[2] < 5.01
    assert judge(shop) is None
    sent = [m for m in run.trace.messages if m[0] >= 5]
    assert {m[6] for m in sent} == {1}, "what is sent after the crash belongs to the order again"


def locked(seed=1, lock=lambda order: order["customer"], orchestrator=None):
    return orchestrated(orchestrator=orchestrator or Orchestrator(lock=lock), seed=seed)


def test_a_semantic_lock_keeps_other_sagas_out_until_the_end():
    shop = locked()
    run = shop.run(until=60)
    assert [row[3] for row in sorted(run.trace.requests)] == [OK, REJECTED, REJECTED]
    assert shop.parts["orders"].stored["sagas"].keys() == {1}, "the others never began"
    assert shop.parts["orders"].stored["locks"] == {}
    other = locked(lock=lambda order: order["number"])
    other.run(until=60)
    assert other.parts["orders"].stored["sagas"].keys() == {1, 2, 3}


def at_most_one_at_a_time(shop):
    """Judges whether two sagas of the same customer were under way at once."""
    if len(shop.at_once) > 1:
        return f"{sorted(shop.at_once)} were under way at once"
    return judge(shop)


def watched(orchestrator):
    """A shop whose second order comes while the first is under way, and that notes how many are open."""

    def build():
        shop = locked(orchestrator=None)
        process = shop.parts["orders"]
        process.step = orchestrator()
        shop.at_once = set()
        inner = process.step

        def looks(state, event):
            answer = inner(state, event)
            rows = state["stored"].get("sagas", {})
            now = {n for n, row in rows.items() if outcome(BUY, row["log"]) is None}
            shop.at_once = max(shop.at_once, now, key=len)
            return answer

        process.step = looks

        def later(request):
            message = {"kind": "place", "order": order(request.number)}
            return (yield from shop.ask(request, "orders", message, deadline=20))

        After(shop.env, 1.5, lambda _: shop.arrive(later))
        return shop

    return build


class LockInMemory(Orchestrator):
    """A planted mistake: a crash opens the lock."""

    def __call__(self, state, event):
        state["stored"] = {**state["stored"], "locks": state.setdefault("locks", {})}
        answer = super().__call__(state, event)
        for action in answer["actions"]:
            if action["do"] == "commit":
                for _, key, value in [w for w in action["writes"] if w[0] == "locks"]:
                    state["locks"].pop(key, None) if value is None else state["locks"].update({key: value})
                action["writes"] = [w for w in action["writes"] if w[0] != "locks"]
        return answer


def test_a_semantic_lock_outlives_a_crash():
    build = watched(lambda: Orchestrator(lock=lambda order: order["customer"]))
    found = search(build, at_most_one_at_a_time, until=60, tries=60)
    assert found.broken is None, (found.broken, found.happened)
    broken = search(
        watched(lambda: LockInMemory(lock=lambda order: order["customer"])), at_most_one_at_a_time, until=60
    )
    assert broken.broken.endswith("were under way at once")
    assert 1 <= len(broken.faults) <= 5


@pytest.mark.parametrize(("build", "places"), [(orchestrated, 103), (choreographed, 58)])
def test_no_fault_at_any_point_loses_or_invents_anything(build, places):
    found = search(build, judge, until=60)
    assert found.broken is None, (found.broken, found.happened)
    assert len(found.places) == places
    assert found.schedules > 400


def does_it_each_time(work, undoes=UNDOES):
    """A planted mistake: a participant that does not remember what it has done."""

    def carry_out(state, event):
        if event["kind"] not in work:
            return step(state)
        number = event["order"]["number"]
        try:
            writes = work[event["kind"]](state["stored"], event["order"])
        except KeyError:
            writes = []
        answer = {"kind": "answer", "command": event["kind"], "number": number, "ok": writes is not None}
        return step(state, commit(*writes) if writes else None, send(event["from"], answer))

    return carry_out


def answers_first(work, undoes=UNDOES):
    return sends_first(participant(work, undoes))


def remembers_apart(work, undoes=UNDOES):
    """A planted mistake: the effect and the note of it are two commits."""

    def carry_out(state, event):
        answer = participant(work, undoes)(state, event)
        for action in [a for a in answer["actions"] if a["do"] == "commit"]:
            effect = [w for w in action["writes"] if w[0] != "answers"]
            note = [w for w in action["writes"] if w[0] == "answers"]
            answer["actions"][:1] = [commit(*writes) for writes in (effect, note) if writes]
        return answer

    return carry_out


def restores(stored, order):
    """A planted mistake: what was in stock before comes back, whoever has bought in between."""
    was = stored["was"][order["number"]]
    return [("stock", order["item"], was), ("reserved", order["number"], None)]


def reserves(stored, order):
    writes = WORK["inventory"]["reserve"](stored, order)
    return None if writes is None else [*writes, ("was", order["number"], stored["stock"][order["item"]])]


class SilenceMeansNo(Orchestrator):
    """A planted mistake: what is not answered in time has not been done, it thinks."""

    def _look_again(self, state, event, sagas):
        actions = []
        for number, sent in list(state.get("since", {}).items()):
            for command in next_commands(self.plan, sagas[number]["log"]):
                if sent + self.patience <= event["now"] + 1e-9 and not command.final:
                    no = {"command": command.name, "number": number, "ok": False, "now": event["now"]}
                    actions += self._answered(state, no, sagas[number])["actions"]
        return step(state, *actions, *super()._look_again(state, event, sagas)["actions"])


class NeverAsksAgain(Orchestrator):
    """A planted mistake: after a crash it waits for answers that went to nobody."""

    def _look_again(self, state, event, sagas):
        return step(state)


BUGS = {
    "sends before it commits": {"orchestrator": lambda: sends_first(Orchestrator())},
    "silence means no": {"orchestrator": SilenceMeansNo},
    "never asks again": {"orchestrator": NeverAsksAgain},
    "does it each time": {"make": does_it_each_time},
    "remembers apart": {"make": remembers_apart},
    "answers before it commits": {"make": answers_first},
    "restores a stale value": {
        "work": {**WORK, "inventory": {"reserve": reserves, "release": restores}},
    },
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_shrunk(bug):
    planted = dict(BUGS[bug])
    make = planted.pop("orchestrator", Orchestrator)

    def build():
        return orchestrated(orchestrator=make(), **planted)

    found = search(build, judge, until=60)

    assert found.broken is not None
    assert len(found.faults) <= 5
    shop, _, run = play(build, found.faults, until=60)
    assert judge(shop) == found.broken
    assert run.trace.digest() == found.run.trace.digest(), "the same schedule gives the same run"


def quiet(name, work):
    """A planted mistake: a service that says nothing when it hears something twice."""
    react = choreography.reactor(name, work)

    def once_only(state, event):
        answer = react(state, event)
        heard = any(action["do"] == "commit" for action in answer["actions"])
        return answer if heard else step(answer["state"])

    return once_only


def test_a_planted_bug_in_the_choreography_is_found():
    found = search(lambda: choreographed(make=quiet), judge, until=60)
    assert found.broken == "[1, 2, 3] never ended"
    assert len(found.faults) == 1

"""The whole shop: the good mix keeps its promises, and each flaw of a design is found and named."""

import json

import pytest

from interplay.actions import step
from interplay.capstone import (
    LEVELS,
    Design,
    Shop,
    board,
    changed,
    designs,
    paste,
    play,
    problems,
    replay,
    schedule,
    schedules,
    score,
    shortest,
    story,
    table,
    watch,
    words,
)
from interplay.capstone.designs import MIX, consumer, hasty_consumer, saga

FEW = schedules(25)


def broken(outcomes):
    """The words, without the numbers of orders."""
    return {outcome.books or outcome.letters for outcome in outcomes}


@pytest.fixture(scope="module")
def mix():
    return score(designs()["a good mix"], FEW)


def test_the_good_mix_keeps_its_promises_and_its_levels(mix):
    assert not mix.broken_books
    assert not mix.broken_letters
    assert mix.missed == []


def test_the_other_designs_fail_where_they_are_meant_to(mix):
    of = {name: score(design, FEW[:12]) for name, design in designs().items() if name != "a good mix"}
    assert of["all synchronous"].broken_books
    assert of["all synchronous"].broken_letters
    assert of["retry everything"].messages > 2 * mix.messages
    assert of["retry everything"].soon("order") < 0.6
    queues = of["all asynchronous"]
    assert not queues.broken_books
    assert not queues.broken_letters
    assert queues.stale > 2 * mix.stale
    assert queues.messages > mix.messages


def test_schedules_are_plain_and_the_same_each_time():
    assert schedules(30) == schedules(30)
    assert json.loads(json.dumps(schedules(30), default=list))
    assert schedule(3) != schedule(3, seed=1)
    kinds = [fault.get("kind", "partition") for one in schedules(100) for fault in one["faults"]]
    assert {"slow", "crash", "partition"} == set(kinds)
    for what in ("spikes", "poison", "points"):
        assert any(one[what] for one in schedules(100))


def test_a_run_is_the_same_each_time():
    design = designs()["a good mix"]
    assert play(design, FEW[2]) == play(design, FEW[2])


def sagas():
    """Named flaws of a saga, each as a change of the good one."""
    good = saga()

    def without(kind):
        def drop(state, event):
            answer = good(state, event)
            return step(answer["state"], *(a for a in answer["actions"] if a["do"] != kind))

        return drop

    def past_the_outbox(state, event):
        actions = []
        for action in good(state, event)["actions"]:
            news = action.get("news")
            actions.append({**action, "news": None} if action["do"] == "commit" else action)
            if news:
                actions.append({"do": "publish", "news": news})
        return step(good(state, event)["state"], *actions)

    def deaf_after_a_crash(state, event):
        return step(state) if event["kind"] == "started" else good(state, event)

    return {
        "never asks again": without("timer"),
        "publishes past the outbox": past_the_outbox,
        "does not go on after a crash": deaf_after_a_crash,
    }


@pytest.mark.parametrize(
    "flaw", ["never asks again", "publishes past the outbox", "does not go on after a crash"]
)
def test_a_flaw_in_the_saga_breaks_the_books(flaw):
    found = score(Design(MIX, sagas()[flaw], consumer), schedules(60), pages=False)
    assert found.broken_books


CONSUMERS = {
    "acknowledges first": lambda s, e: step(
        s, {"do": "ack"}, {"do": "write and record"} if e["order"] else None
    ),
    "writes without a record": lambda s, e: step(s, {"do": "write"} if e["order"] else None, {"do": "ack"}),
    "gives poison back for ever": lambda s, e: (
        consumer(s, e) if e["order"] else step(s, {"do": "nack", "delay": 1.0})
    ),
    "writes what it cannot read": lambda s, e: step(
        s, None if e["recorded"] else {"do": "write and record"}, {"do": "ack"}
    ),
}


@pytest.mark.parametrize("flaw", CONSUMERS)
def test_a_flaw_in_the_consumer_breaks_the_letters(flaw):
    config = changed(MIX, queues={"deliveries": None})
    found = score(Design(config, saga(), CONSUMERS[flaw]), schedules(60), pages=False)
    assert found.broken_letters
    assert not found.broken_books


def test_what_is_wrong_with_a_configuration_is_said_in_words():
    assert problems(MIX) == []
    wrong = changed(MIX, pages={"attempts": 0}, news={"every": "often"}, workers={"gateway": 3})
    del wrong["queues"]
    said = "\n".join(problems(wrong))
    assert "config['pages']['attempts'] is 0: it has to be a whole number from 1 to 10" in said
    assert "config['news']['every'] is 'often'" in said
    assert "'queues' is missing" in said
    assert "nobody knows 'gateway'" in said
    assert problems([]) == ["A configuration is a dictionary, and this is []."]
    assert problems(changed(MIX, pages={"attempts": True}))
    with pytest.raises(ValueError, match="visibility"):
        play(Design(changed(MIX, queues={"visibility": 0}), saga(), consumer), FEW[0])


@pytest.mark.parametrize("answer", [None, {"state": {}}, {"state": {}, "actions": [{"do": "dance"}]}])
def test_an_answer_that_is_none_is_told(answer):
    with pytest.raises((TypeError, ValueError), match=r"the saga answers|an action does"):
        play(Design(MIX, lambda state, event: answer, consumer), FEW[0])
    with pytest.raises((TypeError, ValueError), match=r"the consumer answers|an action does"):
        play(Design(MIX, saga(), lambda state, event: answer), FEW[0])


def test_a_small_crowd_stands_in_the_schedule_itself():
    small = score(designs()["a good mix"], schedules(30, small=True))
    assert not small.broken_books
    assert not small.broken_letters
    assert not any(outcome.answers["page"] for outcome in small.outcomes)
    assert all(outcome.answers["order"] for outcome in small.outcomes)
    points = [int(point) for one in schedules(100, small=True) for point in one["points"]]
    assert max(points) < 120
    assert Shop(designs()["a good mix"], schedule(1, small=True)).until == 30


def test_the_levels_say_what_is_missed():
    found = score(designs()["all asynchronous"], FEW[:12])
    assert any(
        said.startswith("staleness, until analytics knows, 99th percentile: 4.9") for said in found.missed
    )
    assert any(said.endswith("; at least 97 % is wanted") for said in found.missed)
    for level in LEVELS:
        assert level.met(level.limit)
        worse = level.limit * (0.99 if level.least is not None else 1.01)
        assert not level.met(worse)
        assert (level.name in "".join(found.missed)) == (not level.met(found.value(level)))


def test_the_board_shows_each_design_with_marks_and_words(mix):
    scores = {"mine": mix, "naive": score(designs()["all synchronous"], FEW[:12])}
    said, page = str(table(scores)), table(scores)._repr_mimebundle_()["text/html"]
    for text in (said, page):
        assert f"✗ in {len(scores['naive'].broken_books)} of 12" in text
        assert "✓ in 0 of 25" in text
        assert "at most 2.5 s" in text
    picture = board(scores)
    assert "mine: books broken in 0 of 25" in picture.alt
    assert "naive: books broken in" in picture.alt
    assert picture.alt.endswith("not good enough: books broken, letters broken, pages, orders.")
    assert len(picture.figure.axes) == 8
    with pytest.raises(ValueError, match="at least one score"):
        board({})


def test_a_schedule_in_words_tells_every_fault():
    for one in schedules(60):
        told = " ".join(words(one))
        for fault in one["faults"]:
            assert f"from {fault['start']:g} to {fault['end']:g} s" in told
        for moment in one["poison"]:
            assert f"at {moment:g} s a message comes" in told
        assert all(f"{spike['rate']:g} more orders" in told for spike in one["spikes"])
        assert all(point in told for point in one["points"])


def test_the_shortest_schedule_needs_every_fault_it_has():
    naive, full = designs()["all synchronous"], schedule(0)
    short = shortest(naive, full, lambda outcome: outcome.books)
    assert play(naive, short).books
    assert sum(len(short[part]) for part in ("faults", "spikes", "poison", "points")) == 1
    assert shortest(designs()["a good mix"], full) == full
    assert full == schedule(0)


def test_a_story_is_about_what_was_broken():
    naive = designs()["all synchronous"]
    short = shortest(naive, schedule(0), lambda outcome: outcome.books)
    told = story(naive, short).alt
    assert play(naive, short).books == "order o4 is reserved and charged, and nothing else"
    assert "charged: o4" in told
    assert "orders crashes" in told
    assert "ship" not in told
    lost = {**short, "points": {}, "poison": [3.0]}
    assert "poison 0" in story(Design(MIX, saga(), hasty_consumer), lost).alt


def test_the_trace_of_an_order_goes_on_behind_the_outbox():
    calm = {**schedule(1), "faults": [], "spikes": [], "poison": [], "points": {}}
    told = story(designs()["a good mix"], calm).alt
    assert "relay sends order done to orders log" in told
    assert "letters queue sends order done to notifications" in told


def test_a_schedule_can_be_replayed_by_one_line():
    naive, one = designs()["all synchronous"], schedule(0)
    run = replay(naive, one).run(until=45)
    assert run.trace.messages
    assert len(run.trace.messages) == play(naive, one).messages
    assert not replay(naive, one, faults=False).points.faults
    seen = {"Design": Design}
    exec(paste(one, 'designs()["all synchronous"]').replace("; watch(", "; player = watch("), seen)
    assert len(seen["player"].run.trace.messages) == play(naive, one).messages
    assert watch(naive, one).setup["compare"] == ["no fault"]


def test_a_saga_waits_longer_each_time():
    asks = saga(patience=1.0)
    event = {"kind": "started", "order": {"number": "o1"}, "record": {}, "now": 0.0}
    answer, now, waits = asks({}, event), 0.0, []
    while len(waits) < 6:
        waits.append(answer["actions"][-1]["after"])
        early = asks(answer["state"], {**event, "kind": "timer", "now": now + waits[-1] / 2})
        assert not early["actions"], "a timer of an earlier question"
        now += waits[-1]
        answer = asks(answer["state"], {**event, "kind": "timer", "now": now})
    assert waits == [1, 2, 4, 8, 8, 8]


def test_a_storm_of_questions_outlives_its_cause():
    slow = {"kind": "slow", "service": "payments", "factor": 20.0, "start": 3.0, "end": 6.0}
    spike = {"start": 3.0, "end": 5.0, "rate": 12.0}
    crowd = {"pages": 0.0, "orders": 1.0, "busy": 12.0, "until": 45.0}
    for seed in (1, 2, 3):
        case = {"seed": seed, "faults": [slow], "spikes": [spike], "poison": [], "points": {}, "crowd": crowd}
        storm = play(Design(MIX, saga(0.1, 1.0), consumer), case)
        calm = play(Design(MIX, saga(0.1, 2.0), consumer), case)
        assert storm.books
        assert not calm.books
        assert storm.messages > 3 * calm.messages


def test_work_times_can_be_given():
    quick = play(designs()["all synchronous"], schedule(0), times={"payments": 0.001})
    usual = play(designs()["all synchronous"], schedule(0))
    assert min(quick.answers["order"]) < min(usual.answers["order"])

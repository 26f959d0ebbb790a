"""The whole shop: the good mix keeps its promises, and each flaw of a design is found and named."""

import json

import pytest

from interplay.actions import step
from interplay.capstone import Design, changed, designs, play, problems, schedule, schedules, score
from interplay.capstone.designs import MIX, consumer, saga

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
    assert mix.soon("page") > 0.97
    assert mix.old < 0.14
    assert mix.soon("order") > 0.92
    assert mix.stale < 2
    assert mix.messages < 12
    assert mix.workers <= 26


def test_the_other_designs_fail_where_they_are_meant_to(mix):
    of = {name: score(design, FEW[:12]) for name, design in designs().items() if name != "a good mix"}
    assert of["all synchronous"].broken_books
    assert of["all synchronous"].broken_letters
    assert of["retry everything"].messages > 3 * mix.messages
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

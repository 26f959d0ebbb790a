"""Request and reply over messages: each answer finds its question, whatever is late, doubled or lost."""

import itertools

import pytest

from interplay import ArgumentError, Constant, Exponential, Simulation, requester, responder
from interplay.actions import ack, commit, reply, step
from interplay.search import play, search


def quote(stored, body):
    """The price of an order, and a note that it was asked for."""
    return {"price": 10 * body["id"]}, [("asked", None, body["id"])]


ASK = requester("questions", "answers", patience=2.0)


def shop_of(asks=ASK, answers=None, delay=0.01, visibility=1.0, seed=1, **process):
    """Orders asks pricing by the queue "questions", and has the answers by the queue "answers"."""
    shop = Simulation(seed=seed, delay=Constant(delay))
    questions = shop.queue("questions", visibility=visibility)
    back = shop.queue("answers", visibility=visibility)
    back.subscribe(shop.process("orders", asks), prefetch=5)
    questions.subscribe(shop.process("pricing", answers or responder(quote), **process), prefetch=5)
    shop.numbers = itertools.count(1)

    def journey(request):
        answer = yield from shop.ask(
            request, "orders", {"kind": "ask", "id": next(shop.numbers)}, deadline=30
        )
        return answer

    shop.journey = journey
    return shop


def prices(shop):
    return {tag: answer["price"] for tag, answer in shop.parts["orders"].stored.get("answers", {}).items()}


def test_an_answer_takes_four_ways_and_the_work():
    shop = shop_of(time=Constant(0.5))
    shop.arrive(shop.journey)
    run = shop.run(until=10)
    assert run.ok == 1
    assert run.latency.mean == pytest.approx(0.5 + 6 * 0.01)  # two of the six are the user's
    assert prices(shop) == {1: 10}


def test_answers_that_overtake_each_other_find_their_questions():
    shop = shop_of(workers=10, time=Exponential(0.5), visibility=100.0)
    shop.users(shop.journey, rate=5, end=20)
    run = shop.run(until=60)
    assert run.requests > 80
    assert run.statuses.keys() <= {"ok", "timeout"}
    assert run.in_flight == 0
    assert prices(shop) == {n: 10 * n for n in prices(shop)}
    assert len(prices(shop)) == run.ok
    assert shop.parts["orders"].state["waiting"] == ()


def test_a_late_answer_is_acknowledged_and_ignored():
    shop = shop_of(time=Constant(3.0), visibility=100.0)
    shop.arrive(shop.journey)
    run = shop.run(until=20)
    assert run.statuses == {"timeout": 1}
    assert next(iter(run.trace.requests))[2] == pytest.approx(2.02)
    assert prices(shop) == {}
    assert shop.parts["answers"].queue.acked == 1


def test_a_question_that_comes_again_gets_the_same_answer_and_does_nothing_twice():
    counted = itertools.count()

    def changing(stored, body):
        return {"price": next(counted)}, [("asked", None, body["id"])]

    shop = shop_of(answers=responder(changing), visibility=0.3, time=Constant(0.2), workers=1)
    shop.network.loss = 0.3
    for _ in range(10):
        shop.arrive(shop.journey)
    shop.run(until=60)
    pricing = shop.parts["pricing"].stored
    assert len(pricing["asked"]) == len(set(pricing["asked"])) > 2
    assert shop.parts["questions"].queue.counts["redelivered"] > 0
    for tag, price in prices(shop).items():
        assert pricing["answered"][tag] == {"price": price}


def test_without_queues_the_parts_send_to_each_other():
    shop = Simulation(seed=1, delay=Constant(0.01))
    shop.process("orders", requester("pricing", "orders", patience=2.0))
    shop.process("pricing", responder(quote), time=Constant(0.1))
    shop.arrive(lambda request: shop.ask(request, "orders", {"kind": "ask", "id": 4}))
    run = shop.run(until=5)
    assert run.ok == 1
    assert prices(shop) == {4: 40}


def test_impatience_is_refused():
    with pytest.raises(ArgumentError, match="patience is 0, but must be a number above 0"):
        requester("questions", "answers", patience=0)


# Searches


def three_asked(asks, answers=None):
    def build():
        shop = shop_of(asks, answers, time=Constant(0.1))
        for _ in range(3):
            shop.arrive(shop.journey)
        return shop

    return build


def each_answer_finds_its_question(shop):
    wrong = {tag: price for tag, price in prices(shop).items() if price != 10 * tag}
    if wrong:
        return f"wrong answers: {wrong}"
    asked = shop.parts["pricing"].stored.get("asked", [])
    if len(asked) != len(set(asked)):
        return f"asked: {asked}"
    if shop._open:
        return "a user waits for ever"
    return None


def test_no_fault_gives_a_wrong_answer():
    found = search(three_asked(ASK), each_answer_finds_its_question, until=60, tries=80)
    assert found.broken is None, found.happened
    assert len(found.places) == 21, sorted(found.places)


def by_position(state, event):
    """It takes the next answer for that to its oldest question."""
    if event["kind"] != "delivery" or not state.get("waiting"):
        return ASK(state, event)
    tag, *others = state["waiting"]
    kept = commit(("answers", tag, event["body"]["body"]))
    return step({**state, "waiting": tuple(others)}, kept, reply(), ack(event))


def answers_again(state, event):
    """It works anew each time that a question comes."""
    if event["kind"] != "delivery":
        return step(state)
    return responder(quote)({**state, "stored": {}}, event)


def test_a_search_finds_answers_that_are_matched_by_position():
    found = search(three_asked(by_position), each_answer_finds_its_question, until=60)
    assert found.broken.startswith("wrong answers")
    assert len(found.faults) == 1
    assert each_answer_finds_its_question(play(three_asked(by_position), found.faults, 60)[0]) == found.broken


def test_a_search_finds_a_question_that_is_worked_on_twice():
    found = search(three_asked(ASK, answers_again), each_answer_finds_its_question, until=60)
    assert found.broken.startswith("asked")
    assert len(found.faults) == 1

"""Choosing: one first choice for every interaction, a run behind each rule; maturity and return."""

import itertools
import math

import numpy as np
import pytest

from interplay import ArgumentError
from interplay.choosing import (
    DIMENSIONS,
    LEVELS,
    PATTERNS,
    RULES,
    Interaction,
    facts,
    next_milestone,
    overall,
    plan,
    recommend,
    roi,
)
from interplay.choosing import levels as levels_of
from interplay.choosing.calling import MACHINE
from interplay.choosing.costs import play
from interplay.choosing.explorer import SHOWN, explorer, interaction, layout
from interplay.choosing.interaction import FACTS, LARGE, ONE_MACHINE, QUESTIONS
from interplay.choosing.radar import radar, spread
from interplay.choosing.rules import holding
from interplay.choosing.runs import RUNS, contrast
from interplay.choosing.shops import BUILD, FAULTS, OWN, SERVICES, UNTIL, Shop
from interplay.trace import ERROR

# ------------------------------------------------------------------------------------------ the table

GRID = {
    "answer": ["now", "soon", "never"],
    "stale": [0.0, 5.0],
    "may_fail": [True, False],
    "listeners": [1, 3],
    "order": ["none", "by key"],
    "audit": [False, True],
    "changes": [0, 1, 2, 3],
    "payload": [1.0, LARGE, LARGE + 1],
    "rate": [1.0, ONE_MACHINE, ONE_MACHINE + 1],
    "teams": [1, 2, 8],
}


def test_every_interaction_has_exactly_one_first_choice():
    """The whole grid, with the values on both sides of each border."""
    seen = dict.fromkeys((rule.name for rule in RULES), 0)
    for values in itertools.product(*GRID.values()):
        asked = dict(zip(GRID, values, strict=True))
        found = holding(asked)
        assert len(found) == 1, (asked, [rule.name for rule in found])
        seen[found[0].name] += 1
    assert all(seen.values()), "a rule that never holds"
    assert sum(seen.values()) == math.prod(map(len, GRID.values()))


def test_every_combination_of_facts_too():
    """Also those that no interaction has been thought of for."""
    for values in itertools.product(*FACTS.values()):
        known = dict(zip(FACTS, values, strict=True))
        if not known["audit"] or known["changes"] == "one":
            assert sum(rule.holds(known) for rule in RULES) == 1, known


def test_rules_name_facts_and_patterns_that_there_are():
    for rule in RULES:
        assert rule.pattern != rule.runner_up
        assert {rule.pattern, rule.runner_up} <= set(PATTERNS)
        for fact, allowed in rule.needs.items():
            assert set(allowed) < set(FACTS[fact]), f"{rule.name}: {fact} decides nothing"
    assert {rule.pattern for rule in RULES} == set(PATTERNS) - {"two-phase commit"}


def test_the_verdicts_that_the_course_promises():
    assert recommend({}).pattern == "call"
    assert recommend({"changes": 3, "teams": 1}).pattern == "monolith"
    assert recommend({"changes": 3}).pattern == "saga"
    assert recommend({"changes": 1, "audit": True}).unit == "13-event-sourcing"
    assert recommend({"answer": "soon", "changes": 1}).pattern == "202"
    assert recommend({"answer": "never", "listeners": 2, "changes": 1}).pattern == "outbox"
    assert recommend({"may_fail": False, "stale": 5}).pattern == "log"
    assert recommend({"answer": "never", "payload": 5000}).pattern == "claim check"


def test_what_an_interaction_needs_on_top():
    assert any("claim check" in words for words in recommend({"payload": 5000}).also)
    assert any("idempotency key" in words for words in recommend({"changes": 1}).also)
    assert any("under the key" in words for words in recommend({"changes": 3, "order": "by key"}).also)
    assert any("two of it" in words for words in recommend({"teams": 1, "may_fail": False}).also)
    assert recommend({}).also == ()


def test_an_interaction_is_plain_data_and_refuses_what_cannot_be():
    asked = Interaction(answer="soon", rate=5)
    assert Interaction(**asked.plain()) == asked
    assert set(asked.plain()) == set(QUESTIONS) == set(GRID)
    assert set(facts(asked)) == set(FACTS)
    for wrong in (
        {"answer": "later"}, {"stale": -1}, {"may_fail": "no"}, {"listeners": 0}, {"order": "total"},
        {"audit": 1}, {"changes": -1}, {"payload": 0}, {"rate": 0}, {"teams": 0}, {"speed": 3},
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            recommend(wrong)


# ------------------------------------------------------------------------------------------- the runs


def test_there_is_a_run_for_each_rule_and_it_is_of_that_rule():
    assert list(RUNS) == [rule.name for rule in RULES]
    for name, evidence in RUNS.items():
        assert recommend(evidence.interaction).rule == name
        assert evidence.fault in FAULTS
        assert evidence.margin > 0


@pytest.mark.parametrize("name", RUNS)
def test_each_rule_is_shown_by_its_run(name):
    seeds = range(1, 4) if name == "several databases" else range(1, 6)
    shown = contrast(name, seeds)
    assert shown.shown, f"{shown.better_by} is not beyond {shown.margin}"


@pytest.mark.parametrize("pattern", BUILD)
def test_each_pattern_is_built_for_whatever_is_asked(pattern):
    """Nothing is lost on a good day; the same seed gives the same costs."""
    for asked in ({}, {"changes": 3, "listeners": 2}, {"answer": "never", "payload": 3000, "listeners": 2}):
        cost = play(pattern, {**asked, "rate": 4})
        assert cost.ok > 0.9
        assert cost.done == 1 or (pattern == "queue" and asked), "competing consumers"
        assert cost.messages >= 2
        assert cost == play(pattern, {**asked, "rate": 4})
    assert set(BUILD) == set(PATTERNS)


def test_what_is_counted_is_known_where_it_can_be_reckoned():
    """Messages of one request: question and answer, and twice as many for each call on the way."""
    for listeners in (1, 3):
        assert play("monolith", {"listeners": listeners}).messages == 2
        assert play("call", {"listeners": listeners}).messages == 2 + 2 * listeners
        assert play("gateway", {"listeners": listeners}).calls == listeners
    assert play("saga", {"changes": 3, "rate": 5}).messages == 2 + 2 * 3
    assert play("two-phase commit", {"changes": 3, "rate": 2}).messages == pytest.approx(2 + 3 * 3, abs=0.2)
    assert play("queue", {"answer": "never"}).messages == 2 + 3  # the message, its delivery, its ack
    assert play("log", {"answer": "never", "listeners": 2}).rows == 3  # a record, and a row at each reader
    assert play("monolith", {}).parts == 1


def test_a_fault_hits_the_service_and_not_its_queue():
    cost = play("queue", {"answer": "never"}, fault="down")
    assert (cost.done, cost.lost, cost.ok) == (1, 0, 1)
    assert cost.behind > 1
    assert play("call", {}, fault="down").lost == 0, "who is refused was promised nothing"


def test_a_bad_replica_does_as_much_harm_as_a_bad_service():
    """A third of the calls reach it, so it fails nine in ten where a lone service fails three."""
    for pattern, name, share in (("mesh", "inventory 1", 0.9), ("call", "inventory", 0.3)):
        shop = Shop(pattern, {"rate": 60}, fault="bad", knobs={"attempts": 1})
        trace = shop.simulation.run(until=UNTIL).trace
        failed = [row[7] == ERROR for row in trace.spans if row[3] == trace.node(name)]
        assert np.mean(failed) == pytest.approx(share, abs=0.12), pattern


def test_one_machine_is_half_of_what_it_can_do():
    """Up to three services' work in one process."""
    assert ONE_MACHINE == 0.5 * MACHINE / (OWN * 4)
    assert play("monolith", {"changes": 3, "teams": 1, "rate": ONE_MACHINE}).p99 < 0.3
    assert play("monolith", {"changes": 3, "teams": 1, "rate": 3 * ONE_MACHINE}).p99 > 0.6


def test_knobs_are_turned_and_unknown_ones_refused():
    slow = play("outbox", {"answer": "never", "changes": 1}, knobs={"every": 1.0}).behind
    fast = play("outbox", {"answer": "never", "changes": 1}, knobs={"every": 0.02}).behind
    assert fast < 0.2 < 0.9 < slow
    for how in ({"knobs": {"speed": 1}}, {"fault": "fire"}):
        with pytest.raises(ArgumentError):
            Shop("call", {}, **how)
    with pytest.raises(ArgumentError, match="pattern"):
        Shop("prayer", {})


# --------------------------------------------------------------------------------------- the explorer


def ask(player, compare="", **values):
    shown = {c["name"]: c["value"] for c in player.setup["controls"]}
    player._hear(player, {"do": "run", "number": 1, "values": shown | values, "compare": compare}, [])
    assert player.problem == {}
    return player.answer["says"]


def test_the_explorer_says_the_choice_and_what_both_cost(monkeypatch):
    monkeypatch.setattr("interplay.player.widget.MOMENT", 60.0)
    player = explorer()
    assert [control["name"] for control in player.setup["controls"]] == list(QUESTIONS)
    for values in (
        {},
        {"answer": 2, "changes": 1, "listeners": 2},
        {"teams": 1},
        {"may_fail": 1, "stale": 5},
    ):
        for compare in ("", "the runner-up"):
            said = ask(player, compare, **values)
            choice = recommend(player.values)
            assert said[0].startswith(f"Take {PATTERNS[choice.pattern].says}")
            assert said[1] == choice.why
            assert choice.why_not in said[2]
            head, *table = said[-1 - len(SHOWN) :]
            assert head == ["", choice.pattern, choice.runner_up]
            how = {"fault": RUNS[choice.rule].fault, "knobs": RUNS[choice.rule].knobs}
            both = [play(pattern, player.values, **how) for pattern in head[1:]]
            assert table == [[name, *map(show, both)] for name, show in SHOWN.items()]
            assert said == ask(player, compare, **values)


def test_the_copied_call_gives_the_same_run():
    player = explorer(answer="never")
    assert player.answer["call"].startswith('run = interaction(answer="never", ')
    names = {"interaction": interaction}
    exec(player.answer["call"], names)
    assert names["run"].trace.digest() == player.run.trace.digest()


def test_the_layout_has_a_place_for_every_part_and_no_two_on_one():
    places = layout()
    for pattern in BUILD:
        shop = Shop(pattern, {"listeners": len(SERVICES), "rate": 80.0})
        nodes = [node.name for node in shop.simulation.trace.nodes]
        assert set(nodes) <= set(places), pattern
        assert len({places[name] for name in nodes}) == len(nodes), pattern
    assert UNTIL > 0


# ----------------------------------------------------------------------------------- maturity and ROI

NONE, ALL = {name: [False] * 4 for name in DIMENSIONS}, {name: [True] * 4 for name in DIMENSIONS}


def test_levels_stand_on_each_other():
    assert set(levels_of(NONE).values()) == {1}
    assert set(levels_of(ALL).values()) == {5} == {max(LEVELS)}
    assert levels_of({**NONE, "data": [True, True, False, True]})["data"] == 3
    assert levels_of({**NONE, "data": [False, True, True, True]})["data"] == 1
    assert overall({**ALL, "sight": [True, False, False, False]}) == 2
    for wrong in ({"data": [True] * 4}, {**NONE, "data": [True]}, {**NONE, "data": [1, 0, 0, 0]}):
        with pytest.raises(ArgumentError):
            levels_of(wrong)


def test_the_plan_lifts_the_weakest_first_and_ends_at_the_target():
    start = {**ALL, "sight": [True, False, True, False], "data": [False] * 4}
    steps = plan(start, 3)
    assert [(step.dimension, step.level) for step in steps] == [("data", 2), ("data", 3), ("sight", 3)]
    assert all(step.statement == DIMENSIONS[step.dimension][step.level - 2] for step in steps)
    assert len(plan(NONE, 5)) == 4 * len(DIMENSIONS)
    assert next_milestone(start) == steps[0]
    assert next_milestone(ALL) is None
    with pytest.raises(ArgumentError):
        plan(NONE, 6)


def test_roi_of_certain_numbers_is_a_fraction():
    sure = roi({"build": (30, 30)}, {"run": (10, 10)}, {"hours": (40, 40)}, years=3)
    assert (sure.median, sure.low, sure.high, sure.below_one) == (2, 2, 2, 0)
    product = roi({"build": (10, 10)}, {}, {"outages": [(2, 2), (5, 5)]}, years=1)
    assert product.median == 1


def test_roi_of_ranges_is_a_range_with_the_known_share_below_one():
    """Gain uniform on (0, 4) against a cost of 1: a quarter does not pay, the median is 2."""
    result = roi({"build": (1, 1)}, {}, {"gain": (0, 4)}, years=1, samples=100_000)
    assert result.below_one == pytest.approx(0.25, abs=0.01)
    assert result.median == pytest.approx(2, abs=0.03)
    assert (result.low, result.high) == pytest.approx((0.2, 3.8), abs=0.03)
    triangle = roi({"build": (1, 1)}, {}, {"gain": (0, 1, 4)}, years=1, samples=100_000)
    assert np.mean(triangle.samples) == pytest.approx(5 / 3, abs=0.02)
    assert roi({"b": (1, 2)}, {}, {"g": (0, 4)}).median == roi({"b": (1, 2)}, {}, {"g": (0, 4)}).median


@pytest.mark.parametrize(
    ("once", "yearly", "gains"),
    [
        ({}, {}, {"g": (1, 2)}),
        ({"b": (1, 2)}, {}, {}),
        ({"b": (2, 1)}, {}, {"g": (1, 2)}),
        ({"b": (-1, 2)}, {}, {"g": (1, 2)}),
        ({"b": 3}, {}, {"g": (1, 2)}),
        ({"b": (0, 0)}, {}, {"g": (1, 2)}),
    ],
)
def test_roi_refuses_what_makes_no_sense(once, yearly, gains):
    with pytest.raises(ArgumentError):
        roi(once, yearly, gains)


def test_the_charts_say_all_in_words():
    start = {**ALL, "data": [False] * 4}
    picture = radar({"today": levels_of(start), "goal": levels_of(ALL)})
    assert "today: " in picture.alt
    assert "data 1" in picture.alt
    lines = picture.figure.axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 2
    assert len({line.get_linestyle() for line in lines}) == 2, "a second cue"
    with pytest.raises(ArgumentError):
        radar({})
    assert "below 1x" in spread(roi({"b": (1, 2)}, {}, {"g": (0, 4)})).alt

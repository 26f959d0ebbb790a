"""The capstone's checks: a broken promise is shown, a flood ends, a harder schedule stays plain."""

import json
import random

import pytest

from coursework import capstone
from coursework.checks import Expect, _Unmet
from interplay.capstone import changed, designs, schedules
from interplay.capstone.designs import saga

GOOD = designs()["a good mix"]
DAY = capstone.calm(2)


def never_asks_again(state, event):
    answer = GOOD.saga(state, event)
    return {**answer, "actions": [action for action in answer["actions"] if action["do"] != "timer"]}


FLAWED = GOOD._replace(saga=never_asks_again)


def lost(design=FLAWED):
    """A day on which an answer of payments is lost, and a parcel's news comes twice."""
    at = capstone.points(design, DAY, "payments", sends=True)[0]
    return {**DAY, "points": {str(at): "lose", str(at + 1): "twice"}}


def test_the_failing_schedule_is_shown_in_words_as_a_diagram_and_with_the_line_that_replays_it():
    expect = Expect()
    with pytest.raises(_Unmet) as unmet:
        capstone.keeps(expect, FLAWED, [DAY, lost()], promise="books", mine="MINE")
    assert "is reserved and charged, and nothing else" in unmet.value.observed
    assert unmet.value.given == "schedule 2 of 2"
    story, words = expect.pictures
    assert "send charge done from payments: lost" in story.text()
    assert story.figure().axes
    assert "schedule 2 of 2, made shorter: what goes wrong" in words
    assert "what is sent comes twice" not in words
    line = words.splitlines()[-1]
    assert line.startswith("from interplay.capstone import")
    assert "watch(MINE, {" in line


def test_the_line_replays_what_was_shown():
    expect = Expect()
    with pytest.raises(_Unmet):
        capstone.keeps(expect, FLAWED, [lost()], mine="MINE")
    played = []
    line = expect.pictures[-1].splitlines()[-1].partition("; ")[2]
    exec(line, {"watch": lambda design, schedule: played.append((design, schedule)), "MINE": FLAWED})
    ((design, schedule),) = played
    assert capstone.run(design, schedule)[1].books


def test_a_flood_is_stopped_and_said(monkeypatch):
    monkeypatch.setattr(capstone, "FLOOD", 600)
    hasty = GOOD._replace(saga=saga(patience=0.02, growth=1.0))
    slow = {"kind": "slow", "service": "payments", "start": 0.0, "end": 4.0, "factor": 20.0}
    expect = Expect()
    with pytest.raises(_Unmet) as unmet:
        capstone.keeps(expect, hasty, [{**DAY, "faults": [slow]}], mine="MINE")
    assert unmet.value.observed.startswith("a flood: ")
    assert len(expect.pictures) == 1


def test_a_design_that_keeps_its_promises_passes():
    outcomes = capstone.keeps(Expect(), GOOD, [DAY, lost(GOOD)], mine="MINE")
    assert [outcome.broken for outcome in outcomes] == [None, None]


def test_points_are_those_of_one_process():
    acting = capstone.points(GOOD, DAY, "payments")
    sending = capstone.points(GOOD, DAY, "payments", sends=True)
    assert set(sending) < set(acting)
    crashed = capstone.run(GOOD, capstone.at(DAY, "crash", sending[:1])[0])[1]
    assert crashed.happened[0].startswith("payments crashes before send")


def test_harder_schedules_are_plain_and_the_same_each_time():
    def made():
        luck = random.Random(7)
        return capstone.harder(
            GOOD, schedules(3, small=True), luck, orders={"crash": 2}, payments={"twice": 1}
        )

    assert made() == made()
    assert json.loads(json.dumps(made(), default=list))
    for one, before in zip(made(), schedules(3, small=True), strict=True):
        added = {point: kind for point, kind in one["points"].items() if before["points"].get(point) != kind}
        assert sorted(added.values()) == ["crash", "crash", "twice"]


def test_what_a_saga_says_and_hears():
    heard, outcome = capstone.commands(GOOD.saga, GOOD, DAY)
    assert heard["o1"] == [
        f"{what} {name}" for name in ("reserve", "charge", "ship") for what in ("sends", "hears of")
    ]
    assert outcome.broken is None


def test_levels_are_met_or_as_good_as_the_yardstick():
    slow = capstone.scored(GOOD._replace(config=changed(GOOD.config, news={"every": 5.0})), 0, 4)
    mix = capstone.scored(GOOD, 0, 4)
    capstone.meets(Expect(), mix, "staleness")
    with pytest.raises(_Unmet) as unmet:
        capstone.meets(Expect(), slow, "staleness", yardstick=lambda: mix)
    assert "or as good as the good mix" in unmet.value.expected
    capstone.meets(Expect(), slow, "staleness", yardstick=lambda: slow)


def test_a_score_is_kept_and_a_lavish_design_is_not_played_to_the_end(monkeypatch):
    assert capstone.scored(GOOD, 0, 4) is capstone.scored(GOOD, 0, 4)
    monkeypatch.setattr(capstone, "LAVISH", 300)
    assert len(capstone.scored(GOOD, 3, 8).outcomes) < 8

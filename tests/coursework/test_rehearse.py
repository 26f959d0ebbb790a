"""The run of a lab in this process, which the tests of every lab stand on."""

import pytest
import tiny

from coursework import rehearse as rehearsing
from coursework.rehearse import rehearse, touched_by

ONLY_THREE = "def double(x):\n    return 6"
both_ways = pytest.mark.parametrize("apart", [False, True])


@both_ways
def test_marks_and_failed_checks(apart):
    result = rehearse(tiny.edit(tiny.lab(), double=ONLY_THREE), apart)
    assert result.points == {"double-1": 0, "count-1": 40}
    assert result.failed == ["double: any number is doubled"]
    assert "it works for 3 only" in result.said


@both_ways
def test_pictures_are_counted(apart):
    always = 'def count(state, event):\n    return {"state": state, "actions": ["allow"]}'
    assert rehearse(tiny.edit(tiny.lab(), count=always), apart).pictures == 1


@both_ways
def test_a_syntax_error_fails_its_own_part(apart):
    result = rehearse(tiny.edit(tiny.lab(), double="def double(x:"), apart)
    assert result.points == {"double-1": 0, "count-1": 40}
    assert "there is no double" in result.said


def test_apart_the_tests_cannot_reach_more_than_calls():
    """An answer that forges equality passes nowhere; one that needs a shared object fails only apart."""
    shared = "class Half(float):\n    pass\ndef double(x):\n    return Half(2 * x)"
    assert rehearse(tiny.edit(tiny.lab(), double=shared), False).points["double-1"] == 0
    forged = "class Any:\n    __eq__ = lambda *_: True\n    __hash__ = None\ndef double(x):\n    return Any()"
    for apart in (False, True):
        assert rehearse(tiny.edit(tiny.lab(), double=forged), apart).points["double-1"] == 0


def test_apart_every_call_goes_over_the_wire(monkeypatch):
    lent = []
    monkeypatch.setattr(
        rehearsing, "over_the_wire", lambda function: lent.append(function.__name__) or function
    )
    rehearse(tiny.lab(), apart=True)
    assert set(lent) == {"count", "double"}


def test_only_the_tests_that_a_change_touches_are_run():
    notebook = tiny.edit(tiny.lab(), count="def count(state, event):\n    return double(state)")
    assert touched_by(notebook, {"count"}) == {"count-1"}
    assert touched_by(notebook, {"double"}) == {"double-1", "count-1"}
    broken = tiny.edit(tiny.lab(), double=ONLY_THREE)
    assert rehearse(broken, changed=["double"]).points == {"double-1": 0, "count-1": 40}
    assert rehearse(broken, changed=["count"]).points == {"double-1": 60, "count-1": 40}, "it was not run"

"""The vocabulary of lab checks: what a learner who fails is shown, and that no answer crashes a check."""

import logging
import re
import sys
import warnings

import numpy as np
import pytest

from coursework.checks import IN_TERMINAL, NOT_ENOUGH, WIDTH, CheckFailed, Checks, failed_names
from coursework.rehearse import _run


def outcome(check, part="part", **how):
    """The message of a single check, or None where it passes."""
    checks = Checks(part, **how)
    checks.that("it holds", cause="a slip", look="notebook 03")(check)
    try:
        checks.done()
    except CheckFailed as failed:
        return failed.message()
    return None


def test_a_failed_check_says_all_five_things():
    message = outcome(lambda expect: expect.equal(3, 4, given="x=1"))
    for words in ("it holds", "x=1", "observed      3", "expected      4", "a slip", "notebook 03"):
        assert words in message


def test_all_checks_of_a_cell_run_and_their_names_are_collectable():
    checks = Checks("part")
    checks.that("one")(lambda expect: expect.equal(1, 2))
    checks.that("two")(lambda expect: expect.equal(2, 2))
    checks.that("three")(lambda expect: expect.equal(3, 2))
    with pytest.raises(CheckFailed) as failed:
        checks.done()
    assert failed_names(str(failed.value)) == ["part: one", "part: three"]
    assert "2 of 3 checks failed" in failed.value.message()
    assert failed.value._render_traceback_() == failed.value.message(figures=True).splitlines()


class Picture:
    """A run that has words and a figure."""

    def text(self):
        return "#### in words"

    def figure(self):
        from matplotlib.figure import Figure

        return Figure()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_is_shown_once_drawn_in_a_notebook_and_in_words_in_a_terminal(monkeypatch, terminal):
    published = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: published.append(data))
    monkeypatch.setenv(IN_TERMINAL, "1") if terminal else monkeypatch.delenv(IN_TERMINAL, raising=False)
    checks = Checks("part")

    @checks.that("it holds")
    def _(expect):
        expect.picture(Picture())
        expect.picture("words only")
        expect.equal(1, 2)

    with pytest.raises(CheckFailed) as failed:
        checks.done()
    shown = "\n".join(failed.value._render_traceback_())
    assert shown.count("words only") == 1
    assert shown.count("#### in words") == terminal
    assert shown.count("the failing run is drawn above") == (not terminal)
    assert [sorted(data) for data in published] == ([] if terminal else [["text/html", "text/plain"]])
    if not terminal:
        assert 'alt="The failing run, step by step. ####' in published[0]["text/html"]


def test_long_lines_are_broken_between_words():
    cause, given = "a rather long explanation " * 8, f"f({list(range(100))})"
    checks = Checks("part")
    checks.that("a name of some length that goes on " * 4, cause=cause)(
        lambda expect: expect.equal(1, 2, given=given)
    )
    with pytest.raises(CheckFailed) as failed:
        checks.done()
    lines = re.sub("\x1b[^m]*m", "", failed.value.message()).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert {word for line in lines for word in line.split()} >= {*cause.split(), *given.split()}


def test_passing_checks_say_no_more_than_that(capsys):
    checks = Checks("part")
    checks.that("one")(lambda expect: expect.equal(1, 1))
    checks.done()
    assert "part: 1 check passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1.0, 2.0]), [1, 2]),
        ((1, 2), [1, 2]),
        ({"a": (1,)}, {"a": [1]}),
        (0.1 + 0.2, 0.3),
        (3.0, 3),
    ],
)
def test_equal_values_of_other_types_pass(observed, expected):
    assert outcome(lambda expect: expect.equal(observed, expected)) is None


@pytest.mark.parametrize(
    ("observed", "expected", "words"),
    [
        (None, 3, "is a `return` missing?"),
        ("3", 3, "a string, not a number"),
        (1, True, "not True or False"),
        (True, 1, "True or False"),
        (float("nan"), 1.0, "nan"),
        (float("inf"), 1.0, "inf"),
        ([1, 2, 9], [1, 2, 3], "differ at [2]"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "differ at ['a']['b']"),
        ([1, 2], [1, 2, 3], "[1, 2]"),
        ({1, 2}, [1, 2], "a set, which has no order"),
        (object(), 3, "an object of type object"),
        (lambda: 3, 3, "an object of type function"),
        ({(1, 2): 3}, {}, "a key of type tuple"),
        ("yes", "no", "'yes'"),
    ],
)
@pytest.mark.parametrize("way", ["equal", "close"])
def test_wrong_types_and_values_get_a_clear_message(observed, expected, words, way):
    message = outcome(lambda expect: getattr(expect, way)(observed, expected))
    assert words in message
    assert "Traceback" not in message


def test_a_list_inside_itself_is_survived():
    endless = []
    endless.append(endless)
    assert "inside one another" in outcome(lambda expect: expect.equal(endless, []))


def test_an_object_that_cannot_show_itself_is_survived():
    class Rude:
        def __repr__(self):
            raise ValueError

        def __eq__(self, other):
            return True

        __hash__ = None

    assert "an object of type Rude" in outcome(lambda expect: expect.equal(Rude(), 3))
    assert "an object of type Rude" in outcome(lambda expect: expect.true(False, observed=Rude()))


def test_the_tolerance_of_close_is_absolute():
    assert outcome(lambda expect: expect.close(1.04, 1.0, tolerance=0.05)) is None
    assert "within 0.05" in outcome(lambda expect: expect.close(1.06, 1.0, tolerance=0.05))
    assert outcome(lambda expect: expect.close([1.0, 2.04], [1.0, 2.0], tolerance=0.05)) is None


CELL = """
checks = Checks("wait")
@checks.that("it waits", cause="a slip")
def _(expect):
    expect.equal(wait(2), 4)
checks.done()
"""


def learners(answer):
    """The message when `answer` and a test cell stand in two cells of one notebook."""
    namespace = {"Checks": Checks, "__name__": "__main__"}
    _run(answer, "<cell 1>", namespace)
    with pytest.raises(CheckFailed) as failed:
        _run(CELL, "<cell 2>", namespace)
    return failed.value.message()


def test_an_error_shows_the_learners_line_and_call():
    message = learners("def wait(n):\n    total = n\n    return total + 'x'\n")
    assert "line 3, in wait: return total + 'x'" in message
    assert "wait(n=2)" in message
    assert "TypeError" in message
    assert "expect.equal" not in message, "the test's own text is not shown"


def test_an_error_deep_in_a_library_still_shows_the_learners_line():
    message = learners("import json\ndef wait(n):\n    return json.loads('{' * n)\n")
    assert "line 3, in wait: return json.loads('{' * n)" in message


def test_the_line_is_the_deepest_of_the_learners_own():
    message = learners("def half(n):\n    return n / 0\n\ndef wait(n):\n    return half(n)\n")
    assert "line 2, in half: return n / 0" in message
    assert "wait(n=2)" in message


def test_an_answer_that_the_check_stumbles_over_is_told_as_such():
    message = outcome(lambda expect: expect.equal(len(3), 2))
    assert "an answer that the check cannot use (TypeError" in message
    assert "another shape" in message


def test_an_unwritten_part_is_one_sentence():
    message = learners("def wait(n):\n    raise NotImplementedError()\n")
    assert message.endswith("is not written yet.")
    assert len(message.splitlines()) == 1


def test_an_unwritten_part_shows_no_run(monkeypatch):
    shown = []
    monkeypatch.setattr("coursework.checks.display", shown.append)

    def check(expect):
        expect.picture("a run of one event, without an answer")
        raise NotImplementedError

    assert outcome(check).endswith("is not written yet.")
    assert not shown


def test_a_missing_function_is_named():
    assert "there is no wait" in learners("pass")


def test_an_endless_loop_is_stopped_and_shown():
    namespace = {"__name__": "__main__"}
    _run("def wait(n):\n    while True:\n        pass\n", "<cell 1>", namespace)
    message = outcome(lambda expect: namespace["wait"](2), limit=0.2)
    assert "it did not end within 0.2 s" in message
    assert "a loop that never ends" in message


def test_leaving_python_is_survived():
    assert "SystemExit" in learners("import sys\ndef wait(n):\n    sys.exit(1)\n")


def test_what_is_printed_warned_or_logged_costs_nothing(capfd):
    log = logging.getLogger("learner")
    log.addHandler(logging.StreamHandler(sys.stderr))  # bound to this stream, as a learner's basicConfig is

    def noisy(expect):
        print("out")
        print("err", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        log.error("logged")
        expect.equal(1, 1)

    assert outcome(noisy) is None
    captured = capfd.readouterr()
    assert captured.err == ""
    assert "out\n" not in captured.out


def test_what_a_failing_function_printed_is_shown_but_bounded():
    def chatty(expect):
        for n in range(100_000):
            print("line", n)
        expect.equal(1, 2)

    message = outcome(chatty)
    assert "line 0" in message
    assert len(message) < 2000

    def endless_line(expect):
        print("x" * 100_000)
        expect.equal(1, 2)

    assert len(outcome(endless_line)) < 3000


def test_inputs_depend_on_salt_and_check_only(monkeypatch):
    def drawn(part="part", what="it holds"):
        got = []
        checks = Checks(part)
        checks.that("before")(lambda expect: got.clear())
        checks.that(what)(lambda expect: got.extend(checks.inputs(3)))
        checks.done()
        return got

    usual = drawn()
    assert usual == drawn()
    assert all(0 <= u < 1 for u in usual)
    assert drawn(part="other") != usual
    assert drawn(what="other") != usual
    monkeypatch.setenv("COURSE_SALT", "another class")
    assert drawn() != usual


def test_a_name_must_be_one_line_and_used_once():
    checks = Checks("part")
    checks.that("once")(lambda expect: None)
    with pytest.raises(ValueError, match="once"):
        checks.that("once")
    with pytest.raises(ValueError, match="one line"):
        checks.that("two\nlines")


@pytest.mark.parametrize("enough", [True, False])
def test_no_green_tick_stands_over_what_is_not_enough(capsys, enough):
    checks = Checks("tune")
    checks.that("it can be used")(lambda expect: checks.measured(enough, "busy: closed 6 times, allowed 1"))
    checks.done(measured="one run:")
    said = capsys.readouterr().out
    assert "one run:" in said
    assert "busy: closed 6 times, allowed 1" in said
    assert ("✓" in said, NOT_ENOUGH in said) == (enough, not enough)
    assert ("1 of 1 measurements is not enough" in said) == (not enough)


def test_what_was_measured_is_shown_beside_a_failure(capsys):
    checks = Checks("tune")
    checks.that("one")(lambda expect: checks.measured(False, "busy: closed 6 times"))
    checks.that("two")(lambda expect: expect.equal(1, 2))
    with pytest.raises(CheckFailed):
        checks.done()
    said = capsys.readouterr().out
    assert "busy: closed 6 times" in said
    assert "✓" not in said
    assert "passed" not in said


def test_a_check_can_blame_what_it_builds_on():
    def check(expect):
        expect.blame("part 2 comes first")
        expect.equal(1, 2)

    message = outcome(check)
    assert "part 2 comes first" in message
    assert "a slip" not in message

"""Every quiz: right answers get all marks, each wrong option costs its own, malformed answers are told so.

Quizzes are found by looking at solutions/source/. Marking without a kernel is quick, so all options are
tried that way; the right and the blank quiz also go through nbgrader, with and without this course's
configuration.
"""

import functools
import html
import re
from pathlib import Path

import nbformat
import pytest

from coursework import quiz, samples
from coursework.demo import build
from coursework.layout import Assignment, Course
from coursework.marking.quizzes import mark_quiz
from coursework.marking.run import mark_class

COURSE = Course(Path(__file__).resolve().parents[2])
QUIZZES = [what for what in COURSE.assignments() if what.kind == "quiz"]
PRACTICE = {"00-start-here": 3}
"""How many questions, where it is not ten."""

quizzes = pytest.mark.parametrize("what", QUIZZES, ids=lambda what: what.slug)


@functools.cache
def right(what: Assignment) -> nbformat.NotebookNode:
    return samples.reference(COURSE, what)


@functools.cache
def asked(what: Assignment) -> list[samples.Question]:
    return samples.questions(right(what))


def marks(notebook):
    """The marks of a quiz, by number of the question, and all that it shows."""
    mark_quiz(notebook)
    got, said = {}, ""
    for cell in notebook.cells:
        info = cell.metadata.get("nbgrader", {})
        if info.get("grade"):
            result = [o for o in cell.outputs if o.output_type == "execute_result"]
            got[int(info["grade_id"].removeprefix("question-"))] = (
                float(result[0].data["text/plain"]) if result else 0.0
            )
            said += "".join(o.data["text/plain"] if "data" in o else o.evalue for o in cell.outputs) + "\n"
    return got, said


def answered(what, **answers):
    cells = {name: f"{name} = {value!r}" for name, value in answers.items()}
    return samples.with_cells(right(what), cells)


@quizzes
def test_right_answers_get_all_marks(what):
    most = PRACTICE.get(what.slug, 10)
    got, said = marks(samples.with_cells(right(what), {}))
    assert got == dict.fromkeys(range(1, most + 1), 1.0), said


@quizzes
def test_each_wrong_answer_costs_its_own_mark_only(what):
    everything = dict.fromkeys(range(1, len(asked(what)) + 1), 1.0)
    for question in asked(what):
        assert question.wrong, f"question {question.number} has no wrong option"
        for wrong in question.wrong:
            got, said = marks(answered(what, **{f"answer_{question.number}": wrong}))
            own = got.pop(question.number)
            most = 0.5 if question.arguments["kind"] == "several" else 0.0
            assert own <= most, (question.number, wrong, said)
            assert got == {n: mark for n, mark in everything.items() if n != question.number}


@quizzes
def test_an_empty_quiz_gets_nothing(what):
    got, said = marks(samples.stub_answers(COURSE, what))
    assert set(got.values()) == {0.0}
    assert said.count("Not answered.") == len(got)


@quizzes
def test_malformed_answers_get_nothing_and_a_clear_message(what):
    malformed = {
        "single": [3, ["a", "c"], "zz"],
        "several": ["ac", 3, ["a", "zz"]],
        "numeric": ["3", [3], True],
    }
    malformed |= {"order": ["abc", ["a"], 3], "line": ["4", [4], 4.5]}
    for question in asked(what):
        for answer in malformed[question.arguments["kind"]]:
            got, said = marks(answered(what, **{f"answer_{question.number}": answer}))
            assert got[question.number] == 0
            assert said.count("Your answer could not be read:") == 1, said


@quizzes
def test_a_letter_may_be_a_capital_with_spaces(what):
    for question in asked(what):
        if question.arguments["kind"] == "single":
            sloppy = f" {question.arguments['key'].upper()} "
            assert marks(answered(what, **{f"answer_{question.number}": sloppy}))[0][question.number] == 1.0


@quizzes
def test_there_are_enough_kinds_of_question(what):
    assert len({question.arguments["kind"] for question in asked(what)}) >= 3


@quizzes
def test_every_option_has_an_explanation(what):
    text = ""
    numbers = {f"answer_{question.number}": question for question in asked(what)}
    for cell in right(what).cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if cell.cell_type == "markdown":
            text = cell.source
        elif grade_id in numbers:
            arguments = numbers[grade_id].arguments
            assert all(len(why) > 15 for why in arguments["because"].values()), grade_id
            if arguments["kind"] in ("single", "several", "order"):
                assert sorted(quiz.OPTION.findall(text)) == sorted(arguments["because"]), grade_id


@quizzes
def test_every_question_names_the_form_that_is_marked(what):
    """By it `course check` tells which answers cannot be marked."""
    text = ""
    numbers = {f"answer_{question.number}": question for question in asked(what)}
    for cell in samples.stub(COURSE, what).cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if cell.cell_type == "markdown":
            text = cell.source
        elif grade_id in numbers:
            kind, options = quiz.form(text) or ("", [])
            arguments = numbers[grade_id].arguments
            assert kind == arguments["kind"], grade_id
            if kind in ("single", "several", "order"):
                assert sorted(options) == sorted(arguments["because"]), grade_id


@quizzes
def test_the_goals_are_asked(what):
    goals = set(right(what).metadata.get("course", {}).get("goals", {}))
    tied = {goal for cell in right(what).cells for goal in cell.metadata.get("course", {}).get("goals", [])}
    assert tied, "no question names a goal"
    assert tied <= goals, "a question names a goal that the quiz does not state"


@quizzes
def test_the_release_explains_nothing(what):
    released = samples.stub(COURSE, what)
    text = "\n".join(cell.source for cell in released.cells)
    for question in asked(what):
        assert f"answer_{question.number} = None" in text
        for why in question.arguments["because"].values():
            assert why not in text
    assert "key=" not in text


@pytest.mark.slow
@quizzes
@pytest.mark.parametrize("stock", [False, True], ids=["configured", "stock"])
def test_nbgrader_gives_the_same_marks_and_the_page_explains(what, stock, tmp_path):
    there = build(COURSE, tmp_path / "class", [what.slug])
    got = {
        student: result.mark
        for student in ("reference", "stub")
        for result in mark_class(there, what, student, stock=stock)
    }
    assert got == {"reference": PRACTICE.get(what.slug, 10), "stub": 0}
    page = (there.solutions / "feedback" / "stub" / what.name / "quiz.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", page)).replace("`", "")
    for question in asked(what):
        for why in question.arguments["because"].values():
            assert why.replace("`", "") in text  # code is set as code, or stands between backticks
    if not stock:
        assert "HIDDEN TESTS" not in page
        assert "<script" not in page


def test_a_quiz_knows_its_kinds():
    assert {question.arguments["kind"] for what in QUIZZES for question in asked(what)} <= set(quiz.KINDS)

"""Every lab: the stub gets 0, the solution 100, each named wrong answer its mark, its checks, its message.

Labs are found by looking at solutions/source/. Most tests run a lab in this process, in both ways
(directly, and with the answers behind calls of plain data); a few submissions of each lab go through
nbgrader itself.
"""

import ast
import functools
import html
import json
import os
import re
from pathlib import Path

import nbformat
import pytest

from coursework import samples
from coursework.demo import build
from coursework.layout import Assignment, Course
from coursework.marking.run import failed_checks, mark_class
from coursework.rehearse import rehearse

COURSE = Course(Path(__file__).resolve().parents[2])
LABS = [what for what in COURSE.assignments() if what.kind == "lab"]
WHOLE = bool(os.environ.get("COURSE_WHOLE_CLASS"))
APART = 3
"""One wrong answer in so many goes apart, too, as the examiner does it; all with COURSE_WHOLE_CLASS=1."""
APART_OF = {"16-capstone": 8}
"""The same, for labs that play hundreds of runs."""
FULL = 100


def wrong_answers():
    """Every wrong answer, run directly, and some of them apart."""
    for what in LABS:
        for n, wrong in enumerate(samples.wrong_answers(COURSE, what.slug)):
            for apart in (False, True):
                if not apart or WHOLE or n % APART_OF.get(what.slug, APART) == 0:
                    way = "apart" if apart else "direct"
                    yield pytest.param(what, wrong, apart, id=f"{way}-{what.slug}-{wrong.name}")


labs = pytest.mark.parametrize("what", LABS, ids=lambda what: what.slug)
both_ways = pytest.mark.parametrize("apart", [False, True], ids=["direct", "apart"])


@functools.cache
def reference(what: Assignment) -> nbformat.NotebookNode:
    return samples.reference(COURSE, what)


@functools.cache
def rehearsed(what: Assignment, wrong: str, apart: bool):
    (cells,) = [answer.cells for answer in samples.wrong_answers(COURSE, what.slug) if answer.name == wrong]
    return rehearse(samples.with_cells(reference(what), cells), apart, changed=cells)


@labs
@both_ways
def test_the_solution_gets_full_marks(what, apart):
    result = rehearse(reference(what), apart)
    assert result.mark == FULL, result.said


@labs
@both_ways
def test_the_stub_gets_nothing_and_is_told_so(what, apart):
    result = rehearse(samples.stub(COURSE, what), apart)
    assert result.mark == 0
    assert "is not written yet" in result.said


@pytest.mark.parametrize(("what", "wrong", "apart"), list(wrong_answers()))
def test_a_wrong_answer_gets_its_mark_its_checks_and_its_message(what, wrong, apart):
    result = rehearsed(what, wrong.name, apart)
    assert (result.mark, sorted(result.failed)) == (wrong.mark, sorted(wrong.fails)), result.said
    assert squeezed(wrong.message) in squeezed(result.said)
    assert 0 < wrong.mark < FULL


def squeezed(text):
    return re.sub(r"\s+", " ", text)


@labs
def test_there_are_enough_wrong_answers(what):
    assert len(samples.wrong_answers(COURSE, what.slug)) >= 5


@labs
def test_every_test_cell_is_failed_by_some_wrong_answer(what):
    """A test cell that no misconception fails guards nothing."""
    cells = {
        c.metadata.nbgrader.grade_id
        for c in reference(what).cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }
    failed = set()
    for wrong in samples.wrong_answers(COURSE, what.slug):
        points = rehearsed(what, wrong.name, False).points
        failed |= {cell for cell, got in points.items() if got == 0}
    assert cells == failed


@labs
def test_each_check_says_its_likely_cause_and_where_to_look(what):
    calls = [
        node
        for cell in reference(what).cells
        if cell.cell_type == "code"
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "that"
    ]
    assert calls
    for call in calls:
        assert {keyword.arg for keyword in call.keywords} == {"cause", "look"}, ast.unparse(call)


@labs
def test_no_test_reads_the_text_of_an_answer(what):
    for cell in reference(what).cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            for way in ("inspect", "getsource", "__code__", "In[", "_ih", "get_ipython", "co_code"):
                assert way not in cell.source, (cell.metadata.nbgrader.grade_id, way)


@labs
def test_the_released_lab_has_no_secret(what):
    source, released = reference(what), samples.stub(COURSE, what)
    text = "\n".join(cell.source for cell in released.cells)
    assert "HIDDEN TESTS" not in text
    assert "BEGIN SOLUTION" not in text
    assert not any(cell.get("outputs") for cell in released.cells)
    hidden = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S)
    whole = "\n".join(cell.source for cell in source.cells)
    regions = hidden.findall(whole)
    assert regions
    visible = hidden.sub("", whole)
    secret = {line for region in regions for line in region.splitlines()} - set(visible.splitlines())
    assert not secret & set(text.splitlines())


@labs
def test_the_goals_are_practised(what):
    notebook = reference(what)
    goals = set(notebook.metadata.get("course", {}).get("goals", {}))
    tied = {
        goal
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
        for goal in cell.metadata.get("course", {}).get("goals", [])
    }
    assert tied, "no test cell names a goal"
    assert tied <= goals, "a test cell names a goal that the lab does not state"


@pytest.mark.slow
@labs
def test_nbgrader_gives_the_same_marks(what, tmp_path):
    """The reference, the stub and a wrong answer; all of them with COURSE_WHOLE_CLASS=1.

    Stock nbgrader is held to the same in tests/coursework/test_same_marks.py.
    """
    there = build(COURSE, tmp_path / "class", [what.slug])
    wrong = {answer.name.replace("_", "-"): answer for answer in samples.wrong_answers(COURSE, what.slug)}
    sample = list(wrong) if WHOLE else list(wrong)[len(wrong) // 2 :][:1]
    got = {}
    for student in ["reference", "stub", *sample]:
        (result,) = mark_class(there, what, only=student)
        got[student] = result.mark
        if student in wrong:
            answer = wrong[student]
            assert sorted(failed_checks(there, what, student)) == sorted(answer.fails)
            page = there.solutions / "feedback" / student / what.name / "lab.html"
            assert squeezed(answer.message) in squeezed(text_of(page))
            assert "HIDDEN TESTS" not in page.read_text(encoding="utf-8")
    assert got == {"reference": FULL, "stub": 0} | {student: wrong[student].mark for student in sample}


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@labs
def test_the_notebook_is_committed_without_outputs(what):
    path = COURSE.solutions / "source" / what.name / what.notebook
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")

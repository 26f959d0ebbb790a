"""What the marks of a class tell: hard items, wrong answers by name, work that is alike, and the page."""

import random
import re
import subprocess
import sys

import nbformat
import numpy
import pytest
import tiny

from coursework import report
from coursework.analysis import alike, items, mistakes
from coursework.analysis.page import about, page
from coursework.marking.one import Result
from coursework.marking.run import mark_class

COUNT = """def count(state, event):
    n = state["seen"] + 1
    return {"state": {"seen": n}, "actions": ["allow"] * (n <= 2)}"""
ONLY_THREE = "def double(x):\n    return 6"
TOML = f"""misconception = "Knows the <example> only"
mark = 40
fails = ["double: any number is doubled"]
message = "it works for 3 only"
[cells]
double = '''
{ONLY_THREE}
'''
"""
BOTH = """misconception = "Guesses everywhere"
mark = 0
fails = ["double: three is doubled", "double: any number is doubled", "count: the first two are allowed"]
message = "-"
[cells]
"""


# ---- items


def marked(*rows):
    return [
        Result(f"s{n}", tiny.LAB, {f"part-{i}": (mark, 1) for i, mark in enumerate(row, 1)})
        for n, row in enumerate(rows)
    ]


def test_difficulty_and_discrimination_are_those_of_numpy():
    random.seed(3)
    rows = [[random.choice((0, 0.5, 1)) for _ in range(4)] for _ in range(25)]
    found = items.items([*marked(*rows), Result("damaged", tiny.LAB, None)])
    table = numpy.array(rows)
    assert [item.name for item in found] == ["part-1", "part-2", "part-3", "part-4"]
    for n, item in enumerate(found):
        rest = table.sum(axis=1) - table[:, n]
        assert item.n == 25
        assert item.right == pytest.approx((table[:, n] == 1).mean())
        assert item.mean == pytest.approx(table[:, n].mean())
        assert item.discrimination == pytest.approx(numpy.corrcoef(table[:, n], rest)[0, 1])


def test_what_does_not_vary_has_no_discrimination_and_a_small_class_is_told():
    found = items.items(marked((1, 0), (1, 1), (1, 0), (1, 1)))
    assert [item.discrimination for item in found] == [None, None]
    assert items.items([]) == []
    assert "says nothing" in items.caveat(3)
    assert "±0.41" in items.caveat(23)
    assert "hint" in items.caveat(23)
    assert "hint" not in items.caveat(300)
    as_stored = dict.fromkeys(("part-1", "part-10", "part-11", "part-2"), (1, 1))
    names = [item.name for item in items.items([Result("ada", tiny.LAB, as_stored)])]
    assert names == ["part-1", "part-2", "part-10", "part-11"]


# ---- wrong answers by name


@pytest.fixture
def wrong_class(course):
    """A class in which two know the example only, one guesses, one wrote nothing, and the quiz goes wrong."""
    folder = course.solutions / "wrong" / "99-tiny"
    folder.mkdir(parents=True)
    (folder / "only_three.toml").write_text(TOML)
    (folder / "everywhere.toml").write_text(BOTH)
    loose = 'def count(state, event):\n    return {"state": state, "actions": []}'
    strange = 'def count(state, event):\n    return {"state": {"seen": 0}, "actions": ["allow"]}'
    for student, double, count in (
        ("ada", ONLY_THREE, COUNT),
        ("bob", ONLY_THREE, strange),
        ("guess", "def double(x):\n    return 0", loose),
        ("nothing", None, None),
    ):
        cells = {"double": double, "count": count} if double else {}
        blank = nbformat.read(course.released(tiny.LAB), as_version=4)
        tiny.submit(course, tiny.LAB, student, tiny.edit(blank, **cells))
    for student, first, second in (
        ("ada", '"a"', '["a"]'),
        ("bob", '"a"', '["a", "b", "c"]'),
        ("cid", "", "3"),
    ):
        edits = {"answer_1": f"answer_1 = {first or None}", "answer_2": f"answer_2 = {second}"}
        tiny.submit(course, tiny.QUIZ, student, tiny.edit(tiny.quiz(), **edits))
    return course


@pytest.mark.slow
def test_wrong_answers_of_a_lab_by_name_and_the_page(wrong_class):
    results = [r for what in (tiny.LAB, tiny.QUIZ) for r in mark_class(wrong_class, what, feedback=False)]
    assert not [problem for r in results for problem in r.problems]
    made = mistakes.of_lab(wrong_class, tiny.LAB, ["ada", "bob", "guess", "nothing"])
    assert [(m.name, m.who, m.part) for m in made] == [
        ("Knows the <example> only", ["ada", "bob"], "double"),
        ("Guesses everywhere", ["guess"], "count, double"),
        ("No name yet for what fails: at most two are allowed", ["bob"], "count"),
    ]
    assert made[0].why == "fails: any number is doubled"

    said = list(report.mistakes(wrong_class, results))
    assert "  2 × double: Knows the <example> only" in " ".join(said).replace("   ", "  ")
    shown = page(about(wrong_class, results))
    assert "<b>2 learners</b>, double: Knows the &lt;example&gt; only" in shown
    assert "Why not a &lt;b&gt;." in shown
    assert "proves nothing" in shown
    for bad in ("<script", "http:", "https:", 'src="/'):
        assert bad not in shown
    levels = [int(n) for n in re.findall(r"<h([1-6])\b", shown)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert re.findall(r"<img(?![^>]*alt=\"[^\"]+)", shown) == []
    assert shown.count("<th scope=") == shown.count("<th ")


def test_wrong_options_of_a_quiz_with_their_explanation(wrong_class):
    made = mistakes.of_quiz(wrong_class, tiny.QUIZ, ["ada", "bob", "cid"])
    assert [(m.part, m.name, m.why, m.who) for m in made] == [
        ("question 1", "a", "Why not a <b>.", ["ada", "bob"]),
        ("question 2", "an answer that cannot be read", made[1].why, ["cid"]),
        ("question 2", "b", "Why not b.", ["bob"]),
        ("question 2", "left out c", "Why c.", ["ada"]),
        ("question 1", "no answer", "", ["cid"]),
    ]
    assert "a list of letters is asked" in made[1].why


@pytest.mark.parametrize(
    ("kind", "key", "answer", "told"),
    [
        ("numeric", 63.4, 36.6, [("36.6", "no")]),
        ("numeric", 63.4, 5, [("5", "")]),
        ("order", ["36.6", "63.4"], ["63.4", "36.6"], [("63.4, 36.6", "")]),
        ("line", 4, 4, []),
    ],
)
def test_other_kinds_of_question(kind, key, answer, told):
    because = {"36.6": "yes", "63.4": "no"} if kind == "order" else {key: "yes", 36.6: "no"}
    assert mistakes.slips(answer, {"kind": kind, "key": key, "because": because}) == told


# ---- work that is alike

LONG = '''def double(x):
    """Twice as much."""
    total, step = 0, 1
    while step <= 2:  # my own funny way
        total = total + x if step else total - 7 * x
        step = step + len("a")
    if not isinstance(total, (int, float)):
        raise TypeError(f"no number: {total}")
    return {True: total, False: -1}[total is not None]'''
COPIED = LONG.replace("total", "funny_sum").replace("step", "i").replace("Twice as much", "Doubles")
COPIED = COPIED.replace("# my own funny way", "# counted").replace("    ", "  ")
OTHERS = [
    "return x + x",
    "return 2 * x",
    "return x * 2",
    "return sum([x, x])",
    "return x * (3 - 1)",
    "return x / .5",
]


def hand_in(course, **doubles):
    for student, double in doubles.items():
        notebook = nbformat.read(course.released(tiny.LAB), as_version=4)
        tiny.submit(course, tiny.LAB, student, tiny.edit(notebook, double=double))
    return alike.pairs(course, tiny.LAB, list(doubles))


def test_a_copy_with_other_names_and_layout_is_found_and_short_right_answers_are_not(course):
    others = {f"other{n}": f"def double(x):\n    {line}" for n, line in enumerate(OTHERS)}
    (pair,) = hand_in(course, copier=COPIED, writer=LONG, **others)
    assert (pair.one, pair.other, pair.cells) == ("copier", "writer", ["double"])
    assert pair.likeness == 1


def test_words_that_only_two_have_are_shown(course):
    both, third = LONG.replace("total", "zwiebel"), "def double(x):\n    step = 2\n    return step * x"
    (pair,) = hand_in(course, a=both, b=both, c=third)
    assert "zwiebel" in pair.names
    assert "# my own funny way" in pair.names
    assert "double" not in pair.names, "the released text has it"
    assert "step" not in pair.names, "a third has it"


def test_what_the_released_text_gives_does_not_count(course):
    given = nbformat.read(course.released(tiny.LAB), as_version=4)
    given.cells.insert(0, nbformat.v4.new_code_cell(LONG))
    nbformat.write(given, course.released(tiny.LAB))
    assert hand_in(course, a=LONG, b=COPIED) == []


def test_what_many_have_does_not_count(course):
    assert hand_in(course, **{f"s{n}": LONG for n in range(5)}) == []


def test_broken_code_and_damaged_files_are_survived(course):
    tiny.submit(course, tiny.LAB, "damaged", b"{")
    assert hand_in(course, a="def (:\n   '''", b=LONG, damaged_too="    x\n  y") == []
    assert alike.pairs(course, tiny.LAB, ["damaged", "absent"]) == []


# ---- the command


def test_the_command_writes_page_and_gradebook(course, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from coursework import cli

    monkeypatch.chdir(course.root)
    monkeypatch.setattr(cli.console, "width", 300)

    def run(*arguments):
        done = CliRunner().invoke(cli.app, ["report", "99", *arguments])
        return done.exit_code, done.output

    assert run("--page", "x.html") == (
        1,
        f"Nobody has handed in: there is nothing in {course.solutions / 'submitted'}.\n",
    )
    tiny.submit(course, tiny.QUIZ, "ada", tiny.edit(tiny.quiz(), answer_1='answer_1 = "a"'))
    list(mark_class(course, tiny.QUIZ))
    given = tmp_path / "book.csv"
    given.write_text("Student,ID,SIS Login ID,Section,Quiz 99 (7)\nAda,1,ada.l@x.example,1,\n")
    assert "ada: nobody in the file" in run("--into", str(given))[1]
    nbgrader = [sys.executable, "-m", "nbgrader", "db", "student", "add", "ada", "--email=ada.l@x.example"]
    subprocess.run(nbgrader, cwd=course.root, check=True, capture_output=True)
    status, said = run("--page", str(tmp_path / "class.html"), "--into", str(given), "--alike")
    assert status == 0, said
    assert "1 mark written to" in said
    assert "proves nothing" in said
    assert (tmp_path / "book-filled.csv").read_text().endswith("Ada,1,ada.l@x.example,1,2.00\n")
    assert given.read_text().endswith("1,\n"), "the given file stays"
    assert "Marks of the class" in (tmp_path / "class.html").read_text()
    assert "1 × question 1: a" in run()[1]
    assert "There is no file" in run("--into", "none.csv")[1]

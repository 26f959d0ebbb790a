"""A class with all sorts of damaged work: the marks of the others stand, and each damage has its message."""

import copy
import json

import nbformat
import pytest
import tiny

from coursework.layout import NotFound
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.quizzes import NotAnAnswer, read_answers
from coursework.marking.repair import repair
from coursework.marking.run import failed_checks, mark_class, students
from coursework.release import release

GOOD = {"double": "def double(x):\n    return 2 * x", "count": None}
COUNT = """def count(state, event):
    n = state["seen"] + 1
    return {"state": {"seen": n}, "actions": ["allow"] * (n <= 2)}"""
GOOD["count"] = COUNT
NOISY = """import warnings, logging, sys
logging.basicConfig()
def double(x):
    warnings.warn("careful")
    logging.warning("logged")
    print("to stderr", file=sys.stderr)
    return 2 * x"""


def good(course):
    return tiny.edit(nbformat.read(course.released(tiny.LAB), as_version=4), **GOOD)


def cell(notebook, grade_id):
    (found,) = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
    return found


def damaged(course):
    """(student, submission, mark, a phrase of the problem) for each kind of damage."""
    whole = nbformat.writes(good(course)).encode()

    def with_change(change):
        notebook = good(course)
        change(notebook)
        return notebook

    def duplicate(grade_id):
        def change(notebook):
            again = copy.deepcopy(cell(notebook, grade_id))
            again["id"] = "again"
            notebook.cells.append(again)

        return with_change(change)

    def retype(notebook):
        test = cell(notebook, "double-1")
        notebook.cells[notebook.cells.index(test)] = nbformat.v4.new_markdown_cell(
            test.source, id=test.id, metadata=test.metadata
        )

    def delete(*grade_ids):
        def change(notebook):
            notebook.cells = [
                c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") not in grade_ids
            ]

        return with_change(change)

    def set_flags(**flags):
        return with_change(lambda notebook: cell(notebook, "double-1").metadata.nbgrader.update(flags))

    loop = "def double(x):\n    while True:\n        pass"
    sleep = "import time\ndef double(x):\n    time.sleep(1000)"
    return [
        ("good", good(course), 100, ""),
        ("empty", b"", None, "is empty"),
        ("truncated", whole[: len(whole) // 2], None, "it ends in the middle"),
        ("not-json", b"PK\x03\x04 zip", None, "is no notebook file"),
        ("not-text", b"\xff\xfe\x00\x80", None, "cannot be read as text"),
        ("other-json", b'{"name": "ada"}', None, "it has no cells"),
        ("test-twice", duplicate("double-1"), 100, "double-1 stood there more than once"),
        ("answer-twice", duplicate("double"), 100, "double stood there more than once"),
        ("test-deleted", delete("double-1"), 100, "double-1 was missing"),
        ("all-tests-deleted", delete("double-1", "count-1"), 100, "count-1 was missing"),
        ("part-deleted", delete("double", "double-1"), 40, "double-1 was missing"),
        ("retyped", with_change(retype), 100, "had another type"),
        ("ungraded", set_flags(grade=False), 100, "had another grade"),
        ("more-points", set_flags(points=1000), 100, "had another points"),
        ("renamed-cell", set_flags(grade_id="other"), 100, "other is not of this assignment"),
        (
            "test-emptied",
            tiny.edit(good(course), **{"double-1": "pass"}, double="def double(x): return 1"),
            40,
            "",
        ),
        ("noisy", tiny.edit(good(course), double=NOISY), 100, ""),
        ("loop", tiny.edit(good(course), double=loop), 40, ""),
        ("sleep", tiny.edit(good(course), double=sleep), 40, ""),
        ("syntax", tiny.edit(good(course), double="def double(x:"), 40, ""),
        ("none", tiny.edit(good(course), double="def double(x): pass"), 40, ""),
    ]


@pytest.fixture(scope="module")
def marked(released_once, tmp_path_factory):
    """Every damaged submission, marked in one run with a short time limit."""
    import os
    import shutil

    root = tmp_path_factory.mktemp("damaged") / "course"
    shutil.copytree(released_once.root, root)
    course = tiny.Course(root)
    wanted = {}
    for student, notebook, mark, problem in damaged(course):
        tiny.submit(course, tiny.LAB, student, notebook)
        wanted[student] = (mark, problem)
    renamed = tiny.submit(course, tiny.LAB, "renamed", good(course))
    renamed.rename(renamed.with_name("lab (1).ipynb"))
    wanted["renamed"] = (100, "lab (1).ipynb was taken as lab.ipynb")
    nothing = tiny.submit(course, tiny.LAB, "nothing", good(course))
    nothing.unlink()
    wanted["nothing"] = (None, "there is no lab.ipynb (found: no notebook)")
    before = {path: path.read_bytes() for path in (course.solutions / "submitted").rglob("*.ipynb")}
    os.environ["COURSE_TIMEOUT"] = "12"
    try:
        results = {result.student: result for result in mark_class(course, tiny.LAB)}
    finally:
        del os.environ["COURSE_TIMEOUT"]
    return course, wanted, results, before


@pytest.mark.slow
def test_everybody_gets_a_result(marked):
    _, wanted, results, _ = marked
    assert {student: result.mark for student, result in results.items()} == {
        s: mark for s, (mark, _) in wanted.items()
    }


@pytest.mark.slow
def test_each_damage_has_its_message(marked):
    _, wanted, results, _ = marked
    for student, (_, problem) in wanted.items():
        told = " | ".join(results[student].problems)
        assert problem in told, student
        assert bool(told) == bool(problem), (student, told)


@pytest.mark.slow
def test_no_submission_is_changed(marked):
    _, _, _, before = marked
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_a_loop_and_a_sleep_are_explained_on_the_feedback_page(marked):
    course, _, _, _ = marked
    page = {
        s: (course.solutions / "feedback" / s / tiny.LAB.name / "lab.html").read_text()
        for s in ("loop", "sleep", "none")
    }
    assert "a loop that never ends" in page["loop"]
    assert "ran for more than 12 s and was stopped" in page["sleep"]
    assert "is a `return` missing?" in page["none"]
    assert failed_checks(course, tiny.LAB, "loop") == [
        "double: three is doubled",
        "double: any number is doubled",
    ]


@pytest.mark.slow
def test_a_second_run_marks_nothing_again_and_gives_the_same(marked):
    course, wanted, results, _ = marked
    again = {result.student: result for result in mark_class(course, tiny.LAB)}
    assert {s: r.mark for s, r in again.items()} == {s: r.mark for s, r in results.items()}
    assert all(result.before == (wanted[s][0] is not None) for s, result in again.items())


def test_an_interrupted_run_goes_on_with_the_same_marks(course):
    for student in ("a", "b", "c"):
        tiny.submit(course, tiny.LAB, student, good(course))
    run = mark_class(course, tiny.LAB)
    assert next(run).student == "a"
    run.close()
    # what a kill in the middle of marking b leaves behind: nbgrader's half-made folder, and no record
    half = course.solutions / "autograded" / "b" / tiny.LAB.name
    half.mkdir(parents=True)
    (half / "lab.ipynb").write_text("{")
    again = {result.student: (result.mark, result.before) for result in mark_class(course, tiny.LAB)}
    assert again == {"a": (100, True), "b": (100, False), "c": (100, False)}


def test_a_changed_submission_is_marked_again(course):
    tiny.submit(course, tiny.QUIZ, "ada", nbformat.read(course.released(tiny.QUIZ), as_version=4))
    assert [r.mark for r in mark_class(course, tiny.QUIZ)] == [0]
    tiny.submit(course, tiny.QUIZ, "ada", tiny.quiz())
    assert [(r.mark, r.before) for r in mark_class(course, tiny.QUIZ)] == [(3, False)]
    assert [(r.mark, r.before) for r in mark_class(course, tiny.QUIZ, again=True)] == [(3, False)]


def test_a_corrected_test_is_marked_by_after_a_new_release(course):
    tiny.submit(course, tiny.QUIZ, "ada", tiny.edit(tiny.quiz(), answer_1='answer_1 = "a"'))
    assert [r.mark for r in mark_class(course, tiny.QUIZ)] == [2]
    source = course.solutions / "source" / tiny.QUIZ.name / "quiz.ipynb"
    source.write_text(source.read_text().replace('key=\\"b\\"', 'key=\\"a\\"'))
    release(course, tiny.QUIZ)
    assert [(r.mark, r.before) for r in mark_class(course, tiny.QUIZ)] == [(3, False)]


def test_a_mark_by_hand_stays(course):
    from nbgrader.api import Gradebook

    tiny.submit(course, tiny.QUIZ, "ada", tiny.edit(tiny.quiz(), answer_1='answer_1 = "a"'))
    list(mark_class(course, tiny.QUIZ))
    app = Nbgrader(course)
    with Gradebook(app.coursedir.db_url, app.coursedir.course_id) as gradebook:
        gradebook.find_grade("question-1", "quiz", tiny.QUIZ.name, "ada").manual_score = 0.75
        gradebook.db.commit()
    assert [r.mark for r in mark_class(course, tiny.QUIZ, again=True)] == [2.75]


def test_nobody_and_nothing(course):
    assert students(course, tiny.LAB) == []
    assert list(mark_class(course, tiny.LAB)) == []
    with pytest.raises(NotFound):
        list(mark_class(course, tiny.Assignment("lab", "98-none")))


# ---- repair


def test_repair_leaves_a_whole_notebook_alone(course):
    notebook = good(course)
    before = json.dumps(notebook, sort_keys=True)
    assert repair(notebook, tiny.lab()) == []
    assert json.dumps(notebook, sort_keys=True) == before


def test_a_missing_test_is_put_below_its_part_and_above_the_next():
    notebook = tiny.lab()
    notebook.cells = [c for c in notebook.cells if c.id != "double-1"]
    notebook.cells.insert(2, nbformat.v4.new_code_cell("mine = 1", id="mine"))
    repair(notebook, tiny.lab())
    assert [c.id for c in notebook.cells] == ["title", "double", "mine", "double-1", "count", "count-1"]


def test_of_two_copies_of_a_test_the_last_is_marked():
    """A copy above the answer would be run before there is one."""
    notebook = tiny.lab()
    again = copy.deepcopy(notebook.cells[2])
    again["id"] = "above"
    notebook.cells.insert(1, again)
    repair(notebook, tiny.lab())
    assert [c.id for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "double-1"] == [
        "double-1"
    ]


# ---- quizzes without a kernel

ANSWERS = {
    "right": ('answer_1 = "b"', 'answer_2 = ["a", "c"]', "answer_3 = 63.4"),
    "sloppy": ("answer_1 = ' B'  # surely", "answer_2 = ['C', 'a']\n", "answer_3 = 100 * (1 - .99 ** 100)"),
    "half": ('answer_1 = "a"', 'answer_2 = ["a"]', "answer_3 = 36.6"),
    "blank": ("answer_1 = None", "answer_2 = []", "answer_3 = ''"),
    "types": ("answer_1 = ['b']", "answer_2 = 'ac'", "answer_3 = '63.4'"),
    "bare": ('"b"', "answer_2", "# 63.4"),
    "syntax": ("answer_1 = b", 'answer_2 = ["a"', "answer_3 = 63,4"),
    "twice": ('answer_1 = "a"\nanswer_1 = "b"', "", "answer_3 = -63.4"),
}


@pytest.mark.slow
def test_a_quiz_gets_the_same_marks_with_and_without_a_kernel(course):
    for student, (first, second, third) in ANSWERS.items():
        notebook = nbformat.read(course.released(tiny.QUIZ), as_version=4)
        tiny.submit(
            course, tiny.QUIZ, student, tiny.edit(notebook, answer_1=first, answer_2=second, answer_3=third)
        )
    quick = {r.student: r.marks for r in mark_class(course, tiny.QUIZ)}
    stock = {r.student: r.marks for r in mark_class(course, tiny.QUIZ, again=True, stock=True)}
    assert quick == stock
    assert {s: sum(m for m, _ in marks.values()) for s, marks in quick.items()} == {
        "right": 3, "sloppy": 3, "half": 0.5, "blank": 0, "types": 0, "bare": 0, "syntax": 0, "twice": 1,
    }  # fmt: skip


def test_nothing_that_a_learner_wrote_in_a_quiz_is_run(course, tmp_path):
    trap = tmp_path / "trap"
    attack = f"answer_1 = open({str(trap)!r}, 'w') and 'b'"
    notebook = tiny.edit(nbformat.read(course.released(tiny.QUIZ), as_version=4), answer_1=attack)
    notebook.cells.append(nbformat.v4.new_code_cell(f"open({str(trap)!r}, 'w')", id="own"))
    tiny.submit(course, tiny.QUIZ, "eve", notebook)
    (result,) = mark_class(course, tiny.QUIZ)
    assert result.mark == 0
    assert not trap.exists()


@pytest.mark.parametrize(
    "source",
    [
        "answer_1 = f()",
        "import os",
        "answer_1 = 9 ** 9 ** 9 ** 9",
        "answer_1 = 1 / 0",
        "answer_1 = 'a' * 10**9",
        "answer_1 = [f() for x in y]",
        "answer_1 =",
    ],
)
def test_what_is_no_plain_value_is_told(source):
    with pytest.raises(NotAnAnswer):
        read_answers(source)


# ---- the feedback page


HOSTILE = """from IPython.display import HTML, display
def double(x):
    return 3 * x
display(HTML("<scr" + "ipt>alert(1)</script><b on" + "click='x()'>bold</b>"))"""


def test_the_feedback_page_stands_alone_and_shows_no_hidden_test(course):
    notebook = tiny.edit(
        good(course),
        double=HOSTILE,
    )
    notebook.cells.insert(
        1,
        nbformat.v4.new_markdown_cell(
            "<script>alert(2)</script> **my** <img src=x onerror=alert(3)>", id="own"
        ),
    )
    notebook.cells.append(nbformat.v4.new_code_cell("raise ValueError('my own')", id="raises"))
    tiny.submit(course, tiny.LAB, "eve", notebook)
    tiny.submit(course, tiny.QUIZ, "eve", tiny.edit(tiny.quiz(), answer_1='answer_1 = "<script>"'))
    for what in (tiny.LAB, tiny.QUIZ):
        list(mark_class(course, what))
        page = (
            course.solutions / "feedback" / "eve" / what.name / what.notebook.replace("ipynb", "html")
        ).read_text()
        for bad in (
            "<script",
            "onerror=",
            "onclick=",
            'src="http',
            'href="http://cdn',
            "HIDDEN TESTS",
            "MathJax",
        ):
            assert bad not in page, bad
        if what is tiny.LAB:
            assert "any number is doubled" in page
            assert "checks.inputs" not in page
            assert "ValueError: my own" in page
            assert "Traceback (most" not in page
        else:
            assert "Why not a &lt;b&gt;." in page
            assert "question(" not in page


def test_a_failing_run_is_a_picture_with_words(course):
    tiny.submit(course, tiny.LAB, "eve", tiny.edit(good(course), count=COUNT.replace("n <= 2", "True")))
    list(mark_class(course, tiny.LAB))
    page = (course.solutions / "feedback" / "eve" / tiny.LAB.name / "lab.html").read_text()
    assert 'alt="The failing run, step by step.' in page
    assert "data:image/png;base64," in page
    assert "3. request" in page


def test_marks_are_none_before_marking(course):
    assert Nbgrader(course).marks(tiny.LAB, "nobody") is None

"""A tiny course for the tests of the machinery: a lab of two parts and a quiz of three questions."""

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from coursework.layout import Assignment, Course

ROOT = Path(__file__).resolve().parents[2]
LAB, QUIZ = Assignment("lab", "99-tiny"), Assignment("quiz", "99-tiny")

KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}

DOUBLE = """def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
"""
DOUBLE_TEST = """from coursework.checks import Checks
checks = Checks("double")

@checks.that("three is doubled", cause="the factor is wrong", look="notebook 99, 'Twice'")
def _(expect):
    expect.equal(double(3), 6, given="x=3")

### BEGIN HIDDEN TESTS
@checks.that("any number is doubled", cause="it works for 3 only", look="notebook 99, 'Any number'")
def _(expect):
    for x in checks.inputs(20):
        expect.close(double(x), 2 * x, given=f"x={x}")
### END HIDDEN TESTS
checks.done()
"""
COUNT = """def count(state, event):
    ### BEGIN SOLUTION
    seen = state["seen"] + 1
    return {"state": {"seen": seen}, "actions": ["allow"] if seen <= 2 else []}
    ### END SOLUTION
"""
COUNT_TEST = """from coursework.checks import Checks
from coursework.steps import never_fails
checks = Checks("count")

@checks.that("at most two are allowed", cause="the state is not counted up", look="notebook 99, 'Count'")
def _(expect):
    def judge(run):
        n = run.count("allow")
        return (f"{n} allowed", "at most 2") if n > 2 else None
    never_fails(expect, count, name="count", start={"seen": 0}, events=[{"kind": "request"}], judge=judge)

### BEGIN HIDDEN TESTS
@checks.that("the first two are allowed", cause="nothing is allowed at all", look="notebook 99, 'Count'")
def _(expect):
    def judge(run):
        n = run.count("allow")
        return (f"{n} allowed", "all of the first 2") if n < min(2, len(run.entries)) else None
    never_fails(expect, count, name="first", start={"seen": 0}, events=[{"kind": "request"}], judge=judge)
### END HIDDEN TESTS
checks.done()
"""
QUESTIONS = [
    ('"b"', 'kind="single", key="b", because={"a": "Why not a <b>.", "b": "Why b.", "c": "Why not c."}'),
    (
        '["a", "c"]',
        'kind="several", key=["a", "c"], because={"a": "Why a.", "b": "Why not b.", "c": "Why c."}',
    ),
    (
        "100 * (1 - 0.99**100)",
        'kind="numeric", key=63.4, tolerance=0.05, because={63.4: "Why 63.4.", 36.6: "The complement."}',
    ),
]


def meta(grade_id, **flags):
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return {"nbgrader": {**plain, "grade_id": grade_id, **flags}}


def answer(grade_id, source):
    return new_code_cell(source, id=grade_id, metadata=meta(grade_id, solution=True))


def tested(grade_id, source, points):
    return new_code_cell(source, id=grade_id, metadata=meta(grade_id, grade=True, locked=True, points=points))


def lab():
    cells = [
        new_markdown_cell("# A tiny lab", id="title"),
        answer("double", DOUBLE),
        tested("double-1", DOUBLE_TEST, 60),
        answer("count", COUNT),
        tested("count-1", COUNT_TEST, 40),
    ]
    return new_notebook(cells=cells, metadata={**KERNEL, "course": {"slug": "99-tiny"}})


def quiz():
    cells = [new_markdown_cell("# A tiny quiz", id="title")]
    for n, (right, arguments) in enumerate(QUESTIONS, 1):
        source = "from coursework.quiz import question\n### BEGIN HIDDEN TESTS\n"
        source += f"question(answer_{n}, {arguments})\n"
        cells += [
            new_markdown_cell(f"Question {n}", id=f"text-{n}"),
            answer(f"answer_{n}", f"# your answer\nanswer_{n} = {right}"),
            tested(f"question-{n}", source + "### END HIDDEN TESTS", 1),
        ]
    return new_notebook(cells=cells, metadata={**KERNEL, "course": {"slug": "99-tiny"}})


def build(root: Path) -> Course:
    """Write the tiny course into `root`."""
    (root / "notebooks").mkdir(parents=True)
    (root / "solutions").mkdir()
    shutil.copy(ROOT / "nbgrader_config.py", root)
    shutil.copy(ROOT / "solutions" / "nbgrader_config.py", root / "solutions")
    for what, notebook in ((LAB, lab()), (QUIZ, quiz())):
        folder = root / "solutions" / "source" / what.name
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / what.notebook)
    return Course(root)


def edit(notebook, **cells):
    """Replace the text of cells by their grade id."""
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in cells:
            cell.source = cells[grade_id]
    return notebook


def submit(course: Course, what: Assignment, student: str, notebook) -> Path:
    """Put a submission where nbgrader looks for it: a notebook, or the bytes of a file."""
    folder = course.solutions / "submitted" / student / what.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / what.notebook
    if isinstance(notebook, bytes):
        path.write_bytes(notebook)
    else:
        nbformat.write(notebook, path)
    return path

"""Marking that is killed, doubled, blocked or short of room: the marks of an undisturbed run, or none yet."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import tiny
from killed import NAMED

from coursework.marking.run import mark_class

HERE = Path(__file__).parent
KILLS = int(os.environ.get("KILLS", "5"))
"""At how many moments of a run, besides those with a name, it is killed."""
MARKS = """select s.student_id, a.name, c.name, g.auto_score, g.manual_score, g.needs_manual_grade
    from grade g join submitted_notebook n on g.notebook_id = n.id
    join submitted_assignment s on n.assignment_id = s.id join assignment a on s.assignment_id = a.id
    join base_cell c on g.cell_id = c.id"""
COMMENTS = MARKS.replace("grade g", "comment g").replace(
    "g.auto_score, g.manual_score, g.needs_manual_grade", "g.auto_comment"
)
ANSWERS = {"ada": "def double(x):\n    return 2 * x", "bob": "def double(x):\n    return 6"}


def hand_in(course, student="ada", double=None):
    lab = nbformat.read(course.released(tiny.LAB), as_version=4)
    tiny.submit(course, tiny.LAB, student, tiny.edit(lab, double=double or ANSWERS[student]))


def gradebook(course):
    """Every cell's marks and comments."""
    with contextlib.closing(sqlite3.connect(course.solutions / "gradebook.db")) as database:
        return [sorted(database.execute(query), key=repr) for query in (MARKS, COMMENTS)]


def written(course):
    """What marking leaves in files, without the times of the cells' runs."""
    found = {}
    for step in ("autograded", "feedback"):
        for path in sorted((course.solutions / step).rglob("*.*")):
            found[str(path.relative_to(course.solutions))] = path.read_text()
    return found


def run(course, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "coursework.cli", "mark", *arguments],
        cwd=course.root, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def untouched(released_once, tmp_path_factory):
    """A class of two that nothing has marked, and whose assignments the gradebook does not know."""
    course = tiny.Course(tmp_path_factory.mktemp("never") / "untouched")
    shutil.copytree(released_once.root, course.root)
    (course.solutions / "gradebook.db").unlink()
    for student in ANSWERS:
        hand_in(course, student)
    tiny.submit(course, tiny.QUIZ, "ada", tiny.edit(tiny.quiz(), answer_1='answer_1 = "a"'))
    return course


def fresh(untouched):
    """A copy of it, always in the same place, so that one warm kernel serves all tests of a process."""
    course = tiny.Course(untouched.root.with_name("course"))
    shutil.rmtree(course.root, ignore_errors=True)
    shutil.copytree(untouched.root, course.root)
    return course


def mark(course):
    results = [result for what in course.assignments() for result in mark_class(course, what)]
    assert not [problem for result in results for problem in result.problems]
    return {(result.student, result.what.name): result.mark for result in results}


@pytest.fixture(scope="module")
def undisturbed(untouched):
    """(marks, gradebook, files) of a run that nothing disturbs, and the number of its steps."""
    course = fresh(untouched)
    count = subprocess.run(
        [sys.executable, HERE / "killed.py", course.root, "count"], check=True, capture_output=True, text=True
    )
    return (mark(course), gradebook(course), written(course)), int(count.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [*NAMED, *range(KILLS)])
def test_killed_at_any_moment_and_run_again_it_gives_the_same(untouched, undisturbed, moment):
    wanted, steps = undisturbed
    step = moment if moment in NAMED else random.Random(moment).randint(1, steps)
    course = fresh(untouched)
    killed = subprocess.run([sys.executable, HERE / "killed.py", course.root, str(step)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, (step, killed.stderr)
    for student, cells in half_marked(course).items():
        assert cells in (0, 2, 3), f"step {step} of {steps}: the gradebook has {cells} marks of {student}"
    assert mark(course) == wanted[0], f"step {step} of {steps}"
    assert gradebook(course) == wanted[1], f"step {step} of {steps}"
    assert written(course) == wanted[2], f"step {step} of {steps}"


def half_marked(course):
    """How many cells of each submission have a mark."""
    counts = {}
    with contextlib.suppress(sqlite3.OperationalError):  # no gradebook yet
        for student, what, _, mark, *_ in gradebook(course)[0]:
            counts[student, what] = counts.get((student, what), 0) + (mark is not None)
    return counts


@pytest.mark.slow
def test_killed_with_its_workers_at_work_and_run_again_at_once(untouched, undisturbed):
    """The workers of the killed one may go on for a while: the next one does not meet them."""
    course = fresh(untouched)
    for patience in (1, 4):
        first = subprocess.Popen(
            [sys.executable, "-m", "coursework.cli", "mark", "--workers", "2", "--again"],
            cwd=course.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 60
        begun = course.root / ".course" / "marked" / tiny.LAB.name
        while not begun.exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(patience / 2)
        first.kill()
        first.wait()
    assert (mark(course), gradebook(course), written(course)) == undisturbed[0]


@pytest.mark.slow
def test_two_markings_at_once(untouched, undisturbed):
    course = fresh(untouched)
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "coursework.cli", "mark", "--workers", "2"],
            cwd=course.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert not any("Problems" in text for text in said), said
    # each of the three submissions was marked by one of the two, and found marked by the other
    assert sum(int(text.split(" of these had been marked before")[0].split()[-1])
               for text in said if " of these had been marked" in text) == 3, said  # fmt: skip
    assert mark(course) == undisturbed[0][0]
    assert gradebook(course) == undisturbed[0][1]
    assert written(course) == undisturbed[0][2]

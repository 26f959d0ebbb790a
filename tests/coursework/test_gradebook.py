"""The gradebook: locked, on a full disk, in PostgreSQL; late work, second hand-ins, unknown names."""

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import nbformat
import pytest
import tiny
from database import postgres
from nbconvert.writers import FilesWriter
from nbgrader.api import Gradebook
from test_never_lost import HERE, hand_in, mark, run

from coursework.marking.gradebook import CannotGoOn, reason, remarks
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.run import mark_class


def cells(course):
    """Every cell's mark and whether it needs a look, by nbgrader itself, whatever the database is."""
    coursedir = Nbgrader(course).coursedir
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        return sorted(
            (submission.student.id, what.name, grade.name, grade.auto_score, grade.needs_manual_grade)
            for what in gradebook.assignments
            for submission in what.submissions
            for notebook in submission.notebooks
            for grade in notebook.grades
        )


def quiz(course, student, first="b"):
    return tiny.submit(course, tiny.QUIZ, student, tiny.edit(tiny.quiz(), answer_1=f'answer_1 = "{first}"'))


# ---- locked


@contextlib.contextmanager
def locked(course, seconds):
    """Hold SQLite's lock, as another program may."""
    database = sqlite3.connect(course.solutions / "gradebook.db", check_same_thread=False)
    database.execute("begin exclusive")
    release = threading.Timer(seconds, database.rollback)
    release.start()
    try:
        yield
    finally:
        release.cancel()
        database.close()


def test_a_gradebook_that_is_locked_for_seconds_is_waited_for(course):
    quiz(course, "ada")
    with locked(course, 4):
        began = time.monotonic()
        assert mark(course) == {("ada", tiny.QUIZ.name): 3}
        assert time.monotonic() - began > 3


@pytest.mark.slow
def test_a_gradebook_that_stays_locked_ends_in_a_sentence(course):
    quiz(course, "ada")
    url = f"sqlite:///{course.solutions / 'gradebook.db'}?timeout=1"
    with locked(course, 300):
        done = run(course, "99", COURSE_DB_URL=url)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "The gradebook is locked: another program has held it" in said
    assert "Stopped after 0 of 1. Then run it again: it goes on from here." in said
    assert "Traceback" not in done.stdout + done.stderr
    assert mark(course) == {("ada", tiny.QUIZ.name): 3}


def test_locked_while_a_submission_is_marked(course, monkeypatch):
    """The lock that nbgrader meets inside its own steps ends the run, too, and costs nothing."""
    quiz(course, "ada")
    mark(course)
    quiz(course, "ada", "a")
    monkeypatch.setenv("COURSE_DB_URL", f"sqlite:///{course.solutions / 'gradebook.db'}?timeout=1")
    run = mark_class(course, tiny.QUIZ)
    from coursework.marking import one

    original = one.Nbgrader.autograde

    def blocked(*arguments):
        with locked(course, 300):
            return original(*arguments)

    monkeypatch.setattr(one.Nbgrader, "autograde", blocked)
    before = cells(course)
    with pytest.raises(CannotGoOn, match="The gradebook is locked"):
        list(run)
    assert cells(course) == before
    monkeypatch.undo()
    assert mark(course) == {("ada", tiny.QUIZ.name): 2}


# ---- a full disk


@pytest.mark.parametrize("suffix", ["ipynb", "html"])
def test_a_disk_that_is_full_half_way_through_a_file(course, monkeypatch, suffix):
    quiz(course, "ada")
    original = FilesWriter.write

    def half(writer, output, resources, **named):
        if resources["output_extension"] == f".{suffix}":
            original(writer, output[: len(output) // 2], resources, **named)
            raise OSError(errno.ENOSPC, "No space left on device", "here")
        return original(writer, output, resources, **named)

    monkeypatch.setattr(FilesWriter, "write", half)
    with pytest.raises(CannotGoOn, match=r"The disk is full \(here\)"):
        mark(course)
    step = {"ipynb": "autograded", "html": "feedback"}[suffix]
    assert not list(
        (course.solutions / step).rglob(f"*.{suffix}")
    )  # nbgrader takes back what is half written
    monkeypatch.undo()
    assert [(r.mark, r.before) for r in mark_class(course, tiny.QUIZ)] == [(3, False)]


CAN_MOUNT = shutil.which("unshare") and not subprocess.run(
    ["unshare", "-m" if os.geteuid() == 0 else "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
    capture_output=True,
).returncode  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not CAN_MOUNT, reason="needs a file system of its own; the test above injects the fault")
def test_on_a_disk_that_is_really_full(course, tmp_path):
    for student in ("ada", "bob", "eve"):
        quiz(course, student)
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        ["unshare", "-m" if os.geteuid() == 0 else "-rm", sys.executable, HERE / "full_disk.py",
         course.root, tmp_path / "disk"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[-2:] == ["all", "right"]


# ---- PostgreSQL


@pytest.fixture(scope="module")
def address():
    with postgres() as address:
        yield address


@pytest.mark.slow
@pytest.mark.servers
def test_postgresql_has_the_same_marks_also_after_a_kill_and_from_two_at_once(course, monkeypatch, address):
    for student in ("ada", "bob"):
        quiz(course, student, "b" if student == "ada" else "a")
    hand_in(course, "bob")
    wanted = mark(course), cells(course)
    shutil.rmtree(course.root / ".course")
    (course.solutions / "gradebook.db").unlink()
    monkeypatch.setenv("COURSE_DB_URL", address)

    killed = subprocess.run(
        [sys.executable, HERE / "killed.py", course.root, "while the marks of a submission are written"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert all(mark is None for _, _, _, mark, _ in cells(course))
    command = [sys.executable, "-m", "coursework.cli", "mark", "--workers", "2"]
    both = [
        subprocess.Popen(
            command, cwd=course.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert (mark(course), cells(course)) == wanted
    assert all(result.before for result in mark_class(course, tiny.QUIZ))
    assert not (course.solutions / "gradebook.db").exists()


def test_a_database_that_is_not_there_is_told_without_its_password(course, monkeypatch):
    quiz(course, "ada")
    monkeypatch.setenv("COURSE_DB_URL", "postgresql+psycopg://ada:secret@127.0.0.1:9/gradebook")
    with pytest.raises(CannotGoOn) as told:
        mark(course)
    assert "The gradebook postgresql+psycopg://ada:***@127.0.0.1:9/gradebook cannot be used" in str(
        told.value
    )
    monkeypatch.setenv("COURSE_DB_URL", "gradebook.db")
    with pytest.raises(CannotGoOn, match="is no address of a gradebook"):
        mark(course)


def test_an_ordinary_error_is_no_reason_to_stop():
    assert reason(ValueError("database is locked"), "sqlite:///x") == ""
    assert reason(OSError(errno.ENOENT, "no such file"), "sqlite:///x") == ""


def test_a_gradebook_in_the_configuration(monkeypatch, tmp_path):
    from traitlets.config import Config

    from coursework.configuration import configure

    monkeypatch.delenv("COURSE_DB_URL", raising=False)
    for given, wanted in (("postgresql+psycopg:///class", "postgresql+psycopg:///class"), ("", "sqlite:///")):
        configure(config := Config(), tmp_path, db_url=given)
        assert config.CourseDirectory.db_url.startswith(wanted)
    assert config.CourseDirectory.db_url.endswith("gradebook.db?timeout=60")


# ---- late, again, unknown


def test_late_work_is_marked_in_full_and_its_delay_is_told(course):
    for student, when in (("ada", "2027-03-01 12:00 UTC"), ("bob", "2027-03-04 00:00 UTC"), ("eve", "soon")):
        quiz(course, student).with_name("timestamp.txt").write_text(when)
    coursedir = Nbgrader(course).coursedir
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        gradebook.update_or_create_assignment(tiny.QUIZ.name, duedate="2027-03-01 12:00:00")
    results = {result.student: result for result in mark_class(course, tiny.QUIZ)}
    assert {student: result.mark for student, result in results.items()} == {"ada": 3, "bob": 3, "eve": None}
    assert "timestamp.txt holds no time" in results["eve"].problems[0]
    assert remarks(coursedir, tiny.QUIZ.name) == {"ada": [], "bob": ["2.5 days late"]}
    quiz(course, "eve").with_name("timestamp.txt").write_text("2027-03-01 15:00 UTC")
    done = run(course, "99")
    assert "eve, quiz-99-tiny: 3.0 hours late" in done.stdout
    assert "2 of these had been marked before" in done.stdout


def test_a_second_hand_in_takes_the_place_of_the_first_and_says_what_stays(course):
    quiz(course, "ada")
    quiz(course, "bob")
    mark(course)
    coursedir = Nbgrader(course).coursedir
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        gradebook.find_grade("question-2", "quiz", tiny.QUIZ.name, "ada").manual_score = 0.25
        gradebook.db.commit()
    quiz(course, "ada", "a")
    assert [(r.student, r.mark, r.before) for r in mark_class(course, tiny.QUIZ)] == [
        ("ada", 1.25, False),
        ("bob", 3, True),
    ]
    (said,) = remarks(coursedir, tiny.QUIZ.name)["ada"]
    assert said == "keeps the mark that was given by hand before (question-2): look"


def test_a_newer_notebook_beside_the_right_one_is_told(course):
    path = quiz(course, "ada")
    os.utime(path, (1, 1))
    nbformat.write(tiny.quiz(), path.with_name("quiz (1).ipynb"))
    (result,) = mark_class(course, tiny.QUIZ)
    assert result.mark == 3
    assert result.problems == ["quiz (1).ipynb is newer than quiz.ipynb, and was not looked at"]


def test_a_name_that_is_not_in_the_class_list_is_marked_and_told(course):
    quiz(course, "ada")
    quiz(course, "adda")
    coursedir = Nbgrader(course).coursedir
    assert mark(course) == {("ada", tiny.QUIZ.name): 3, ("adda", tiny.QUIZ.name): 3}
    assert remarks(coursedir, tiny.QUIZ.name) == {"ada": [], "adda": []}  # there is no list
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        gradebook.update_or_create_student("ada", first_name="Ada")
    (said,) = remarks(coursedir, tiny.QUIZ.name)["adda"]
    assert said.startswith("not in the class list; nbgrader has added this name")

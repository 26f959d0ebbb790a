"""Marks one submission, whatever state it is in: plain data in, plain data out.

A process of this machine takes this from the pool; only what a learner wrote may run on another machine.
"""

import functools
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from filelock import FileLock, Timeout

from coursework.layout import Assignment, Course
from coursework.marking import submission
from coursework.marking.gradebook import telling
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.process import prove
from coursework.marking.warm import zygote
from coursework.workspace import write_whole

PATIENCE = 600
"""Seconds to wait for another marking that is at the same submission."""


@dataclass(frozen=True)
class Job:
    """One submission of the course in the folder `root`, and how it is to be marked."""

    root: Path
    what: Assignment
    student: str
    sandbox: str = ""
    """bubblewrap, landlock or none; empty: as the configuration has it."""
    stock: bool = False
    """Without this course's configuration."""
    again: bool = False
    """Also where nothing has changed since it was marked."""
    feedback: bool = True
    scheduler: str = ""
    """The address of a Dask scheduler whose workers run labs; empty: they run here."""


@dataclass
class Result:
    """What became of one submission: its marks by test cell (None if not marked), and problems."""

    student: str
    what: Assignment
    marks: dict[str, tuple[float, float]] | None = None
    problems: list[str] = field(default_factory=list)
    before: bool = False
    """It had been marked in an earlier run."""
    penalty: float = 0.0
    """What is taken off the sum because it was late."""

    @property
    def mark(self) -> float | None:
        """The sum of the marks, less the penalty for lateness."""
        return None if self.marks is None else sum(mark for mark, _ in self.marks.values()) - self.penalty


def mark_one(job: Job) -> Result:
    """Mark a submission and write its feedback page, unless that was done before and nothing has changed.

    What is done is recorded last of all, so whatever was stopped half-way is marked again. Raises CannotGoOn.
    """
    result = Result(job.student, job.what)
    app = nbgrader_for(Course(job.root), job.stock, job.sandbox, job.scheduler)
    record = job.root / ".course" / "marked" / job.what.name / f"{job.student}.json"
    with telling(app.coursedir.db_url):
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(record.with_suffix(".lock"), timeout=PATIENCE):
                _mark(job, app, record, result)
            result.penalty = app.penalty(job.what, job.student) if result.marks is not None else 0.0
        except Timeout:
            result.problems.append("another `course mark` is at it and does not come to an end")
        except PermissionError as error:
            result.problems.append(f"you may not read or write {error.filename}")
    return result


def _mark(job: Job, app: Nbgrader, record: Path, result: Result) -> None:
    course, what = Course(job.root), job.what
    source = course.solutions / "source" / what.name / what.notebook
    folder = course.solutions / "submitted" / job.student / what.name
    try:
        app.coursedir.get_existing_timestamp(str(folder))
    except (Exception, SystemExit):  # what is no time makes nbgrader give up altogether
        result.problems.append("its timestamp.txt holds no time, such as 2027-03-01 23:59 UTC: put it right")
        return
    try:
        result.problems = submission.prepare(folder, what, _grade_ids(source, source.stat().st_mtime_ns))
    except submission.Unreadable as error:
        result.problems.append(str(error))
        return
    state = _state(source, folder)
    there = [("autograded", what.notebook), *([("feedback", f"{what.kind}.html")] if job.feedback else [])]
    made = all((course.solutions / step / job.student / what.name / name).exists() for step, name in there)
    if not job.again and made and _known(record) == state:
        result.marks = app.marks(what, job.student)
        result.before = result.marks is not None
        if result.before:
            return
    record.unlink(missing_ok=True)
    here = what.kind == "lab" and not job.stock and not job.scheduler
    if here and (kind := app.config.ExecuteSafely.sandbox) != "none":
        prove(zygote(kind, Path(app.coursedir.root)))
    done = app.autograde(what, job.student)
    result.problems += [line.split(": ", 1)[1] for line in done.log.splitlines() if " REPAIRED " in line]
    if not done.ok:
        result.problems.append(f"nbgrader could not mark it: {_last_error(done.log)}")
        return
    result.marks = app.marks(what, job.student)
    if job.feedback:
        feedback = app.feedback(what, job.student)
        if not feedback.ok:
            result.problems.append(f"no feedback page: {_last_error(feedback.log)}")
            return
    write_whole(record, json.dumps(state))


SETTINGS = ("COURSE_SALT", "COURSE_TIMEOUT", "COURSE_SANDBOX", "COURSE_DB_URL")
"""Environment variables that the configuration reads."""


def nbgrader_for(course: Course, stock: bool, sandbox: str, scheduler: str = "") -> Nbgrader:
    """nbgrader on this course; the same one for every submission that this process marks."""
    environment = tuple(os.environ.get(name) for name in SETTINGS)
    return _nbgrader(course, stock, sandbox, scheduler, environment)


@functools.lru_cache(maxsize=1)
def _nbgrader(
    course: Course, stock: bool, sandbox: str, scheduler: str, environment: tuple[str | None, ...]
) -> Nbgrader:
    return Nbgrader(course, stock, sandbox, scheduler)


@functools.lru_cache(maxsize=1)
def _grade_ids(source: Path, changed: int) -> set[str]:
    cells = nbformat.read(source, as_version=4).cells
    return {cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata}


def _state(source: Path, folder: Path) -> dict[str, str]:
    """What the marks depend on: the submission, the source, the salt."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    salt = os.environ.get("COURSE_SALT", "").encode()
    return {
        "submission": digest.hexdigest(),
        "source": hashlib.sha256(source.read_bytes() + salt).hexdigest(),
    }


def _known(record: Path) -> dict[str, str] | None:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None


def _last_error(log: str) -> str:
    errors = [line for line in re.findall(r"^\s*([\w.]+: .+)$", log, re.M) if "NbGraderException" not in line]
    return (errors or ["no reason given"])[-1][:300]

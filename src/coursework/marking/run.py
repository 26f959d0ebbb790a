"""Marks a class: every submission of an assignment, one after the other, whatever state it is in.

A submission that was marked before and has not changed since is not marked again, so an interrupted run
goes on where it stopped; and since hidden inputs are fixed by the class's salt, marking twice gives the
same marks.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from coursework.checks import failed_names
from coursework.layout import Assignment, Course, NotFound
from coursework.marking import submission
from coursework.marking.nbgrader import Nbgrader


@dataclass
class Result:
    """What became of one submission: its marks by test cell (None if not marked), and problems."""

    student: str
    what: Assignment
    marks: dict[str, tuple[float, float]] | None = None
    problems: list[str] = field(default_factory=list)
    before: bool = False
    """It had been marked in an earlier run."""

    @property
    def mark(self) -> float | None:
        """The sum of the marks."""
        return None if self.marks is None else sum(mark for mark, _ in self.marks.values())


def students(course: Course, what: Assignment) -> list[str]:
    """Who has handed in `what`, by the folders in solutions/submitted/."""
    return sorted(
        path.parent.name for path in course.solutions.glob(f"submitted/*/{what.name}") if path.is_dir()
    )


def mark_class(
    course: Course, what: Assignment, only: str | None = None, again: bool = False, stock: bool = False
) -> Iterator[Result]:
    """Mark every submission of `what` (or that of the student `only`), yielding each result as it comes."""
    app = Nbgrader(course, stock)
    source = course.solutions / "source" / what.name / what.notebook
    if not source.exists():
        raise NotFound(f"There is no {source}: nothing to mark by.")
    ensure_generated(course, app, what)
    grade_ids = _grade_ids(source)
    for student in students(course, what):
        if only in (None, student):
            yield _mark(course, app, what, student, grade_ids, again)


def ensure_generated(course: Course, app: Nbgrader, what: Assignment) -> None:
    """Generate the assignment where the gradebook does not know it yet: without it, nbgrader cannot mark."""
    from nbgrader.api import Gradebook, MissingEntry

    with Gradebook(app.coursedir.db_url, app.coursedir.course_id) as gradebook:
        try:
            known = bool(gradebook.find_assignment(what.name).notebooks)
        except MissingEntry:
            known = False
    if not known:
        done = app.generate(what)
        if not done.ok:
            raise NotFound(f"{what.name} could not be generated:\n{done.log[-2000:]}")


def _grade_ids(source: Path) -> set[str]:
    cells = nbformat.read(source, as_version=4).cells
    return {cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata}


def _mark(
    course: Course, app: Nbgrader, what: Assignment, student: str, grade_ids: set[str], again: bool
) -> Result:
    result = Result(student, what)
    try:
        folder = course.solutions / "submitted" / student / what.name
        result.problems = submission.prepare(folder, what, grade_ids)
    except submission.Unreadable as error:
        result.problems.append(str(error))
        return result
    record = course.root / ".course" / "marked" / what.name / f"{student}.json"
    state = _state(course, what, folder)
    if not again and _known(record) == state and (marks := app.marks(what, student)) is not None:
        result.marks, result.before = marks, True
        return result
    record.unlink(missing_ok=True)
    done = app.autograde(what, student)
    result.problems += [line.split(": ", 1)[1] for line in done.log.splitlines() if " REPAIRED " in line]
    if not done.ok:
        result.problems.append(f"nbgrader could not mark it: {_last_error(done.log)}")
        return result
    result.marks = app.marks(what, student)
    feedback = app.feedback(what, student)
    if not feedback.ok:
        result.problems.append(f"no feedback page: {_last_error(feedback.log)}")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(state), encoding="utf-8")
    return result


def _state(course: Course, what: Assignment, folder: Path) -> dict[str, str]:
    """What the marks depend on: the submission, the source, the salt."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    source = (course.solutions / "source" / what.name / what.notebook).read_bytes()
    salt = os.environ.get("COURSE_SALT", "")
    return {"submission": digest.hexdigest(), "source": hashlib.sha256(source + salt.encode()).hexdigest()}


def _known(record: Path) -> dict[str, str] | None:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None


def _last_error(log: str) -> str:
    errors = [line for line in re.findall(r"^\s*([\w.]+: .+)$", log, re.M) if "NbGraderException" not in line]
    return (errors or ["no reason given"])[-1][:300]


def failed_checks(course: Course, what: Assignment, student: str) -> list[str]:
    """The names of the checks that a marked submission failed, in order."""
    path = course.solutions / "autograded" / student / what.name / what.notebook
    names = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename == "CheckFailed":
                names += failed_names(output.evalue)
    return names

"""nbgrader's own converters, called in this process for one assignment and one student at a time."""

import functools
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from coursework.configuration import find_scripts
from coursework.layout import Assignment, Course
from coursework.marking.gradebook import CannotGoOn, opened, reason


@dataclass(frozen=True)
class Done:
    """How a step of nbgrader ended, and what it logged."""

    ok: bool
    log: str


@functools.cache
def _engine(process: int, url: str, options: tuple[tuple[str, Any], ...]) -> Any:
    from sqlalchemy import create_engine

    return create_engine(url, **dict(options))


def keep_engines() -> None:
    """Have nbgrader keep one engine a gradebook: a new one compiles every statement anew."""
    import nbgrader.api

    nbgrader.api.create_engine = lambda url, **options: _engine(os.getpid(), url, tuple(options.items()))


class Nbgrader:
    """nbgrader on the course directory of `course`; `stock` leaves its configuration file aside.

    `sandbox` and `scheduler`, where they are given, take the place of the configuration's.
    """

    def __init__(self, course: Course, stock: bool = False, sandbox: str = "", scheduler: str = ""):
        from nbgrader.coursedir import CourseDirectory
        from traitlets.config import Config, PyFileConfigLoader

        find_scripts()
        keep_engines()
        self.config = Config()
        if not stock:
            loader = PyFileConfigLoader("nbgrader_config.py", path=str(course.solutions))
            self.config.merge(loader.load_config())
        if sandbox:
            self.config.ExecuteSafely.sandbox = sandbox
        if scheduler:
            self.config.ExecuteSafely.scheduler = scheduler
        self.config.CourseDirectory.root = str(course.solutions)
        self.coursedir = CourseDirectory(config=self.config)

    def generate(self, what: Assignment) -> Done:
        """`nbgrader generate_assignment --force`."""
        from nbgrader.converters import GenerateAssignment

        return self._run(GenerateAssignment, what, ".")

    def autograde(self, what: Assignment, student: str) -> Done:
        """`nbgrader autograde --force` for one student."""
        from nbgrader.converters import Autograde

        return self._run(Autograde, what, student)

    def feedback(self, what: Assignment, student: str) -> Done:
        """`nbgrader generate_feedback --force` for one student."""
        from nbgrader.converters import GenerateFeedback

        return self._run(GenerateFeedback, what, student)

    def marks(self, what: Assignment, student: str) -> dict[str, tuple[float, float]] | None:
        """The student's (mark, most) for each test cell by its grade id; None where nothing is marked yet."""
        from nbgrader.api import MissingEntry

        with opened(self.coursedir) as gradebook:
            try:
                submission = gradebook.find_submission(what.name, student)
            except MissingEntry:
                return None
            return _marks(submission)

    def class_marks(self, what: Assignment) -> dict[str, tuple[dict[str, tuple[float, float]] | None, float]]:
        """The marks and the penalty of everybody who has a submission in the gradebook, in a few queries."""
        from nbgrader import api
        from sqlalchemy.orm import selectinload

        with opened(self.coursedir) as gradebook:
            grades = selectinload(api.SubmittedAssignment.notebooks).selectinload(
                api.SubmittedNotebook.grades
            )
            found = (
                gradebook.db.query(api.SubmittedAssignment)
                .join(api.Assignment, api.SubmittedAssignment.assignment_id == api.Assignment.id)
                .filter(api.Assignment.name == what.name)
                .options(grades.selectinload(api.Grade.cell))
            )
            return {one.student_id: (_marks(one), _penalty(one)) for one in found}

    def penalty(self, what: Assignment, student: str) -> float:
        """The points that are taken off because the submission was late."""
        from nbgrader.api import MissingEntry

        with opened(self.coursedir) as gradebook:
            try:
                return _penalty(gradebook.find_submission(what.name, student))
            except MissingEntry:
                return 0.0

    def _run(self, converter: Any, what: Assignment, student: str) -> Done:
        from nbgrader.utils import capture_log

        self.coursedir.assignment_id, self.coursedir.student_id = what.name, student
        app = converter(coursedir=self.coursedir, config=self.config)
        app.force = True
        trouble = _Trouble(logging.ERROR)
        app.log.addHandler(trouble)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sqlalchemy's, about nbgrader
            result = capture_log(app)
        app.log.removeHandler(trouble)
        if isinstance(trouble.error, KeyboardInterrupt | CannotGoOn):
            raise trouble.error
        if why := reason(trouble.error, self.coursedir.db_url):
            raise CannotGoOn(why)
        return Done(result["success"], f"{result.get('log', '')}{result.get('error', '')}")


def _marks(submission: Any) -> dict[str, tuple[float, float]] | None:
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    if any(grade.auto_score is None and grade.manual_score is None for grade in grades):
        return None
    return {grade.name: (grade.score, grade.max_score) for grade in sorted(grades, key=lambda g: g.name)}


def _penalty(submission: Any) -> float:
    return float(sum(notebook.late_submission_penalty or 0.0 for notebook in submission.notebooks))


class _Trouble(logging.Handler):
    """Keeps the exception that nbgrader logs and does not let through."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.error = sys.exc_info()[1] or self.error

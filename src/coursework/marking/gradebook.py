"""nbgrader's gradebook: opened, written to at once, and its failures in words.

Whatever kills a marking, a submission's marks in the gradebook are all of the last finished marking or all of
the one before: they are written in one transaction.
"""

import contextlib
import errno
import logging
from collections.abc import Iterator
from typing import Any

from nbgrader.preprocessors import SaveAutoGrades
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError, OperationalError

logging.getLogger("tornado.application").addHandler(
    logging.NullHandler()
)  # nbgrader logs there what it raises

FULL = (errno.ENOSPC, errno.EDQUOT)
LOCKED = (
    "The gradebook is locked: another program has held it for longer than marking waits. Is it open in "
    "formgrader, in a database browser or in a backup? Close it there."
)
NO_ROOM = "The disk is full ({where}). Make room there. What has a mark keeps it, and nothing is half marked."


class CannotGoOn(Exception):
    """Not a submission is at fault but the machine, the gradebook or the cluster; the message says which."""


class SaveAtOnce(SaveAutoGrades):
    """nbgrader's step that saves marks, which commits after every cell, with one commit at the end."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Save the marks and comments of one notebook."""
        from nbgrader.api import Gradebook

        names = resources["nbgrader"]
        self.notebook_id, self.assignment_id = names["notebook"], names["assignment"]
        self.student_id, self.db_url = names["student"], names["db_url"]
        with Gradebook(self.db_url) as self.gradebook:
            session: Any = self.gradebook.db()
            commit, session.commit = session.commit, session.flush
            for index, cell in enumerate(nb.cells):
                self.preprocess_cell(cell, resources, index)
            commit()
        return nb, resources


@contextlib.contextmanager
def opened(coursedir: Any) -> Iterator[Any]:
    """The gradebook of nbgrader's course directory. Raises CannotGoOn where it cannot be used."""
    from nbgrader.api import Gradebook

    with telling(coursedir.db_url), Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        yield gradebook


def remarks(coursedir: Any, assignment: str) -> dict[str, list[str]]:
    """What an instructor should know of each submission beside its mark, by student."""
    from nbgrader.api import MissingEntry

    said: dict[str, list[str]] = {}
    with opened(coursedir) as gradebook:
        listed = {s.id for s in gradebook.students if s.first_name or s.last_name or s.email}
        try:
            submissions = gradebook.find_assignment(assignment).submissions
        except MissingEntry:
            return {}
        for submission in submissions:
            student = submission.student.id
            notes = said.setdefault(student, [])
            if late := submission.total_seconds_late:
                notes.append(f"{_duration(late)} late")
            if listed and student not in listed:
                notes.append("not in the class list; nbgrader has added this name: was a file named wrongly?")
            grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
            kept = [g.name for g in grades if g.needs_manual_grade and g.manual_score is not None]
            if kept:
                notes.append(
                    f"keeps the mark that was given by hand before ({', '.join(sorted(kept))}): look"
                )
    return said


def _duration(seconds: float) -> str:
    days, hours, minutes = seconds / 86400, seconds / 3600, seconds / 60
    return (
        f"{days:.1f} days" if days >= 1 else f"{hours:.1f} hours" if hours >= 1 else f"{minutes:.0f} minutes"
    )


@contextlib.contextmanager
def telling(db_url: str) -> Iterator[None]:
    """Turn the failures of disk and gradebook into CannotGoOn."""
    try:
        yield
    except Exception as error:
        if why := reason(error, db_url):
            raise CannotGoOn(why) from error
        raise


def reason(error: BaseException | None, db_url: str) -> str:
    """What failed, and what to do, where `error` or what it came from is the disk's or the gradebook's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return NO_ROOM.format(where=error.filename or error.strerror)
        if isinstance(error, ModuleNotFoundError) and "psycopg" in str(error):
            return (
                f"{_shown(db_url)} needs a driver: pip install 'psycopg[binary]', and postgresql+psycopg://"
            )
        if isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError:
            said = str(error.orig)
            if "locked" in said:
                return LOCKED
            if "disk is full" in said or "No space left" in said:
                return NO_ROOM.format(where=_shown(db_url))
            return f"The gradebook {_shown(db_url)} cannot be used: {said.strip()}"
        if isinstance(error, ArgumentError | NoSuchModuleError):
            return f"{_shown(db_url)} is no address of a gradebook: {error}"
        error = error.__cause__ or error.__context__
    return ""


def _shown(db_url: str) -> str:
    """The address without its password."""
    try:
        return make_url(db_url).render_as_string(hide_password=True)
    except ArgumentError:
        return "What is configured as db_url"

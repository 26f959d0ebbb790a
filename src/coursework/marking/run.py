"""Marks a class: every submission of an assignment, one after the other or several at a time.

A submission that was marked before and has not changed since is not marked again, so an interrupted run
goes on where it stopped; and since hidden inputs are fixed by the class's salt, marking twice gives the
same marks.
"""

from collections.abc import Iterator

import nbformat
from filelock import FileLock
from nbgrader import utils

from coursework.checks import failed_names
from coursework.layout import Assignment, Course, NotFound
from coursework.marking.cluster import size
from coursework.marking.gradebook import opened, telling
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.one import Job, Result, mark_one, nbgrader_for
from coursework.marking.pool import spread
from coursework.marking.sandbox import require

__all__ = ["Result", "ensure_generated", "failed_checks", "mark_class", "students"]


def students(course: Course, what: Assignment) -> list[str]:
    """Who has handed in `what`, by the folders in solutions/submitted/."""
    return sorted(
        path.parent.name for path in course.solutions.glob(f"submitted/*/{what.name}") if path.is_dir()
    )


def mark_class(
    course: Course,
    what: Assignment,
    only: str | None = None,
    again: bool = False,
    stock: bool = False,
    sandbox: str = "",
    workers: int = 1,
    feedback: bool = True,
    scheduler: str = "",
) -> Iterator[Result]:
    """Mark every submission of `what` (or that of the student `only`), yielding each result as it comes.

    `workers` is the number of processes that mark; with 1, this process does. Labs run on the workers of the
    Dask `scheduler`, where one is given, each asked by a process of its own. Raises NoSandbox and CannotGoOn.
    """
    app = nbgrader_for(course, stock, sandbox, scheduler)
    if what.kind == "lab" and scheduler:
        ((_, workers),) = spread(size, [scheduler], 1)  # a process apart: Dask starts threads
    elif what.kind == "lab" and not stock:
        require(app.config.ExecuteSafely.sandbox)
    source = course.solutions / "source" / what.name / what.notebook
    if not source.exists():
        raise NotFound(f"There is no {source}: nothing to mark by.")
    ensure_generated(course, app, what)
    jobs = [
        Job(course.root, what, student, sandbox, stock, again, feedback, scheduler)
        for student in students(course, what)
        if only in (None, student)
    ]
    if not scheduler and (workers == 1 or len(jobs) == 1):
        yield from map(mark_one, jobs)
        return
    for job, result in spread(mark_one, jobs, workers):
        yield result or Result(
            job.student, what, problems=["the process that marked it was ended, twice: it is not marked"]
        )


def ensure_generated(course: Course, app: Nbgrader, what: Assignment) -> None:
    """Generate the assignment where the gradebook does not have it as the source does: nbgrader marks by it.

    So it is, too, where a release was stopped half-way.
    """
    lock = course.root / ".course" / "marked" / "generate.lock"
    with telling(app.coursedir.db_url):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            source = nbformat.read(course.solutions / "source" / what.name / what.notebook, as_version=4)
            cells = {
                cell.metadata.nbgrader.grade_id: cell.source
                for cell in source.cells
                if utils.is_grade(cell) or utils.is_solution(cell) or utils.is_locked(cell)
            }
            if _generated(app, what, cells):
                return
            done = app.generate(what)
            if not done.ok:
                raise NotFound(f"{what.name} could not be generated:\n{done.log[-2000:]}")


def _generated(app: Nbgrader, what: Assignment, cells: dict[str, str]) -> bool:
    """Whether the gradebook has these cells, and the text of those that mark."""
    from nbgrader.api import Gradebook, MissingEntry

    Gradebook(app.coursedir.db_url).close()  # some of nbgrader's steps name no course, and take a default
    with opened(app.coursedir) as gradebook:
        try:
            known = gradebook.find_notebook(what.kind, what.name).source_cells
        except MissingEntry:
            return False
        tests = {cell.name: cell.source for cell in known if cell.locked}
        return {cell.name for cell in known} == {*cells} and all(
            cells[name] == source for name, source in tests.items()
        )


def failed_checks(course: Course, what: Assignment, student: str) -> list[str]:
    """The names of the checks that a marked submission failed, in order."""
    path = course.solutions / "autograded" / student / what.name / what.notebook
    names = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename == "CheckFailed":
                names += failed_names(output.evalue)
    return names

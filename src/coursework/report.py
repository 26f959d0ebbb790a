"""Marks as tables: of a class, and of the mistakes that are made most."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.table import Table

from coursework.layout import Assignment, Course
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.run import Result, failed_checks, students


def collect(course: Course, assignments: Iterable[Assignment]) -> list[Result]:
    """The marks that the gradebook has, for everybody who has handed in one of the assignments."""
    app = Nbgrader(course)
    found = []
    for what in assignments:
        for who in students(course, what):
            marks = app.marks(what, who)
            found.append(Result(who, what, marks, penalty=app.penalty(what, who) if marks else 0.0))
    return found


def tables(results: list[Result]) -> Iterator[Table]:
    """A table a unit: a row a student, its lab, its quiz, and their sum; "-" is what is not marked."""
    for slug in dict.fromkeys(result.what.slug for result in results):
        unit = [result for result in results if result.what.slug == slug]
        kinds = sorted({result.what.kind for result in unit})
        shown = Table(title=slug, title_justify="left")
        shown.add_column("student", overflow="fold")
        for name in [*kinds, "sum"]:
            shown.add_column(name, justify="right")
        for student, row in by_student(unit).items():
            marks = {result.what.kind: result.mark for result in row.values()}
            texts = ["-" if marks.get(kind) is None else f"{marks[kind]:g}" for kind in kinds]
            shown.add_row(student, *texts, f"{sum(mark or 0 for mark in marks.values()):g}")
        yield shown


def by_student(results: list[Result]) -> dict[str, dict[str, Result]]:
    """The results by student, then by assignment."""
    rows: dict[str, dict[str, Result]] = {}
    for result in results:
        rows.setdefault(result.student, {})[result.what.name] = result
    return rows


def as_csv(results: list[Result]) -> str:
    """One line a student and test cell: student, assignment, cell, mark, most; the penalty is a line, too."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", "assignment", "cell", "mark", "most"])
    for result in results:
        for cell, (mark, most) in (result.marks or {}).items():
            writer.writerow([result.student, result.what.name, cell, f"{mark:g}", f"{most:g}"])
        if result.penalty:
            writer.writerow([result.student, result.what.name, "late", f"{-result.penalty:g}", "0"])
    return out.getvalue()


def common_mistakes(course: Course, results: list[Result], most: int = 3) -> list[tuple[str, int]]:
    """The checks that failed most often, among those with a mark: (name of the check, how many)."""
    counts: Counter[str] = Counter()
    for result in results:
        if result.what.kind == "lab" and result.mark:
            counts.update(set(failed_checks(course, result.what, result.student)))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]

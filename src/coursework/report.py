"""Marks as tables: of a class, and of the mistakes that are made most."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.table import Table

from coursework.analysis.alike import PROVES_NOTHING, pairs
from coursework.analysis.gradebooks import Filled, fill
from coursework.analysis.mistakes import of_lab, of_quiz
from coursework.layout import Assignment, Course, NotFound
from coursework.marking.gradebook import opened
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.run import Result, failed_checks, students


def collect(course: Course, assignments: Iterable[Assignment]) -> list[Result]:
    """The marks that the gradebook has, for everybody who has handed in one of the assignments."""
    app = Nbgrader(course)
    found = []
    for what in assignments:
        marked = app.class_marks(what)
        for who in students(course, what):
            marks, penalty = marked.get(who, (None, 0.0))
            found.append(Result(who, what, marks, penalty=penalty))
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


def mistakes(course: Course, results: list[Result], most: int = 3) -> Iterator[str]:
    """The most frequent wrong answers of each assignment, in a line each."""
    for what, marked in _marked(results):
        made = (of_lab if what.kind == "lab" else of_quiz)(course, what, marked)
        for n, mistake in enumerate(made[:most]):
            if not n:
                yield f"\n{what.name}, the most frequent wrong answers:"
            yield f"  {len(mistake.who):>3} × {mistake.part}: {mistake.name}"


def alike(course: Course, results: list[Result]) -> Iterator[str]:
    """The pairs of labs that are alike, in a line each, under what such a list is worth."""
    yield PROVES_NOTHING
    for what, marked in _marked(results):
        for pair in pairs(course, what, marked) if what.kind == "lab" else []:
            words = f"; words of these two only: {', '.join(pair.names[:6])}" if pair.names else ""
            where = ", ".join(pair.cells)
            yield f"  {what.name}: {pair.one}, {pair.other}: {pair.likeness:.0%} alike in {where}{words}"


def write_page(course: Course, results: list[Result], path: Path) -> None:
    """Write the page of the class to `path`."""
    from coursework.analysis.page import about, page

    path.write_text(page(about(course, results)), encoding="utf-8")


def fill_in(course: Course, results: list[Result], given: Path) -> tuple[Filled, Path]:
    """Fill the marks into a copy of the gradebook `given`, beside it: what was done, and the copy."""
    app, known = Nbgrader(course), {}
    with opened(app.coursedir) as gradebook:
        for student in gradebook.students:
            known[student.id] = {name for name in (student.email, student.lms_user_id) if name}
    if not given.is_file():
        raise NotFound(f"There is no file {given}.")
    filled = fill(given, results, known)
    path = given.with_name(f"{given.stem}-filled{given.suffix}")
    path.write_bytes(filled.content)
    return filled, path


def _marked(results: list[Result]) -> Iterator[tuple[Assignment, list[str]]]:
    for what in dict.fromkeys(result.what for result in results):
        yield what, [r.student for r in results if r.what == what and r.marks is not None]

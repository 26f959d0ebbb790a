"""What a learner does with a lab and a quiz: check what is visible, mark all of it, hand it in."""

import contextlib
import datetime
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from coursework import progress, quiz
from coursework.checks import IN_TERMINAL, NOT_ENOUGH
from coursework.layout import KINDS, Assignment, Course, NotFound
from coursework.marking import submission
from coursework.marking.quizzes import NotAnAnswer, read_answers
from coursework.marking.repair import repair
from coursework.marking.run import Result, mark_class
from coursework.marking.sandbox import best


@dataclass
class Checked:
    """The visible checks of a lab: passed and all test cells, and the message of each that failed or whose
    measurements are not enough."""

    passed: int = 0
    total: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def assignments(course: Course, slug: str) -> list[Assignment]:
    """The lab and the quiz of a unit, as far as they are released here."""
    both = [Assignment(kind, slug) for kind in KINDS]
    mine = course.work / slug
    found = [what for what in both if course.released(what).exists() or (mine / what.notebook).exists()]
    if not found:
        raise NotFound(f"Unit {slug} has no lab and no quiz here.")
    return found


def check_lab(course: Course, what: Assignment) -> Checked:
    """Run the visible checks on the learner's lab, as they were released: edited ones do not count."""
    from nbgrader.preprocessors import Execute
    from nbgrader.utils import determine_grade, is_grade

    path = course.of_learner(what)
    notebook = submission.read(path)
    released = course.released(what)
    if released.exists():
        original = nbformat.read(released, as_version=4)
        repair(notebook, original)
        sources = {_grade_id(cell): cell.source for cell in original.cells if is_grade(cell)}
        for cell in notebook.cells:
            cell.source = sources.get(_grade_id(cell), cell.source)
    runner = Execute(timeout=60, extra_arguments=["--IPKernelApp.log_level=40"])
    with _in_terminal():
        notebook, _ = runner.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    checked = Checked()
    for cell in notebook.cells:
        if is_grade(cell):
            checked.total += 1
            mark, most = determine_grade(cell)
            said = "".join(out.text for out in cell.outputs if out.get("name") == "stdout")
            if mark == most and NOT_ENOUGH in said:
                checked.failed[_grade_id(cell)] = said.rstrip()
            elif mark == most:
                checked.passed += 1
            else:
                checked.failed[_grade_id(cell)] = _message(cell)
    progress.note(course, what, visible=[checked.passed, checked.total])
    return checked


def check_quiz(course: Course, what: Assignment) -> tuple[int, list[str], list[str]]:
    """How many questions there are, the names of those not answered, and which answers cannot be marked;
    not if they are right."""
    forms = _forms(course, what)
    total, unanswered, problems = 0, list[str](), list[str]()
    for cell in submission.read(course.of_learner(what)).cells:
        name = _grade_id(cell)
        if name.startswith("answer_"):
            total += 1
            try:
                answer = read_answers(cell.source).get(name)
                why = quiz.unreadable(answer, *forms[name]) if name in forms else ""
            except NotAnAnswer as error:
                answer, why = None, f"{error}."
            if why:
                problems.append(f"{name} cannot be marked: {why}")
            elif quiz.blank(answer):
                unanswered.append(name)
    progress.note(course, what, answered=[total - len(unanswered) - len(problems), total])
    return total, unanswered, problems


def mark_mine(course: Course, slug: str) -> list[tuple[Result, Path]]:
    """Mark the learner's lab and quiz with the hidden tests, through nbgrader: (result, feedback page) for
    each.

    Works in a temporary copy of the course directory; the pages are kept in work/<slug>/feedback/.
    """
    if not course.solutions.is_dir():
        number = slug.partition("-")[0]
        raise NotFound(
            f"This copy of the course has no solutions to mark by. `course check {number}` runs the checks "
            f"that are here, and `course submit {number}` packs your work for whoever marks it. "
            "A clone of the whole course has the solutions."
        )
    marked = []
    with tempfile.TemporaryDirectory(prefix="course-mark-") as folder:
        there = Course(Path(folder))
        there.solutions.mkdir()
        shutil.copy(course.solutions / "nbgrader_config.py", there.solutions)
        for what in assignments(course, slug):
            shutil.copytree(course.solutions / "source" / what.name, there.solutions / "source" / what.name)
            mine = there.solutions / "submitted" / "me" / what.name
            mine.mkdir(parents=True)
            shutil.copy(course.of_learner(what), mine / what.notebook)
            for result in mark_class(there, what, sandbox=best()):
                page = course.work / slug / "feedback" / f"{what.kind}.html"
                made = there.solutions / "feedback" / "me" / what.name / f"{what.kind}.html"
                if made.exists():
                    page.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(made, page)
                if result.marks is not None:
                    progress.note(course, what, mark=[result.mark, sum(m for _, m in result.marks.values())])
                marked.append((result, page))
    return marked


def _forms(course: Course, what: Assignment) -> dict[str, tuple[str, list[str]]]:
    """The form of each answer, (kind, options), as the released questions name it."""
    released = course.released(what)
    path = released if released.exists() else course.of_learner(what)
    forms, text = {}, ""
    for cell in submission.read(path).cells:
        if cell.cell_type == "markdown":
            text = cell.source
        elif (name := _grade_id(cell)).startswith("answer_") and (form := quiz.form(text)):
            forms[name] = form
    return forms


@contextlib.contextmanager
def _in_terminal() -> Iterator[None]:
    """Tell kernels that are started now to show failing runs as text."""
    os.environ[IN_TERMINAL] = "1"
    try:
        yield
    finally:
        del os.environ[IN_TERMINAL]


def pack(course: Course, slug: str, name: str, folder: Path) -> tuple[Path, list[str]]:
    """Pack the learner's lab and quiz for `nbgrader zip_collect`: (the one file to hand in, warnings)."""
    if not re.fullmatch(r"[A-Za-z0-9.@-]+", name):
        raise NotFound(
            f"The name {name!r} will not do: use letters, digits, dots and dashes only, such as ada-l."
        )
    target, warnings = folder / f"{name}_{slug}.zip", []
    packed = {}
    for what in assignments(course, slug):
        path = course.of_learner(what)
        notebook = submission.read(path)
        if path == course.released(what):
            warnings.append(f"your {what.kind} is not in work/: the released one is handed in")
        blank = sum("raise NotImplementedError" in c.source for c in notebook.cells if c.cell_type == "code")
        if what.kind == "lab" and blank:
            warnings.append(f"{blank} parts of the lab are not written yet")
        if what.kind == "quiz":
            _, unanswered, problems = check_quiz(course, what)
            warnings += problems
            if unanswered:
                warnings.append(f"{len(unanswered)} questions of the quiz are not answered")
        packed[what] = path
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for what, path in packed.items():
            package.write(path, f"{name}_{what.notebook}")
    progress.remember_name(course, name)
    for what in packed:
        progress.note(course, what, submitted=datetime.date.today().isoformat())
    return target, warnings


def _grade_id(cell: nbformat.NotebookNode) -> str:
    return str((cell.metadata.get("nbgrader") or {}).get("grade_id", ""))


def _message(cell: nbformat.NotebookNode) -> str:
    for output in cell.outputs:
        if output.output_type == "error":
            return "\n".join(output.traceback)
        if output.output_type == "stream" and output.name == "stderr":
            return f"the cell wrote to stderr, which costs its points:\n{output.text}"
    return "the cell did not run"

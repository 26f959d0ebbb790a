"""A whole class in a temporary folder: the reference, the stub, and every named wrong answer."""

import shutil
from pathlib import Path

from coursework import samples
from coursework.layout import Assignment, Course
from coursework.release import release


def build(course: Course, folder: Path, slugs: list[str]) -> Course:
    """A copy of the course in `folder` where the class has handed in the units `slugs`."""
    there = Course(folder)
    there.solutions.mkdir(parents=True)
    shutil.copy(course.solutions / "nbgrader_config.py", there.solutions)
    for slug in slugs:
        if (course.solutions / "wrong" / slug).is_dir():
            shutil.copytree(course.solutions / "wrong" / slug, there.solutions / "wrong" / slug)
        for what in (a for a in course.assignments() if a.slug == slug):
            shutil.copytree(course.solutions / "source" / what.name, there.solutions / "source" / what.name)
            release(there, what)
            _hand_in(there, what)
    return there


def _hand_in(course: Course, what: Assignment) -> None:
    samples.hand_in(course, what, "reference", samples.reference(course, what))
    samples.hand_in(course, what, "stub", samples.stub(course, what))
    right = samples.reference(course, what)
    asked = samples.questions(right) if what.kind == "quiz" else []
    for number, wrong in enumerate(samples.wrong_answers(course, what.slug)):
        cells = wrong.cells
        if what.kind == "quiz":  # each of the class gets one question wrong
            question = asked[number % len(asked)]
            choice = question.wrong[number % len(question.wrong)]
            cells = {f"answer_{question.number}": f"answer_{question.number} = {choice!r}"}
        samples.hand_in(course, what, wrong.name.replace("_", "-"), samples.with_cells(right, cells))

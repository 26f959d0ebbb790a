"""Submissions made from the solutions: the reference, the stub, each named wrong answer."""

import contextlib
import copy
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from coursework import quiz
from coursework.layout import Assignment, Course
from coursework.release import without_answer


@dataclass(frozen=True)
class WrongAnswer:
    """One misconception: the cells it replaces, the mark it gets, the checks it fails, what it must show."""

    name: str
    misconception: str
    mark: float
    fails: list[str]
    message: str
    cells: dict[str, str]


def reference(course: Course, what: Assignment) -> nbformat.NotebookNode:
    """The solution, as a learner would hand it in: without nbgrader's marks in the answers."""
    notebook = nbformat.read(course.solutions / "source" / what.name / what.notebook, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            lines = cell.source.split("\n")
            cell.source = "\n".join(x for x in lines if "BEGIN SOLUTION" not in x and "END SOLUTION" not in x)
    return notebook


def stub(course: Course, what: Assignment) -> nbformat.NotebookNode:
    """The released notebook, with nothing written into it."""
    return nbformat.read(course.released(what), as_version=4)


def stub_answers(course: Course, what: Assignment) -> nbformat.NotebookNode:
    """A quiz with its hidden tests, and no question answered."""
    notebook = reference(course, what)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = without_answer(cell.source)
    return notebook


def wrong_answers(course: Course, slug: str) -> list[WrongAnswer]:
    """The named wrong answers of a unit's lab, from solutions/wrong/<slug>/."""
    found = []
    for path in sorted((course.solutions / "wrong" / slug).glob("*.toml")):
        found.append(WrongAnswer(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))))
    return found


def with_cells(notebook: nbformat.NotebookNode, cells: dict[str, str]) -> nbformat.NotebookNode:
    """A copy of `notebook` with these answer cells, by grade id. Raises KeyError for an unknown one."""
    changed = copy.deepcopy(notebook)
    by_id = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in changed.cells}
    for grade_id, source in cells.items():
        by_id[grade_id].source = source.strip("\n")
    return changed


@dataclass(frozen=True)
class Question:
    """What a quiz's test cell asks `quiz.question`: the answer's name, and the arguments."""

    number: int
    arguments: dict[str, Any]

    @property
    def wrong(self) -> list[Any]:
        """A wrong answer for each wrong option, explained number or line; two orders that are wrong."""
        key, because = self.arguments["key"], self.arguments["because"]
        match self.arguments["kind"]:
            case "several":
                return [sorted({*key} ^ {option}) for option in because if {*key} ^ {option}]
            case "order":
                return [list(reversed(key)), [*key[1:], key[0]]]
            case _:
                return [option for option in because if option != key]


def questions(notebook: nbformat.NotebookNode) -> list[Question]:
    """The questions of a quiz's source, in order."""
    found: list[Question] = []
    with _listening(found):
        for cell in notebook.cells:
            info = cell.metadata.get("nbgrader", {})
            if info.get("grade"):
                number = int(info["grade_id"].removeprefix("question-"))
                exec(cell.source, {f"answer_{number}": number})
    return found


@contextlib.contextmanager
def _listening(found: list[Question]) -> Iterator[None]:
    def listen(answer: int, **arguments: Any) -> float:
        found.append(Question(answer, arguments))
        return 0.0

    before, quiz.question = quiz.question, listen
    try:
        yield
    finally:
        quiz.question = before


def hand_in(course: Course, what: Assignment, student: str, notebook: nbformat.NotebookNode) -> Path:
    """Put a submission where nbgrader looks for it."""
    path = course.solutions / "submitted" / student / what.name / what.notebook
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path

"""The most frequent wrong answers, by name: misconceptions in a lab, wrong options in a quiz."""

import json
from dataclasses import dataclass, field
from typing import Any

from coursework import quiz, samples
from coursework.checks import failed_names
from coursework.layout import Assignment, Course
from coursework.marking.quizzes import NotAnAnswer, read_answers


@dataclass
class Mistake:
    """A wrong answer that was given `who` times: where, what, and why it is wrong."""

    part: str
    name: str
    why: str = ""
    who: list[str] = field(default_factory=list)


def of_lab(course: Course, what: Assignment, students: list[str]) -> list[Mistake]:
    """Wrong answers, the most frequent first: by name, or as the checks that failed where none has that set.

    A submission made one where, in the parts that the wrong answer touches, exactly its checks failed.
    """
    named: dict[frozenset[str], list[str]] = {}
    for wrong in samples.wrong_answers(course, what.slug):
        named.setdefault(frozenset(wrong.fails), []).append(wrong.misconception)
    found: dict[frozenset[str], Mistake] = {}
    for student in students:
        parts = _failed(course, what, student)
        for failed in _explained(parts, named):
            misconceptions = named.get(failed, [])
            checks = "; ".join(sorted(name.partition(": ")[2] for name in failed))
            name = " — or: ".join(misconceptions) or f"{UNNAMED}: {checks}"
            why = f"fails: {checks}" if misconceptions else ""
            part = ", ".join(sorted(_parts(failed)))
            found.setdefault(failed, Mistake(part, name, why)).who.append(student)
    return sorted(found.values(), key=lambda m: (-len(m.who), m.name.startswith(UNNAMED), m.part, m.name))


UNNAMED = "No name yet for what fails"
BLANK = "no answer"


def _parts(failed: frozenset[str]) -> set[str]:
    return {name.partition(": ")[0] for name in failed}


def _explained(parts: dict[str, set[str]], named: dict[frozenset[str], list[str]]) -> list[frozenset[str]]:
    """The failed checks of a submission, divided into wrong answers; what is left stays together by part."""
    sets = []
    for fails in sorted(named, key=lambda fails: -len(_parts(fails))):
        touched = _parts(fails)
        if touched <= parts.keys() and fails == set().union(*(parts[part] for part in touched)):
            sets.append(fails)
            parts = {part: checks for part, checks in parts.items() if part not in touched}
    return sets + [frozenset(checks) for checks in parts.values()]


def _failed(course: Course, what: Assignment, student: str) -> dict[str, set[str]]:
    """The failed checks of each part in which something was written."""
    path = course.solutions / "autograded" / student / what.name / what.notebook
    parts: dict[str, set[str]] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []:
        for output in cell.get("outputs", []):
            blank = "is not written yet" in "".join(output.get("traceback", []))
            if output["output_type"] == "error" and output["ename"] == "CheckFailed" and not blank:
                for name in failed_names(output["evalue"]):
                    parts.setdefault(name.partition(": ")[0], set()).add(name)
    return parts


def of_quiz(course: Course, what: Assignment, students: list[str]) -> list[Mistake]:
    """What was answered wrong, most frequent first, with the question's own explanation."""
    asked = {f"answer_{q.number}": q for q in samples.questions(samples.reference(course, what))}
    found: dict[tuple[str, str], Mistake] = {}
    for student in students:
        given = _answers(course, what, student)
        for name, question in asked.items():
            for told, why in slips(given.get(name), question.arguments):
                mistake = Mistake(f"question {question.number}", told, why)
                found.setdefault((name, told), mistake).who.append(student)
    return sorted(found.values(), key=lambda m: (m.name == BLANK, -len(m.who), m.part, m.name))


def slips(answer: Any, arguments: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with an answer, as (what was answered, why it is wrong); nothing for a right one."""
    verdict = quiz.mark(answer, **arguments)
    if verdict.mark == 1:
        return []
    heading, said = verdict.told[0]
    if not heading.startswith(("Not right", "Half right")):
        return [(BLANK, "")] if heading == "Not answered." else [("an answer that cannot be read", said)]
    chosen = [(head, why) for head, why in verdict.told if head.startswith("You chose")]
    wrong = [(head.removeprefix("You chose ").rstrip("."), why) for head, why in chosen]
    if arguments["kind"] == "several":
        mine = {str(letter).strip().casefold() for letter in answer}
        wrong += [(f"left out {k}", arguments["because"][k]) for k in sorted(set(arguments["key"]) - mine)]
    return wrong or [(said.partition(";")[0].removeprefix("You answered "), "")]


def _answers(course: Course, what: Assignment, student: str) -> dict[str, Any]:
    path = course.solutions / "submitted" / student / what.name / what.notebook
    answers: dict[str, Any] = {}
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return {}
    for cell in cells:
        if cell.get("metadata", {}).get("nbgrader", {}).get("solution"):
            try:
                answers |= read_answers("".join(cell["source"]))
            except NotAnAnswer:
                continue
    return answers

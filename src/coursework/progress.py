"""A learner's progress: a small file in work/, written by `course check`, `mark --mine` and `submit`."""

import json
from typing import Any

from coursework.layout import Assignment, Course


def read(course: Course) -> dict[str, Any]:
    """What is known: {"name": "ada", "units": {"03-retries": {"lab": {"visible": [3, 5], "mark": [85,
    100]}}}}.

    A damaged file counts as an empty one: progress is a help, nothing depends on it.
    """
    try:
        known = json.loads((course.work / "progress.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        known = {}
    return {"name": "", "units": {}} | (known if isinstance(known, dict) else {})


def note(course: Course, what: Assignment, **facts: Any) -> None:
    """Add facts about one lab or quiz."""
    known = read(course)
    known["units"].setdefault(what.slug, {}).setdefault(what.kind, {}).update(facts)
    _write(course, known)


def remember_name(course: Course, name: str) -> None:
    """Keep the name under which the learner hands in."""
    _write(course, read(course) | {"name": name})


def _write(course: Course, known: dict[str, Any]) -> None:
    course.work.mkdir(exist_ok=True)
    new = course.work / "progress.json.new"
    new.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(course.work / "progress.json")

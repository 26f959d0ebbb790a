"""Where the course keeps its things, and which units it has. Units are found by looking at the folders."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

TITLES = {
    "00-start-here": "Start here: how this course works",
    "01-request-response": "Request and response",
    "02-deadlines": "Timeouts and deadlines",
    "03-retries": "Retries",
    "04-circuit-breakers": "Circuit breakers and bulkheads",
    "05-overload": "Overload",
    "06-tail-latency": "Tail latency",
    "07-service-mesh": "Service mesh",
    "08-api-gateway": "API gateway",
    "09-message-queues": "Message queues",
    "10-event-streams": "Event streams",
    "11-reliable-events": "Reliable events",
    "12-sagas": "Sagas",
    "13-event-sourcing": "Event sourcing",
    "14-tracing": "Tracing",
    "15-choosing-patterns": "Choosing patterns",
    "16-capstone": "Capstone: the whole shop",
}
"""The seventeen units of the course, written or to come."""

KINDS = {"lab": "labs", "quiz": "quizzes"}
"""An assignment is a unit's lab or its quiz; the released ones stand in these folders."""


class NotFound(Exception):
    """Something of the course is not where it should be; the message says what to do."""


@dataclass(frozen=True)
class Assignment:
    """The lab or the quiz of one unit. Its name for nbgrader is such as "lab-03-retries"."""

    kind: str
    slug: str

    @property
    def name(self) -> str:
        """What nbgrader calls it."""
        return f"{self.kind}-{self.slug}"

    @property
    def notebook(self) -> str:
        """The file name of its one notebook."""
        return f"{self.kind}.ipynb"

    @classmethod
    def of(cls, name: str) -> "Assignment":
        """Read nbgrader's name."""
        kind, _, slug = name.partition("-")
        if kind not in KINDS or not slug:
            raise NotFound(f"{name!r} is no assignment of this course: its name begins with lab- or quiz-.")
        return cls(kind, slug)


@dataclass(frozen=True)
class Course:
    """The course in the folder `root`."""

    root: Path

    def need_solutions(self) -> None:
        """NotFound, in a copy that learners get: what teaches needs `solutions/`."""
        if not self.solutions.is_dir():
            raise NotFound(
                "This copy of the course has no solutions/: run it in a clone of the whole course."
            )

    @classmethod
    def here(cls, start: Path | None = None) -> "Course":
        """The course that the folder `start` (by default the current one) stands in."""
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "nbgrader_config.py").is_file() and (folder / "notebooks").is_dir():
                return cls(folder)
        raise NotFound(
            f"The course is not here: go to its folder first, the one with notebooks/ in it ({start})."
        )

    @property
    def solutions(self) -> Path:
        """nbgrader's course directory; a learner's copy may be without it."""
        return self.root / "solutions"

    @property
    def work(self) -> Path:
        """A learner's own copies of labs and quizzes."""
        return self.root / "work"

    def slugs(self) -> list[str]:
        """The units that are there, as notebook, lab or quiz, in their order."""
        found = {path.stem for path in (self.root / "notebooks").glob("[0-9][0-9]-*.ipynb")}
        found |= {a.slug for a in self.assignments()}
        for folder in KINDS.values():
            found |= {path.name for path in (self.root / folder).glob("[0-9][0-9]-*")}
        return sorted(found)

    def assignments(self) -> list[Assignment]:
        """The labs and quizzes that have a solution here."""
        names = [path.parent.name for path in self.solutions.glob("source/*-*/*.ipynb")]
        return sorted((Assignment.of(name) for name in set(names)), key=lambda a: (a.slug, a.kind))

    def slug(self, unit: str) -> str:
        """The slug of a unit that is written as "03", "3" or "03-retries"."""
        slugs = self.slugs()
        wanted = f"{int(unit):02d}" if re.fullmatch(r"\d{1,2}", unit) else unit
        for slug in slugs:
            if wanted in (slug, slug[:2]):
                return slug
        raise NotFound(f"There is no unit {unit}. The units here are: {', '.join(slugs) or 'none'}.")

    def released(self, assignment: Assignment) -> Path:
        """The released notebook."""
        return self.root / KINDS[assignment.kind] / assignment.slug / assignment.notebook

    def of_learner(self, assignment: Assignment) -> Path:
        """The learner's copy in work/, or the released notebook where there is none yet."""
        mine = self.work / assignment.slug / assignment.notebook
        path = mine if mine.exists() else self.released(assignment)
        if not path.exists():
            shown = [os.path.relpath(p, self.root) for p in (mine, self.released(assignment))]
            raise NotFound(
                f"There is no {assignment.kind} of unit {assignment.slug}: neither {' nor '.join(shown)}."
            )
        return path

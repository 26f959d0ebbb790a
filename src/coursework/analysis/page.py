"""What the marks of a class tell, as one page: no script, no network, read by eye or by ear."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from coursework.analysis import drawn
from coursework.analysis.alike import PROVES_NOTHING, Pair, pairs
from coursework.analysis.items import Item, caveat, items
from coursework.analysis.mistakes import Mistake, of_lab, of_quiz
from coursework.layout import Assignment, Course
from coursework.marking.feedback import heading
from coursework.marking.one import Result


@dataclass(frozen=True)
class About:
    """All that is known of one assignment."""

    what: Assignment
    results: list[Result]
    items: list[Item]
    mistakes: list[Mistake]
    alike: list[Pair]

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return heading(self.what.name)

    @property
    def marks(self) -> list[float]:
        """The marks of those who have one."""
        return [result.mark for result in self.results if result.mark is not None]

    @property
    def most(self) -> float:
        """The points of the assignment."""
        return next(
            (sum(most for _, most in result.marks.values()) for result in self.results if result.marks), 0
        )

    @property
    def caveat(self) -> str:
        """How far the discrimination is to be trusted."""
        return caveat(len(self.marks))


def about(course: Course, results: list[Result]) -> list[About]:
    """Each assignment that somebody has handed in, in the order of the results."""
    found = []
    for what in dict.fromkeys(result.what for result in results):
        mine = [result for result in results if result.what == what]
        students = [result.student for result in mine if result.marks is not None]
        made = (of_lab if what.kind == "lab" else of_quiz)(course, what, students)
        alike = pairs(course, what, students) if what.kind == "lab" else []
        found.append(About(what, mine, items(mine), made, alike))
    return found


def page(found: list[About]) -> str:
    """The page as HTML."""
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    style = (here.parent / "page.css").read_text(encoding="utf-8")
    shown = environment.get_template("page.html.j2")
    return shown.render(found=found, style=style, picture=_picture, drawn=drawn, proves=PROVES_NOTHING)


def _picture(made: tuple[Any, str]) -> dict[str, str]:
    figure, words = made
    return {"src": drawn.as_data(figure), "alt": words}

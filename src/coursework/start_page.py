"""The table that notebook 00 opens with: every unit with its links, and how far the learner has come.

from coursework.start_page import StartPage
StartPage()
"""

import html
from pathlib import Path
from typing import Any

from coursework import progress
from coursework.layout import KINDS, TITLES, Course


class StartPage:
    """All units as a table; links are relative to notebooks/. Display it."""

    def __init__(self, course: Course | None = None):
        self.course = course or Course.here()
        self.progress = progress.read(self.course)

    def rows(self) -> list[dict[str, Any]]:
        """One row a unit: its slug, title, links by kind, and progress in words."""
        there = set(self.course.slugs())
        units = TITLES | {slug: slug for slug in sorted(there - set(TITLES))}
        return [
            {
                "slug": slug,
                "title": title,
                "links": self._links(slug) if slug in there else {},
                "done": self._done(slug),
            }
            for slug, title in units.items()
        ]

    def _links(self, slug: str) -> dict[str, str]:
        links = {}
        if (self.course.root / "notebooks" / f"{slug}.ipynb").exists():
            links["notebook"] = f"{slug}.ipynb"
        for kind, folder in KINDS.items():
            for place in (Path("work") / slug, Path(folder) / slug):
                if (self.course.root / place / f"{kind}.ipynb").exists():
                    links[kind] = f"../{place.as_posix()}/{kind}.ipynb"
                    break
        return links

    def _done(self, slug: str) -> str:
        known = self.progress["units"].get(slug, {})
        return "; ".join(f"{kind}: {words}" for kind in KINDS if (words := _in_words(known.get(kind, {}))))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._html(), "text/plain": self._text()}

    def _html(self) -> str:
        left = 'style="text-align:left"'
        head = "".join(f'<th scope="col" {left}>{name}</th>' for name in ("Unit", "Open", "You"))
        body = ""
        for row in self.rows():
            links = [f'<a href="{url}">{name}</a>' for name, url in row["links"].items()]
            cells = [" · ".join(links) or "to come", html.escape(row["done"])]
            name = f"{row['slug'][:2]}&ensp;{html.escape(row['title'])}"
            body += f'<tr><th scope="row" {left}>{name}</th>'
            body += "".join(f"<td {left}>{text}</td>" for text in cells) + "</tr>"
        caption = '<caption style="text-align:left">The units of this course, and your progress. '
        caption += '<a href="glossary.ipynb">Glossary of terms</a></caption>'
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _text(self) -> str:
        lines = []
        for row in self.rows():
            links = ", ".join(row["links"]) or "to come"
            lines.append(f"{row['slug'][:2]}  {row['title']:<40} {links:<20} {row['done']}".rstrip())
        return "\n".join([*lines, "Glossary of terms: glossary.ipynb"])


def _in_words(known: dict[str, Any]) -> str:
    """The best news about a lab or quiz."""
    if "mark" in known:
        mark, most = known["mark"]
        return f"{mark:g} of {most:g}"
    if "submitted" in known:
        return "handed in"
    if "visible" in known:
        passed, total = known["visible"]
        return f"{passed} of {total} visible checks"
    if "answered" in known:
        answered, total = known["answered"]
        return f"{answered} of {total} answered"
    return ""

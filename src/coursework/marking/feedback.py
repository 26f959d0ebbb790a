"""The feedback page: what was checked and why it failed, in one file that needs no network."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbgrader.preprocessors import GetGrades

from coursework.layout import TITLES, Assignment, NotFound
from coursework.marking.cleaning import clean, inside
from coursework.marking.tidy import Tidy

__all__ = ["FeedbackExporter", "Tidy", "clean"]


class Compiled(jinja2.BytecodeCache):
    """Keeps compiled templates in memory: nbgrader makes an exporter a page, and compiling takes longest."""

    kept: dict[str, bytes] = {}  # noqa: RUF012  # on purpose the same for all

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Called by jinja2."""
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Called by jinja2."""
        self.kept[bucket.key] = bucket.bytecode_to_string()


class FeedbackExporter(HTMLExporter):
    """nbconvert's HTML with this course's template; configured in `configuration.py`."""

    TEMPLATE = "feedback_template"
    FOLDER = Path(__file__).parent
    """The template's folder stands here."""

    STYLE = FOLDER.parent / "page.css"

    PREPROCESSORS = (GetGrades, Tidy)

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        """nbconvert's filters, and a cleaner that keeps headings, lists and tables."""
        yield from super().default_filters()
        yield "clean_html", clean
        yield "inside", inside
        yield "heading", heading

    def _create_environment(self) -> jinja2.Environment:
        environment = super()._create_environment()
        environment.bytecode_cache = Compiled()
        environment.globals["style"] = self.STYLE.read_text(encoding="utf-8")
        return environment

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> Any:
        """The page. What HTMLExporter adds to it, by parsing it once more, the template has already."""
        self.register_filter("highlight_code", _highlighter())
        return TemplateExporter.from_notebook_node(self, nb, self._init_resources(resources), **kw)


@functools.cache
def _highlighter() -> Highlight2HTML:
    return Highlight2HTML(pygments_lexer="ipython3")


def heading(assignment: str) -> str:
    """An assignment's name for a reader: "Lab 03: Retries"."""
    try:
        what = Assignment.of(assignment)
    except NotFound:
        return assignment
    return f"{what.kind.capitalize()} {what.slug[:2]}: {TITLES.get(what.slug, what.slug[3:])}"

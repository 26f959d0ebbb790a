"""The feedback page: what was checked and why it failed; no hidden test, no script, no network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bleach
from nbconvert.exporters import HTMLExporter
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = frozenset(
    {"p", "br", "hr", "div", "pre", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}
)
TAGS = frozenset(bleach.ALLOWED_TAGS) | HEADINGS | BLOCKS | {"span", "sub", "sup", "del", "img"}


def _allowed(tag: str, name: str, value: str) -> bool:
    """Whether this attribute may stay. An attached picture is data; nothing else may be."""
    data = value.strip().lower().startswith("data:")
    if tag == "img" and name == "src":
        return not data or value.startswith("data:image/png;base64,")
    if tag == "a" and name == "href":
        return not data
    return (
        name in {"a": ("title",), "img": ("alt",), "span": ("class",), "div": ("class",)}.get(tag, ())
        or name == "id"
    )


BEGIN, END = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"


class Tidy(NbGraderPreprocessor):
    """Takes the hidden tests out of a marked notebook, and all but type and message out of its tracebacks."""

    display_data_priority: Any = List([]).tag(config=True)  # nbconvert hands it to every step

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Tidy one cell."""
        if cell.cell_type == "code":
            if utils.is_grade(cell):
                cell.source = without_hidden(cell.source)
            cell.outputs = [_tidy(output) for output in cell.outputs]
        return cell, resources


def without_hidden(source: str) -> str:
    """The text of a test cell without its hidden regions; one that does not end goes to the cell's end."""
    kept, hidden = [], False
    for line in source.split("\n"):
        if BEGIN in line:
            hidden = True
        if not hidden:
            kept.append(line)
        if END in line:
            hidden = False
    return "\n".join(kept).strip("\n")


def _tidy(output: Any) -> Any:
    if output.output_type == "error" and output.ename != "CheckFailed":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    return output


def clean(html: str) -> str:
    """`html` with harmless tags only: what a learner has written must not run in a reader's browser."""
    protocols = ["https", "http", "mailto", "data"]
    return bleach.clean(str(html), tags=TAGS, attributes=_allowed, protocols=protocols, strip=True)


class FeedbackExporter(HTMLExporter):
    """nbconvert's HTML with this course's template; configured in `configuration.py`."""

    TEMPLATE = "feedback_template"

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        """nbconvert's filters, with a cleaner that keeps headings, lists and tables."""
        yield from super().default_filters()
        yield "clean_html", clean

    FOLDER = Path(__file__).parent
    """The template's folder stands here; it builds on nbgrader's."""

    @staticmethod
    def search_path() -> list[str]:
        """Where nbgrader keeps its own template, and the style sheet that both include."""
        import nbgrader.server_extensions.formgrader as formgrader

        here = Path(formgrader.__file__).parent
        return [str(here / "templates"), str(here / "static/node_modules/bootstrap/dist/css")]

"""Prepares a marked notebook for its feedback page: no hidden test, no traceback, each part with a name."""

import ast
import re
from typing import Any

from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import List

from coursework.checks import failed_names

BEGIN, END = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"


class Tidy(NbGraderPreprocessor):
    """Takes the hidden tests out of a marked notebook, and all but type and message out of its tracebacks.

    `resources["nbgrader"]["parts"]` lists the test cells and comments, in order, as the page's summary
    shows them; `cell.metadata.feedback` is the entry of a test cell.
    """

    display_data_priority: Any = List([]).tag(config=True)  # nbconvert hands it to every step

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Tidy a notebook."""
        parts = resources["nbgrader"]["parts"] = []
        titled, title, level = any(map(_is_title, nb.cells)), "", 1
        for cell in nb.cells:
            if cell.cell_type == "markdown" and _is_title(cell) == titled:
                for marks, text in re.findall(r"^(#{1,5}) +(.+)", cell.source, re.M):
                    title, level = text.replace("`", ""), len(marks)
            if cell.cell_type == "code":
                if utils.is_grade(cell):
                    parts.append(_part(cell, title, level))
                    cell.source = _told(without_hidden(cell.source))
                    cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"]
                cell.outputs = [_tidy(output) for output in cell.outputs]
            info = cell.metadata.get("nbgrader", {})
            if info.get("comment") == "No response.":  # nbgrader's own, which the summary says better
                info.comment = None
            if info.get("comment"):
                parts.append({"id": f"comment-{info.grade_id}", "title": f"A comment on “{title}”"})
        return nb, resources


def _is_title(cell: Any) -> bool:
    """Whether this is a text of the assignment's own, and not of the learner's."""
    return cell.cell_type == "markdown" and bool(cell.metadata.get("nbgrader", {}).get("locked"))


def _part(cell: Any, title: str, level: int) -> dict[str, Any]:
    """What the summary says of a test cell: where it is, its mark, what failed."""
    info = cell.metadata.nbgrader
    name = info.grade_id.rsplit("-", 1)[0]
    told = {"id": info.grade_id, "title": title or info.grade_id, "level": min(6, level + 2)}
    told |= {"name": "" if name in ("question", title) else name, "mark": info.score, "points": info.points}
    errors = [output for output in cell.outputs if output.output_type == "error"]
    told["failed"] = [name.partition(": ")[2] for error in errors for name in failed_names(error.evalue)]
    if any("is not written yet" in "".join(error.traceback) for error in errors):
        told["failed"], told["state"] = [], "not written yet"
    elif told["failed"]:
        told["state"] = f"{errors[0].evalue.partition(' checks')[0]} checks failed"
    elif errors:
        told["state"] = f"stopped by {errors[0].ename}"
    else:
        told["state"] = "right" if info.score == info.points else "not right" if not info.score else "in part"
    cell.metadata["feedback"] = told
    return told


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


def _told(source: str) -> str:
    """A test cell's visible text; nothing where only imports are left of it, as in a quiz."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return source
    return "" if all(isinstance(node, ast.Import | ast.ImportFrom) for node in body) else source


def _tidy(output: Any) -> Any:
    if output.output_type == "error" and output.ename != "CheckFailed":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    return output

"""Repairs a submitted notebook before nbgrader marks it: test cells that were duplicated, deleted, retyped,
renamed.

nbgrader restores the text of a test cell that it finds, but gives up on a notebook in which one stands
twice. The assignment's source says which cells there must be; whatever else the learner has written stays,
as ordinary cells.
"""

import copy
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor

from coursework.marking.submission import inspect

FLAGS = ("grade", "solution", "locked", "task", "points", "schema_version")


def repair(submitted: nbformat.NotebookNode, source: nbformat.NotebookNode) -> list[str]:
    """Change `submitted` so that each test cell of `source` stands in it once; say what was done."""
    done: list[str] = []
    wanted = {cell.metadata.nbgrader.grade_id: cell for cell in source.cells if _grade_id(cell)}
    seen: set[str] = set()
    for cell in reversed(submitted.cells):  # of two copies, the last: all of its part stands above
        grade_id = _grade_id(cell)
        if "nbgrader" in cell.metadata and (grade_id not in wanted or grade_id in seen):
            if grade_id in seen:
                done.append(f"cell {grade_id} stood there more than once: the last one is marked")
            elif grade_id:
                done.append(f"cell {grade_id} is not of this assignment: taken as an ordinary cell")
            del cell.metadata["nbgrader"]
        elif grade_id:
            seen.add(grade_id)
            done += _restore(cell, wanted[grade_id])
    ids = list(wanted)
    for grade_id in ids:
        if grade_id not in seen and wanted[grade_id].metadata.nbgrader.get("grade"):
            done.append(f"test cell {grade_id} was missing: put back")
            submitted.cells.insert(_place(submitted, ids, grade_id), _copy(wanted[grade_id], submitted))
            seen.add(grade_id)
    return done


class Repair(NbGraderPreprocessor):
    """The first of nbgrader's steps before marking: `repair` by the notebook in source/."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Repair one notebook, and log what was repaired. Raises Unreadable for links and the like."""
        names = resources["nbgrader"]
        coursedir = self.parent.parent.coursedir  # the exporter's converter
        handed_in = coursedir.format_path(
            coursedir.submitted_directory, names["student"], names["assignment"]
        )
        inspect(Path(handed_in))
        folder = coursedir.format_path(coursedir.source_directory, ".", names["assignment"])
        source = Path(folder) / f"{names['notebook']}.ipynb"
        if source.exists():
            for problem in repair(nb, nbformat.read(source, as_version=4)):
                self.log.warning("REPAIRED %s: %s", names["student"], problem)
        return nb, resources


def _grade_id(cell: Any) -> str:
    info = cell.metadata.get("nbgrader") or {}
    return str(info.get("grade_id") or "") if isinstance(info, dict) else ""


def _restore(cell: Any, wanted: Any) -> list[str]:
    """Give a cell back its type and nbgrader's flags. Its text is nbgrader's business."""
    info, right = cell.metadata.nbgrader, wanted.metadata.nbgrader
    retyped = cell.cell_type != wanted.cell_type
    changed = [flag for flag in FLAGS if flag in right and info.get(flag) != right[flag]]
    for flag in FLAGS:
        info.pop(flag, None)
        if flag in right:
            info[flag] = right[flag]
    if retyped:
        cell.cell_type = wanted.cell_type
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.pop("outputs", None)
            cell.pop("execution_count", None)
    what = ["type"] * retyped + [flag for flag in changed if flag in ("grade", "solution", "points")]
    return [f"cell {right.grade_id} had another {' and '.join(what)}: restored"] if what else []


def _place(submitted: Any, ids: list[str], grade_id: str) -> int:
    """Where a missing test cell goes: before the next part that is there, so below all of its own part."""
    for later in ids[ids.index(grade_id) + 1 :]:
        for position, cell in enumerate(submitted.cells):
            if _grade_id(cell) == later:
                return position
    return len(submitted.cells)


def _copy(wanted: Any, submitted: Any) -> Any:
    cell = copy.deepcopy(wanted)
    if any(other.get("id") == cell.get("id") for other in submitted.cells):
        cell["id"] = f"{cell['id'][:50]}-restored"
    return cell

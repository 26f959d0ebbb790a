"""Runs a lab in this process, without nbgrader and without a kernel: for its author, and for the tests.

A lab is run in two ways, which must give the same marks: directly, with answers and tests in one namespace
as a kernel has them; and `apart`, where the tests reach the answers only by calls that carry plain data, as
an examiner does.
"""

import ast
import builtins
import contextlib
import io
import linecache
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import nbformat

from coursework import checks
from coursework.checks import CheckFailed, failed_names
from coursework.plain import over_the_wire, plain


@dataclass
class Rehearsal:
    """Points by test cell, the names of the failed checks, and all that was said about them."""

    points: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    said: str = ""
    pictures: int = 0

    @property
    def mark(self) -> float:
        """The sum of the points."""
        return sum(self.points.values())


def rehearse(
    notebook: nbformat.NotebookNode, apart: bool = False, changed: Iterable[str] | None = None
) -> Rehearsal:
    """Run the code cells of a lab in order; test cells see the answers directly, or `apart` by calls only.

    Where the answers `changed` (grade ids) are all that differs from the solution, only the test cells that
    they can touch are run; the others count as passed.
    """
    touched = None if changed is None else touched_by(notebook, set(changed))
    result = Rehearsal()
    answers: dict[str, Any] = {"__name__": "__main__"}
    tests: dict[str, Any] = {"__name__": "__main__"} if apart else answers
    with _counting_pictures(result), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, cell in enumerate(notebook.cells):
            info = cell.metadata.get("nbgrader") or {}
            if cell.cell_type != "code":
                continue
            if not info.get("grade"):
                with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
                    _run(cell.source, f"<cell {number}>", answers)
            if apart and info.get("locked") and not info.get("grade"):
                _run(cell.source, f"<cell {number}, examiner>", tests)
            if info.get("grade") and touched is not None and info["grade_id"] not in touched:
                result.points[info["grade_id"]] = info["points"]
            elif info.get("grade"):
                if apart:
                    _lend(cell.source, answers, tests)
                result.points[info["grade_id"]] = (
                    _mark(cell.source, f"<cell {number}>", tests, result) * info["points"]
                )
    return result


def touched_by(notebook: nbformat.NotebookNode, changed: set[str]) -> set[str]:
    """The test cells that use a name of the answers `changed`, directly or through other answers."""
    names: set[str] = set()
    touched: set[str] = set()
    before = -1
    while len(names) > before:
        before = len(names)
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            info = cell.metadata.get("nbgrader") or {}
            defined, used = _names(cell.source)
            if info.get("grade"):
                touched |= {info["grade_id"]} if used & names else set()
            elif info.get("grade_id") in changed or used & names:
                names |= defined
    return touched


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines at its top, and those that it uses anywhere."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set(), set()
    defined: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        else:
            defined |= {
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
    return defined, {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _mark(source: str, name: str, namespace: dict[str, Any], result: Rehearsal) -> float:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as stderr:
            _run(source, name, namespace)
    except CheckFailed as failed:
        result.failed += failed_names(str(failed))
        result.said += failed.message() + "\n"
        return 0.0
    except Exception as error:
        result.failed.append(f"{type(error).__name__} outside of a check")
        result.said += f"{type(error).__name__}: {error}\n"
        return 0.0
    if stderr.getvalue():
        result.failed.append("output on stderr")
        return 0.0
    return 1.0


def _run(source: str, name: str, namespace: dict[str, Any]) -> None:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), namespace)


def _lend(source: str, answers: dict[str, Any], tests: dict[str, Any]) -> None:
    """Give the test cell the names that it uses: functions as calls over the wire, values as plain data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in answers and not hasattr(builtins, node.id):
            value = answers[node.id]
            if callable(value):
                tests[node.id] = over_the_wire(value)
            elif node.id not in tests:
                with contextlib.suppress(TypeError):
                    tests[node.id] = plain(value)


@contextlib.contextmanager
def _counting_pictures(result: Rehearsal) -> Iterator[None]:
    def count(picture: Any) -> None:
        result.pictures += 1

    before, checks.display = checks.display, count
    try:
        yield
    finally:
        checks.display = before

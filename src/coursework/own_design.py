"""The learner's own design of the whole shop, out of the lab notebook of the capstone.

`config()`, `saga(state, event)` and `consumer(state, event)` stand in the cells that are to be solved. The
code is the learner's own, and is run on the learner's machine, when the learner asks for it: nothing here
is for submissions of others. Of the other cells only imports, functions and constants are taken, and of the
cells that the lab gives every name that they make: figures and runs are left out.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from coursework.layout import Assignment, Course, NotFound
from coursework.marking import submission
from coursework.plain import over_the_wire
from interplay.capstone import Design, designs, problems

LAB = Assignment("lab", "16-capstone")
GOOD = "a good mix"
ORDER = {
    "number": "o1",
    "item": "book",
    "quantity": 1,
    "customer": "customer 1",
    "price": 10,
    "address": "1 A St",
}
ASKED = {
    "saga": {"kind": "place", "order": ORDER, "record": None, "now": 0.0},
    "consumer": {
        "kind": "delivery", "id": "o1 done", "order": "o1", "news": "done", "deliveries": 1,
        "recorded": False, "now": 0.0,
    },
}  # fmt: skip


def own_design(course: Course) -> tuple[Design, list[str]]:
    """The learner's design, and what there is to say about it; the good mix where there is no lab yet.

    A part that is not written yet is that of the good mix. NotFound for one that cannot be used.
    """
    path = course.work / LAB.slug / LAB.notebook
    good = designs()[GOOD]
    if not path.exists():
        return good, [f"There is no lab of yours in work/{LAB.slug} yet: this is the course's good mix."]
    names = _run(path)
    parts: dict[str, Any] = {"config": good.config, "saga": good.saga, "consumer": good.consumer}
    missing = []
    for name in parts:
        function = names.get(name)
        if function is None or not _written(name, function):
            missing.append(name)
        elif name == "config":
            parts[name] = over_the_wire(function)()
        else:
            parts[name] = over_the_wire(function)  # what crosses is plain data, as in the lab's checks
    if wrong := problems(parts["config"]):
        raise NotFound("Your configuration cannot be used. " + " ".join(wrong))
    said = ["Your design, from work/16-capstone/lab.ipynb."]
    if missing:
        said.append(f"Not written yet, and so that of the good mix: {', '.join(missing)}.")
    return Design(**parts), said


def _written(name: str, function: Callable[..., Any]) -> bool:
    """Whether this part does something; NotFound when it raises anything but NotImplementedError."""
    try:
        over_the_wire(function)(*([{}, ASKED[name]] if name in ASKED else []))
    except NotImplementedError:
        return False
    except NameError as error:
        raise NotFound(
            f"Your {name} raises NameError: {error}. Of your other cells only imports, functions and "
            f"constants are taken here: make that name in the cell of {name}."
        ) from None
    except Exception as error:
        raise NotFound(f"Your {name} raises {type(error).__name__}: {error}") from None
    return True


def _run(path: Path) -> dict[str, Any]:
    """The names that the notebook's cells make; its functions can be handed to other processes."""
    # of __main__: its functions are pickled with what they need
    names: dict[str, Any] = {"__name__": "__main__", "get_ipython": _NoMagic}
    plain = TransformerManager()
    for cell in submission.read(path).cells:
        about = cell.metadata.get("nbgrader") or {}
        if cell.cell_type != "code" or about.get("grade"):
            continue
        try:
            tree = ast.parse(plain.transform_cell(cell.source))
        except SyntaxError as error:
            if about.get("solution"):
                raise NotFound(f"{_name(cell)} cannot be read: {error.msg} in line {error.lineno}.") from None
            continue
        if not about.get("solution"):
            tree.body = [node for node in tree.body if _kept(node, bool(about.get("locked")))]
        try:
            exec(compile(tree, _name(cell), "exec"), names)
        except Exception as error:
            raise NotFound(f"{_name(cell)} raises {type(error).__name__}: {error}") from None
    return names


class _NoMagic:
    """IPython's magic does nothing here."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _kept(node: ast.stmt, given: bool = False) -> bool:
    """Whether this statement only makes a name; in a cell that the lab gives, of whatever value."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        if given:
            return True
        try:
            ast.literal_eval(node.value)
        except ValueError:
            return False
        return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def _name(cell: nbformat.NotebookNode) -> str:
    return f"The cell {(cell.metadata.get('nbgrader') or {}).get('grade_id') or cell.get('id', '')!s}"

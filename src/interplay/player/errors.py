"""An exception in a learner's own words: their line, what it got, and what was expected."""

from __future__ import annotations

import linecache
import sys
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from ..arguments import ArgumentError

LIBRARY = str(Path(__file__).resolve().parents[1])


def describe(error: BaseException) -> dict[str, str]:
    """Title, message, and the learner's deepest line (`where`, `line`); both are empty when there is none."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    root = next((e for e in reversed(chain) if _learners_frame(e.__traceback__)), error)
    frame = _learners_frame(root.__traceback__)
    where, line = "", ""
    if frame is not None:
        where = f"{_place(frame.filename)}, line {frame.lineno}, in {frame.name}"
        line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    title = "An argument is wrong" if isinstance(root, ArgumentError) else type(root).__name__
    message = str(root.args[0]) if isinstance(root, KeyError) and root.args else str(root)
    return {"kind": "error", "title": title, "message": message, "where": where, "line": line}


def _learners_frame(tb: TracebackType | None) -> traceback.FrameSummary | None:
    frames = [f for f in traceback.extract_tb(tb) if _is_learners(f.filename)]
    return frames[-1] if frames else None


def _is_learners(filename: str) -> bool:
    if filename.startswith("<") and not filename.startswith("<ipython-input"):
        return False
    paths = sysconfig.get_paths()
    theirs = (LIBRARY, paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"])
    path = str(Path(filename).resolve())
    return not any(path.startswith(place) for place in theirs) and "site-packages" not in path


def _place(filename: str) -> str:
    """ "cell [3]" for code of a notebook, else the file's name."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(filename)
    if named:
        return f"{named[0].lower()} {named[1].removeprefix('In')}"
    return Path(filename).name

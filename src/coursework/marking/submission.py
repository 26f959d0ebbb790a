"""Looks at a submission before nbgrader does: is there a notebook, can it be read, has it the right name?"""

import json
import os
import shutil
import stat
from pathlib import Path

import nbformat

from coursework.layout import Assignment


class Unreadable(Exception):
    """A submission that cannot be marked; the message says why. Nothing of it is changed."""


LARGEST, LARGEST_NOTEBOOK = 50 << 20, 10 << 20
"""Bytes of a whole submission, and of a notebook."""


def inspect(folder: Path) -> None:
    """Raise Unreadable for what must not even be copied: links, devices and pipes, and too much of it."""
    total = 0
    for above, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(above, name)
            status = path.lstat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise Unreadable(f"{name} is a link or a special file: only ordinary files are accepted")
            total += status.st_size
            if path.suffix == ".ipynb" and status.st_size > LARGEST_NOTEBOOK:
                raise Unreadable(
                    f"{name} has {status.st_size >> 20} MB, and {LARGEST_NOTEBOOK >> 20} MB are accepted: "
                    "clear the outputs, and hand it in again"
                )
    if total > LARGEST:
        raise Unreadable(f"the files have {total >> 20} MB, and {LARGEST >> 20} MB are accepted")


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook at `path`, or Unreadable with a reason that a learner understands."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path.name} cannot be read as text: {error}") from None
    if not text.strip():
        raise Unreadable(f"{path.name} is empty")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        end = error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg
        reason = (
            "it ends in the middle: the upload was cut off" if end else f"line {error.lineno}: {error.msg}"
        )
        raise Unreadable(f"{path.name} is no notebook file ({reason})") from None
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"{path.name} is no notebook file ({problem})") from None
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise Unreadable(f"{path.name} is no notebook: it has no cells")
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        nbformat.writes(notebook).encode("utf-8")
    except Exception as error:  # nbformat raises many kinds
        raise Unreadable(f"{path.name} is not a valid notebook: {str(error).splitlines()[0][:200]}") from None
    return notebook


def prepare(folder: Path, what: Assignment, grade_ids: set[str]) -> list[str]:
    """Make sure that the submission in `folder` has a readable notebook with the right name; say what was
    done.

    A notebook with another name is recognised by its cells and copied to the right one; the original stays.
    """
    inspect(folder)
    right = folder / what.notebook
    if right.exists():
        read(right)
        newer = [p.name for p in folder.glob("*.ipynb") if p.stat().st_mtime > right.stat().st_mtime]
        return [f"{name} is newer than {right.name}, and was not looked at" for name in sorted(newer)]
    others = sorted(folder.glob("*.ipynb"))
    ours = []
    for path in others:
        try:
            ids = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in read(path).cells}
        except Unreadable:
            continue
        if len(ids & grade_ids) > len(grade_ids) / 2:
            ours.append(path)
    if len(ours) == 1:
        draft = right.with_suffix(".draft")
        shutil.copyfile(ours[0], draft)
        draft.replace(right)
        return [f"{ours[0].name} was taken as {what.notebook}"]
    if ours:
        raise Unreadable(f"there are {len(ours)} notebooks that could be {what.notebook}: keep one")
    if len(others) == 1:
        read(others[0])  # says why, where it is unreadable
    found = ", ".join(path.name for path in others) or "no notebook"
    raise Unreadable(f"there is no {what.notebook} (found: {found})")

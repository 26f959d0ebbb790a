"""The one form in which the course's notebooks are committed: no outputs, stable cell ids, nothing an
editor left.

python -m coursework.normalise            bring all notebooks of the course into that form
python -m coursework.normalise --check    only say which are not, and exit with 1
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NOTEBOOK_KEYS = ("course",)
CELL_KEYS = ("claims", "course", "nbgrader", "slideshow", "tags")
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PLACES = ("notebooks/*.ipynb", "solutions/source/*/*.ipynb")
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def normalise(text: str) -> str:
    """The notebook in `text` in its committed form. Doing it twice changes nothing."""
    notebook = json.loads(text)
    taken: set[str] = set()
    metadata = {k: v for k, v in notebook["metadata"].items() if k in NOTEBOOK_KEYS} | KERNEL
    cells = [_cell(cell, number, taken) for number, cell in enumerate(notebook["cells"])]
    clean = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(clean, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _cell(cell: dict[str, Any], number: int, taken: set[str]) -> dict[str, Any]:
    source = "".join(cell["source"])
    lines = "\n".join(line.rstrip() for line in source.split("\n")).strip("\n").splitlines(keepends=True)
    name = cell.get("id", "")
    if not CELL_ID.fullmatch(name) or name in taken:
        name = hashlib.sha256(f"{number} {source}".encode()).hexdigest()[:8]
    taken.add(name)
    metadata = {k: v for k, v in cell["metadata"].items() if k in CELL_KEYS and v not in ([], {})}
    if cell["metadata"].get("jupyter", {}).get("source_hidden"):
        metadata["jupyter"] = {"source_hidden": True}
    clean = {"cell_type": cell["cell_type"], "id": name, "metadata": metadata, "source": lines}
    if cell["cell_type"] == "code":
        clean |= {"execution_count": None, "outputs": []}
    if cell.get("attachments"):
        clean["attachments"] = cell["attachments"]
    return clean


def notebooks(root: Path) -> list[Path]:
    """The notebooks of the course that are written by hand."""
    return sorted(path for place in PLACES for path in root.glob(place))


def main(arguments: Iterable[str] | None = None) -> int:
    """Normalise, or with --check only tell; returns the exit status."""
    parser = argparse.ArgumentParser(description="Bring notebooks into the form in which they are committed.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if something would change"
    )
    parser.add_argument("paths", nargs="*", type=Path, help="default: all notebooks of the course here")
    asked = parser.parse_args(list(arguments) if arguments is not None else None)
    changed = []
    for path in asked.paths or notebooks(Path.cwd()):
        before = path.read_text(encoding="utf-8")
        after = normalise(before)
        if after != before:
            changed.append(path)
            if not asked.check:
                path.write_text(after, encoding="utf-8")
    for path in changed:
        print(f"{path}: {'is not in the committed form' if asked.check else 'normalised'}")
    return int(asked.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())

"""Makes what learners get out of the solutions: labs/, quizzes/, and an archive of the course without its
solutions.

nbgrader strips solutions and hidden tests; its post-convert hook, `publish_hook`, brings the result to
labs/03-retries and quizzes/03-retries. A notebook there that somebody has worked in is kept beside the new
one.
"""

import ast
import hashlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.preprocessors import ClearSolutions

from coursework.layout import KINDS, Assignment, Course

SECRETS = ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", "question(")
"""What no released notebook may contain."""

ARCHIVED = ("notebooks", "labs", "quizzes", "src", "scripts")
ARCHIVED_FILES = (
    "nbgrader_config.py",
    "README.md",
    "LICENSE*",
    "Makefile",
    "pyproject.toml",
    "requirements*.txt",
    "environment.yml",
)
"""The folders, and the files of the root, that a learner needs."""


class ReleaseFailed(Exception):
    """A release did not come out as it must; the message says which notebook and why."""


class ClearAnswers(ClearSolutions):
    """nbgrader's ClearSolutions, which leaves `answer_3 = None` in the answer cells of a quiz."""

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        """Clear one cell."""
        if str(cell.metadata.get("nbgrader", {}).get("grade_id", "")).startswith("answer_"):
            cell.source = without_answer(cell.source)
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


def without_answer(source: str) -> str:
    """The answer cell of a quiz with its values set to None; comments stay."""
    lines = [
        line for line in source.split("\n") if "BEGIN SOLUTION" not in line and "END SOLUTION" not in line
    ]
    values = [node.value for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.Assign)]
    for value in reversed(values):
        first, last = value.lineno - 1, (value.end_lineno or value.lineno) - 1
        before = lines[first].encode()[: value.col_offset].decode()
        after = lines[last].encode()[value.end_col_offset :].decode()
        lines[first : last + 1] = [f"{before}None{after}"]
    kept = dict.fromkeys(lines) if len(values) > 1 else lines  # a stub line and a solution line become one
    return "\n".join(kept)


def normalised(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """`notebook` without outputs and without what an editor leaves behind; changed in place."""
    keep = {k: v for k, v in notebook.metadata.items() if k == "course"}
    keep["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    keep["language_info"] = {"name": "python"}
    notebook.metadata = nbformat.from_dict(keep)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        for passing in ("collapsed", "scrolled", "execution", "ExecuteTime", "jp-MarkdownHeadingCollapsed"):
            cell.metadata.pop(passing, None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def fingerprint(notebook: nbformat.NotebookNode) -> str:
    """A hash of the cells' types and texts: what somebody can write. Running cells does not change it."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def publish_hook(course_directory: Path, assignment: str, **_: Any) -> None:
    """nbgrader's post_convert_hook: publish `assignment`. nbgrader only logs an error here: see `verify`."""
    publish(course_directory, assignment)


def publish(course_directory: Path, assignment: str) -> Path:
    """Copy solutions/release/lab-03-retries to labs/03-retries; return the notebook that was written."""
    what = Assignment.of(assignment)
    source = course_directory / "release" / what.name
    target = course_directory.parent / KINDS[what.kind] / what.slug
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.suffix != ".ipynb":
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / path.relative_to(source))
    notebook = normalised(nbformat.read(source / what.notebook, as_version=4))
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and not cell.metadata.nbgrader.solution:
            cell.metadata["tags"] = ["raises-exception"]  # "Run All" goes on after a check that fails
    notebook.metadata.setdefault("course", nbformat.from_dict({}))["release"] = fingerprint(notebook)
    text = nbformat.writes(notebook) + "\n"
    path = target / what.notebook
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return path
    keep_if_edited(path)
    path.write_text(text, encoding="utf-8")
    return path


def keep_if_edited(path: Path) -> Path | None:
    """Move a released notebook that somebody has worked in to a free name beside it, and say so."""
    if not path.exists() or is_pristine(path):
        return None
    n = 1
    while (kept := path.with_name(f"{path.stem}.kept-{n}.ipynb")).exists():
        n += 1
    path.rename(kept)
    print(f"{path.parent.name}/{path.name} had been edited: your version is kept as {kept.name}")
    return kept


def is_pristine(path: Path) -> bool:
    """Whether the notebook at `path` is as a release left it: nobody has changed a cell."""
    try:
        notebook = nbformat.read(path, as_version=4)
        return notebook.metadata.get("course", {}).get("release") == fingerprint(notebook)
    except Exception:  # unreadable, so somebody's
        return False


def verify(course: Course, what: Assignment) -> Path:
    """Raise ReleaseFailed unless the published notebook is what nbgrader generated, without secrets."""
    path = course.released(what)
    released = course.solutions / "release" / what.name / what.notebook
    if not path.exists() or not released.exists():
        raise ReleaseFailed(
            f"{what.name} was not published: {path} is missing. Look at nbgrader's log above."
        )
    notebook = nbformat.read(path, as_version=4)
    if fingerprint(notebook) != fingerprint(nbformat.read(released, as_version=4)):
        raise ReleaseFailed(f"{what.name}: {path} is not what nbgrader generated.")
    text = "\n".join(cell.source for cell in notebook.cells)
    for secret in SECRETS:
        if secret in text:
            raise ReleaseFailed(f"{what.name}: {path} contains {secret!r}.")
    return path


def release(course: Course, what: Assignment) -> Path:
    """Generate and publish one assignment through nbgrader; return the published notebook.

    Raises ReleaseFailed with nbgrader's last words where it fails.
    """
    from coursework.marking.nbgrader import Nbgrader

    done = Nbgrader(course).generate(what)
    if not done.ok:
        raise ReleaseFailed(f"{what.name}: nbgrader could not generate it.\n{done.log[-2000:]}")
    return verify(course, what)


def archive(course: Course, target: Path) -> Path:
    """Write the learner's archive: the course without solutions/, with stable bytes. Returns `target`."""
    files = [p for name in ARCHIVED_FILES for p in course.root.glob(name)]
    files += [p for name in ARCHIVED for p in sorted((course.root / name).rglob("*")) if p.is_file()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for path in sorted(set(files)):
            inside = path.relative_to(course.root)
            if "__pycache__" not in inside.parts and ".ipynb_checkpoints" not in inside.parts:
                content = path.read_bytes()
                if inside.name == "README.md" and len(inside.parts) == 1:
                    content = for_archive(content.decode()).encode()
                _add(package, f"interplay-course/{inside.as_posix()}", content)
    target.write_bytes(buffer.getvalue())
    return target


def for_archive(readme: str) -> str:
    """The README as the archive's reader needs it, who has neither git nor solutions.

    What stands between `<!-- clone -->` and `<!-- /clone -->` is left out; a comment that begins with
    `<!-- archive` is shown.
    """
    readme = re.sub(r"<!-- clone -->.*?<!-- /clone -->\n?", "", readme, flags=re.DOTALL)
    return re.sub(r"<!-- archive\n(.*?)-->\n?", r"\1", readme, flags=re.DOTALL)


def _add(package: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    package.writestr(entry, content)

"""A whole course in a temporary folder, opened by `course open` with no display, and a browser window on it.

A `Window` is one page in Chromium that writes down every request that leaves this machine, and every error.
COURSE_SCREENSHOTS=<folder> keeps the pictures that the tests take.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
from browser_tools import KERNEL, Notebook

ROOT = Path(__file__).resolve().parents[2]
COURSE = [sys.executable, "-m", "coursework.cli"]
NBGRADER = [sys.executable, "-m", "nbgrader"]
PATIENCE = 120_000
"""Milliseconds that a page may take; long, because many tests share a machine."""


class CourseCopy:
    """A copy of the course that nobody else works in. `address` is what `course open` printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        (folder / ".course/jupyter").mkdir(parents=True)
        tested = {"LabApp": {"expose_app_in_browser": True}}  # the one thing that differs from a learner's
        (folder / ".course/jupyter/jupyter_lab_config.json").write_text(json.dumps(tested))
        shown = ("DISPLAY", "WAYLAND_DISPLAY", "COURSE_SALT", "COURSE_TIMEOUT")
        self.environment = {name: value for name, value in os.environ.items() if name not in shown} | {
            "PATH": os.defpath,  # `course open` finds the rest of the environment by itself
            "PYTHONPATH": str(folder / "src"),
            "IPYTHONDIR": str(folder / ".course/ipython"),
            "JUPYTER_DATA_DIR": str(folder / ".course/data"),
            "COLUMNS": "160",
        }
        self.server: subprocess.Popen[bytes] | None = None
        self.address = ""

    def run(self, *command: str, expect: int | None = 0, **more: str) -> str:
        """Run a command in the copy; return all that it printed."""
        environment = self.environment | more
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def open(self) -> str:
        """Start `course open`, and wait for the address that it prints."""
        log = self.folder / ".course/log"
        with log.open("w") as out:
            self.server = subprocess.Popen(
                [*COURSE, "open"], cwd=self.folder, env=self.environment, stdout=out, stderr=out
            )
        end = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < end and self.server.poll() is None:
            if found := re.search(r"http://127\S+\?token=\w+", log.read_text()):
                self.address = found[0]
                return self.address
            time.sleep(0.1)
        raise AssertionError(f"`course open` printed no address:\n{log.read_text()}")

    def url(self, path: str) -> str:
        """The address of a page of this server, with its token: "lab/tree/notebooks/03-retries.ipynb"."""
        base, token = self.address.split("/lab/workspaces", 1)[0], self.address.partition("?token=")[2]
        return f"{base}/{path}{'&' if '?' in path else '?'}token={token}"

    def notebook(self, path: str) -> nbformat.NotebookNode:
        return nbformat.read(self.folder / path, as_version=4)

    def close(self) -> None:
        if self.server is None:
            return
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


class Window(Notebook):
    """A page in Chromium, on `copy`'s server or a file. Empty should stay: `outside`, `errors`, `dialogs`."""

    def __init__(self, copy: CourseCopy, browser: Any, width: int = 1280, height: int = 900) -> None:
        self.copy = copy
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self.context.on("request", self._request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("dialog", self._dialog)

    def _request(self, request: Any) -> None:
        where = urlsplit(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.hostname != "127.0.0.1":
            self.outside.append(request.url)

    def _console(self, message: Any) -> None:
        # JupyterLab asks for a picture that is attached to a cell before it knows that it is
        if message.type == "error" and not message.location.get("url", "").startswith("attachment:"):
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _dialog(self, dialog: Any) -> None:
        if dialog.type == "beforeunload":  # JupyterLab asks before a page with unsaved work is left
            dialog.accept()
            return
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def go(self, path: str) -> None:
        """Open a notebook in JupyterLab and wait until its kernel is ready."""
        self.page.goto(self.copy.url(f"lab/workspaces/auto-test/tree/{path}?reset"))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.wait(f"{KERNEL}?.status === 'idle'")

    def attach_all(self) -> None:
        """Have JupyterLab keep all cells in the page, also those that are scrolled away."""
        self.page.evaluate(
            f"{CONTENT}.notebookConfig = {{...{CONTENT}.notebookConfig, windowingMode: 'none'}}"
        )

    def wait(self, condition: str, argument: Any = None) -> None:
        self.page.wait_for_function(condition, arg=argument)

    def idle(self, seconds: float = PATIENCE / 1000) -> None:
        super().idle(seconds)

    def run_cells(self, count: int) -> None:
        """Run the first `count` cells, as a learner does: the first selected, then Shift+Enter."""
        self.page.evaluate(
            f"""() => {{
                const book = {CONTENT};
                book.activeCellIndex = 0; book.deselectAll(); book.mode = 'command'; book.node.focus();
            }}"""
        )
        for _ in range(count):
            self.page.keyboard.press("Shift+Enter")
        self.idle()

    def run_all(self) -> None:
        """Run each cell, also those after one that fails."""
        self.page.evaluate(
            f"""async () => {{
                const book = {CONTENT};
                for (let i = 0; i < book.widgets.length; i++) {{
                    book.activeCellIndex = i; book.deselectAll();
                    await window.jupyterapp.commands.execute('notebook:run-cell');
                }}
            }}"""
        )
        self.idle()

    def write(self, name: str, source: str) -> None:
        """Put `source` into the cell with this grade_id."""
        self.page.evaluate(
            f"([name, source]) => {CELL}.model.sharedModel.setSource(source)",
            [name, source],
        )

    def output(self, name: str) -> str:
        """The text of the outputs of the cell with this grade_id, as the page shows it."""
        return str(self.page.evaluate(f"name => {CELL}.outputArea.node.textContent", name))

    def show(self, name: str) -> None:
        """Scroll to the cell with this grade_id."""
        self.page.evaluate(
            f"""async name => {{
                const book = {CONTENT};
                await book.scrollToItem(book.widgets.indexOf({CELL}), 'start');
            }}""",
            name,
        )

    def save(self) -> None:
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save'); }")
        self.wait("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    def picture(self, name: str, **how: Any) -> None:
        """Keep a screenshot, where COURSE_SCREENSHOTS says."""
        if folder := os.environ.get("COURSE_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", **how)


CONTENT = "window.jupyterapp.shell.currentWidget.content"
CELL = f"{CONTENT}.widgets.find(c => c.model.getMetadata('nbgrader')?.grade_id === name)"


def solution(assignment: str, name: str) -> str:
    """The reference solution of one answer cell."""
    path = next((ROOT / "solutions/source" / assignment).glob("*.ipynb"))
    cells = nbformat.read(path, as_version=4).cells
    source = next(c.source for c in cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)
    lines = [line for line in source.split("\n") if "### " not in line and line != f"{name} = None"]
    return "\n".join(lines)


def solved(assignment: str) -> nbformat.NotebookNode:
    """The notebook of an assignment with the reference solution in it, as a learner would hand it in."""
    path = next((ROOT / "solutions/source" / assignment).glob("*.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = solution(assignment, cell.metadata.nbgrader.grade_id)
    return notebook


HOSTILE = """<script>window.hacked = "script"</script>
<img alt="mine" src="data:," onerror="window.hacked = 'image'">
<svg onload="window.hacked = 'svg'"><circle r="9"/></svg>
<a href="javascript:window.hacked='link'">a link of mine</a>
<iframe srcdoc="<script>top.hacked = 'frame'</script>"></iframe>
<style>body { display: none }</style>"""
HOSTILE_MARKDOWN = f"Notes of mine.\n\n{HOSTILE}\n\n[another link](javascript:alert(1))"
HOSTILE_CODE = f'''from IPython.display import HTML, SVG, Javascript, Markdown, display
hostile = """{HOSTILE}"""
print("printed by me", hostile)
display(HTML("<p>displayed by me</p>" + hostile), Markdown(hostile), Javascript("window.hacked = 'output'"))
inside = "onload='window.hacked=1'><script>window.hacked=2</script>"
display(SVG(f"<svg xmlns='http://www.w3.org/2000/svg' {{inside}}</svg>"))
display({{"text/html": "<img src='data:,' onerror='window.hacked=3'>", "text/plain": "x"}}, raw=True)'''


def hostile(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """`notebook` with cells of the learner's own, which attack whoever reads it."""
    notebook.cells.append(nbformat.v4.new_markdown_cell(HOSTILE_MARKDOWN))
    notebook.cells.append(nbformat.v4.new_code_cell(HOSTILE_CODE))
    return notebook

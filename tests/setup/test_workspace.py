"""`course open`: a learner's copies are kept, and JupyterLab opens at the start page, locally."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest

from coursework import workspace

OPEN = (
    "import sys, pathlib, coursework.workspace as w; sys.exit(w.open_course(pathlib.Path('.').resolve(), {}))"
)


@pytest.fixture
def course(tmp_path):
    """A released lab and quiz, as in the repository."""
    for name in ("labs/03-retries/lab.ipynb", "labs/03-retries/schema.txt", "quizzes/03-retries/quiz.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first release of {name}")
    return tmp_path


def listing(folder: Path) -> list[str]:
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name[0] != "."
    )


def test_labs_and_quizzes_are_copied_once(course):
    assert workspace.prepare(course) == []
    files = ["03-retries/lab.ipynb", "03-retries/quiz.ipynb", "03-retries/schema.txt"]
    assert listing(course / "work") == files
    assert (course / "work/03-retries/lab.ipynb").read_text() == "first release of labs/03-retries/lab.ipynb"
    assert workspace.prepare(course) == []
    assert listing(course / "work") == files


def test_an_edited_copy_is_kept_and_a_newer_release_is_put_beside_it_once(course):
    workspace.prepare(course)
    mine = course / "work/03-retries/lab.ipynb"
    mine.write_text("my answers")
    assert workspace.prepare(course) == []  # nothing newer: nothing to say

    (course / "labs/03-retries/lab.ipynb").write_text("second release")
    (message,) = workspace.prepare(course)
    (beside,) = mine.parent.glob("lab-new-*.ipynb")
    assert message == (
        f"work/03-retries/lab.ipynb is yours and was kept; a newer release of it is beside it: {beside.name}"
    )
    assert mine.read_text() == "my answers"
    assert beside.read_text() == "second release"
    assert workspace.prepare(course) == []

    beside.write_text("my answers to the second release")
    (course / "labs/03-retries/lab.ipynb").write_text("third release")
    workspace.prepare(course)
    texts = {path.read_text() for path in mine.parent.glob("lab*.ipynb")}
    assert texts == {"my answers", "my answers to the second release", "third release"}


def test_an_unedited_copy_becomes_the_newer_release(course):
    workspace.prepare(course)
    (course / "quizzes/03-retries/quiz.ipynb").write_text("second release")
    assert workspace.prepare(course) == [
        "work/03-retries/quiz.ipynb was as released, and is now the newer release"
    ]
    assert (course / "work/03-retries/quiz.ipynb").read_text() == "second release"
    assert len(listing(course / "work")) == 3


def test_a_copy_that_was_thrown_away_comes_back_as_released(course):
    workspace.prepare(course)
    mine = course / "work/03-retries/lab.ipynb"
    mine.unlink()
    assert workspace.prepare(course) == []
    assert mine.read_text() == "first release of labs/03-retries/lab.ipynb"


@pytest.mark.parametrize("record", [None, "", "{half"])
def test_work_is_kept_also_where_the_record_of_releases_is_lost(course, record):
    workspace.prepare(course)
    mine = course / "work/03-retries/lab.ipynb"
    mine.write_text("my answers")
    path = course / "work" / workspace.RELEASES
    path.unlink() if record is None else path.write_text(record)
    (message,) = workspace.prepare(course)
    assert "is yours and was kept" in message
    assert mine.read_text() == "my answers"
    assert workspace.prepare(course) == []


def test_a_layout_that_the_learner_made_is_kept(course):
    workspace.prepare(course)
    (layout,) = (course / ".course").rglob("*.jupyterlab-workspace")
    layout.write_text('{"data": {"mine": 1}, "metadata": {"id": "course"}}')
    workspace.prepare(course)
    assert '"mine"' in layout.read_text()


def test_white_figures_are_softened_on_a_dark_page(course, monkeypatch):
    for name in ("PATH", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(course)
    given = []
    monkeypatch.setattr("jupyterlab.labapp.LabApp.launch_instance", given.extend)
    workspace.open_course(course)
    assert "--LabApp.custom_css=True" in given
    rule = (course / ".course" / "jupyter" / "custom" / "custom.css").read_text()
    assert '[data-jp-theme-light="false"]' in rule
    assert "img { filter: brightness(" in rule


# ---- JupyterLab itself


def test_the_command_course_is_found_in_labs_terminals(course, monkeypatch):
    for name in ("PATH", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, "")  # put back as they were afterwards
    monkeypatch.chdir(course)
    found = []
    monkeypatch.setattr(
        "jupyterlab.labapp.LabApp.launch_instance", lambda _: found.append(shutil.which("course"))
    )
    assert workspace.open_course(course) == 0
    assert found == [str(Path(sys.executable).parent / "course")]


@pytest.fixture(scope="module")
def opened(root, tmp_path_factory):
    """`course open` in a small course, asked for a port that is taken."""
    folder = tmp_path_factory.mktemp("course")
    start = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Start here"),
            nbformat.v4.new_markdown_cell("## A first section"),
            nbformat.v4.new_code_cell("6 * 7"),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        },
    )
    for name in (workspace.START, "labs/03-retries/lab.ipynb"):
        (folder / name).parent.mkdir(parents=True)
        nbformat.write(start, folder / name)
    shutil.copy(root / "nbgrader_config.py", folder)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        log = folder / "log.txt"
        with log.open("w") as out:
            command = [sys.executable, "-c", OPEN.format(port)]
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            yield SimpleNamespace(
                folder=folder, process=process, taken=port, address=wait_for_address(log, process)
            )
        finally:
            process.kill()
            process.wait()


def wait_for_address(log: Path, process: subprocess.Popen) -> str:
    for _ in range(600):
        found = re.search(r"http://\S+", log.read_text())
        if found:
            return found[0]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError("no address after a minute: " + log.read_text())


def test_another_port_is_taken_when_one_is_taken_and_the_address_is_printed(opened):
    host, port = re.match(r"http://([\d.]+):(\d+)/lab/workspaces/course/tree/", opened.address).groups()
    assert host == "127.0.0.1"
    assert int(port) != opened.taken
    assert opened.address.split("?")[0].endswith("/" + workspace.START)
    token = opened.address.partition("?token=")[2]
    url = f"http://127.0.0.1:{port}/api/contents/work/03-retries?token={token}"
    with urllib.request.urlopen(url, timeout=30) as reply:
        assert [item["name"] for item in json.load(reply)["content"]] == ["lab.ipynb"]


def test_it_listens_on_this_machine_only(opened):
    family = [psutil.Process(opened.process.pid)]
    family += family[0].children(recursive=True)
    listening = []
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
            found = process.net_connections()
            listening += [c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN]
    assert set(listening) == {"127.0.0.1"}


@pytest.mark.browser
def test_the_start_page_opens_with_its_table_of_contents_beside_it(opened, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    outside = []
    page.on(
        "request", lambda request: outside.append(request.url) if "127.0.0.1" not in request.url else None
    )
    page.goto(opened.address)
    page.get_by_role("heading", name="Start here").wait_for(timeout=60_000)
    contents = page.locator("#jp-left-stack .jp-TableOfContents-tree")
    contents.get_by_text("A first section").wait_for(timeout=30_000)
    page.wait_for_timeout(1500)  # time for a question about news, were there one
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []

    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Shift+Enter")
    page.locator(".jp-OutputArea-output").get_by_text("42").wait_for(timeout=60_000)
    page.close()
    assert "WARNING" not in (opened.folder / "log.txt").read_text()


def test_nothing_is_left_in_the_folder_but_work_and_course(opened):
    names = {path.name for path in opened.folder.iterdir()} - {"log.txt", "nbgrader_config.py"}
    assert names == {"notebooks", "labs", "work", ".course"}


def test_it_stops_when_it_is_told_to(opened):
    opened.process.send_signal(signal.SIGTERM)
    assert opened.process.wait(20) == 0
    assert list((opened.folder / ".course/runtime").glob("jpserver-*.json")) == []

"""Plain `nbgrader` commands, as instructors know them, from the root and from solutions/."""

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
import tiny

from coursework import learner
from coursework.layout import Course

pytestmark = pytest.mark.slow
NBGRADER = Path(sysconfig.get_path("scripts")) / "nbgrader"


@pytest.fixture(scope="module", params=["root", "solutions"])
def place(request, tmp_path_factory):
    """The tiny course, not yet released, and the folder to stand in."""
    course = tiny.build(tmp_path_factory.mktemp("stock") / "course")
    return course, course.root if request.param == "root" else course.solutions


def nbgrader(folder, *arguments, ok=True):
    """Run a command with a search path that does not have this environment."""
    environment = os.environ | {"PATH": os.defpath}
    done = subprocess.run([NBGRADER, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout + done.stderr


def test_from_release_to_feedback(place, tmp_path):
    course, folder = place
    both = (tiny.LAB, tiny.QUIZ) if folder == course.root else (tiny.LAB,)
    for what in both:
        nbgrader(folder, "generate_assignment", what.name)
        assert course.released(what).exists(), "the hook has published it"

    released = course.released(tiny.LAB)
    assert "is not written yet" in nbgrader(folder, "validate", str(released))

    learners = Course(shutil.copytree(course.root, tmp_path / "learner"))
    for what, notebook in zip(both, (tiny.lab(), tiny.quiz()), strict=False):
        path = learners.work / what.slug / what.notebook
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    packed, _ = learner.pack(learners, "99-tiny", "ada", tmp_path)
    for what in both:
        archive = course.solutions / "downloaded" / what.name / "archive"
        archive.mkdir(parents=True)
        shutil.copy(packed, archive)
        nbgrader(folder, "zip_collect", what.name)
        collected = course.solutions / "submitted" / "ada" / what.name
        assert [path.name for path in collected.iterdir()] == [what.notebook]
        nbgrader(folder, "autograde", what.name)
        nbgrader(folder, "generate_feedback", what.name)
        page = course.solutions / "feedback" / "ada" / what.name / f"{what.kind}.html"
        assert "<script" not in page.read_text()

    if folder != course.root:
        return
    nbgrader(folder, "export", "--to", str(tmp_path / "marks.csv"))
    rows = [line.split(",") for line in (tmp_path / "marks.csv").read_text().splitlines()]
    score = rows[0].index("score")
    assert {row[0]: float(row[score]) for row in rows[1:]} == {"lab-99-tiny": 100, "quiz-99-tiny": 3}
    assert not (course.root / "gradebook.db").exists(), "the gradebook belongs to solutions/"


def test_formgrader_in_a_jupyter_server_at_the_root_finds_the_course(place):
    """The server reads the root's configuration: formgrader lists the assignments of solutions/."""
    course, folder = place
    if folder != course.root:
        pytest.skip("JupyterLab is started in the root")
    port = free_port()
    options = ["--no-browser", f"--ServerApp.port={port}", "--IdentityProvider.token=x", "--allow-root"]
    config = {"JUPYTER_CONFIG_DIR": str(course.root / ".course" / "jupyter"), "PATH": os.defpath}
    log = course.root / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [NBGRADER.with_name("jupyter-server"), *options],
            cwd=folder,
            env=os.environ | config,
            stdout=out,
            stderr=out,
        )
        try:
            listed = ask(f"http://127.0.0.1:{port}/formgrader/api/assignments?token=x", log)
        finally:
            server.terminate()
            server.wait(20)
    assert [assignment["name"] for assignment in listed] == ["lab-99-tiny", "quiz-99-tiny"]
    assert {assignment["source_path"] for assignment in listed} == {
        "source/lab-99-tiny",
        "source/quiz-99-tiny",
    }
    assert not (course.root / "gradebook.db").exists()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(url, log):
    """The JSON answer, as soon as the server gives one."""
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError(log.read_text())

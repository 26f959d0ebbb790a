"""Plain `nbgrader` commands, as instructors know them, from the root and from solutions/."""

import os
import shutil
import subprocess
import sysconfig
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
    for what in (tiny.LAB, tiny.QUIZ):
        nbgrader(folder, "generate_assignment", what.name)
        assert course.released(what).exists(), "the hook has published it"

    released = course.released(tiny.LAB)
    assert "is not written yet" in nbgrader(folder, "validate", str(released))

    learners = Course(shutil.copytree(course.root, tmp_path / "learner"))
    for what, notebook in ((tiny.LAB, tiny.lab()), (tiny.QUIZ, tiny.quiz())):
        path = learners.work / what.slug / what.notebook
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    packed, _ = learner.pack(learners, "99-tiny", "ada", tmp_path)
    for what in (tiny.LAB, tiny.QUIZ):
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

    nbgrader(folder, "export", "--to", str(tmp_path / "marks.csv"))
    rows = [line.split(",") for line in (tmp_path / "marks.csv").read_text().splitlines()]
    score = rows[0].index("score")
    assert {row[0]: float(row[score]) for row in rows[1:]} == {"lab-99-tiny": 100, "quiz-99-tiny": 3}
    assert not (course.root / "gradebook.db").exists(), "the gradebook belongs to solutions/"


def test_formgraders_server_extension_finds_the_course(place, monkeypatch):
    """JupyterLab, started in the root, reads the root's configuration."""
    course, folder = place
    if folder != course.root:
        pytest.skip("JupyterLab is started in the root")
    from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension

    monkeypatch.chdir(folder)
    extension = FormgradeExtension()
    extension.root_dir = str(folder)
    assert extension.url_prefix == "solutions"
    assert extension.coursedir.db_url.startswith(f"sqlite:///{course.solutions}/gradebook.db")

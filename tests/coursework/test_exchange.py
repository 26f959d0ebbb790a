"""A class on one machine through nbgrader's exchange: an instructor and a learner, each a system user.

Each step is the command that the instructor's page names, run by the one who runs it in a class. Only root
can make users; on a machine where the tests run as somebody else, this file is skipped.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
import tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make system users"),
    pytest.mark.skipif(not shutil.which("useradd"), reason="this machine has no useradd"),
]

HALF = {"double": "def double(x):\n    return 6", "count": tiny.COUNT}


class User:
    """A system user with a home of its own, for as long as the test runs."""

    def __init__(self, name: str, there: Path, python: Path):
        self.name, self.python, self.home = name, python, there / name
        self.home.mkdir(mode=0o700)
        command = ["useradd", "--system", "--no-create-home", "--user-group", "--home-dir", self.home, name]
        subprocess.run(command, check=True)
        self.own(self.home)
        self.environment = {
            "HOME": str(self.home), "PATH": os.defpath, "TMPDIR": str(self.home), "COLUMNS": "200",
            "JUPYTER_CONFIG_PATH": str(there / "etc"), "PYTHONPATH": str(tiny.ROOT / "src"),
        }  # fmt: skip

    def own(self, path: Path) -> None:
        found = pwd.getpwnam(self.name)
        for one in [path, *path.rglob("*")]:
            os.chown(one, found.pw_uid, found.pw_gid)

    def run(self, *command: str, ok: bool = True, folder: Path | None = None) -> str:
        found = pwd.getpwnam(self.name)
        done = subprocess.run(
            [self.python, *command], cwd=folder or self.home, env=self.environment, capture_output=True,
            text=True, user=found.pw_uid, group=found.pw_gid, extra_groups=[], umask=0o022, timeout=300,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def nbgrader(self, *command: str, **how) -> str:
        return self.run("-m", "nbgrader", *command, **how)


@pytest.fixture(scope="module")
def python():
    """This Python, or one like it with the same packages where others may not read this one."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # in the sandbox, /tmp is another one
        there = Path(folder)
        there.chmod(0o755)
        real = Path(sys.executable).resolve()
        if all(parent.stat().st_mode & 0o001 for parent in real.parents):
            yield there, Path(sys.executable)
            return
        other = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
        if not other:
            pytest.skip("this Python is in root's home, and there is none that other users may run")
        subprocess.run([other, "-m", "venv", "--without-pip", there / "venv"], check=True)
        packages = next((there / "venv" / "lib").glob("python3*/site-packages"))
        packages.rmdir()
        packages.symlink_to(next(Path(sys.prefix, "lib").glob("python3*/site-packages")))
        (there / "venv" / "share").symlink_to(Path(sys.prefix, "share"))
        alembic = there / "venv" / "bin" / "alembic"  # the one command that nbgrader calls by its name
        alembic.write_text(f"#!{alembic.with_name('python')}\nfrom alembic.config import main\nmain()\n")
        alembic.chmod(0o755)
        yield there, alembic.with_name("python")


@pytest.fixture(scope="module")
def people(python):
    """(the instructor, the learner, the exchange): the course is in the instructor's home."""
    there, interpreter = python
    (there / "etc").mkdir()
    (there / "etc" / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.Exchange.root = {str(there / 'exchange')!r}\n"
        "c.CourseDirectory.course_id = 'interplay'\n"
    )
    (there / "exchange").mkdir()
    (there / "exchange").chmod(0o777)
    names = [f"course-{who}-{os.getpid()}" for who in ("teacher", "ada")]
    try:
        teacher, ada = (User(name, there, interpreter) for name in names)
        tiny.build(teacher.home / "course")
        teacher.own(teacher.home)
        yield teacher, ada, there / "exchange"
    finally:
        for name in names:
            subprocess.run(["userdel", name], check=False, capture_output=True)


def marks(teacher):
    said = teacher.run("-m", "coursework.cli", "report", "99", "--csv", folder=teacher.home / "course")
    rows = [line.split(",") for line in said.splitlines() if line.count(",") == 4]
    return {row[2]: float(row[3]) for row in rows[1:]}


def page(ada):
    (found,) = (ada.home / tiny.LAB.name / "feedback").glob("*/lab.html")
    return found.read_text()


def test_release_fetch_submit_collect_mark_and_feedback(people):
    teacher, ada, exchange = people
    course, lab = teacher.home / "course", tiny.LAB.name
    teacher.nbgrader("generate_assignment", lab, folder=course)
    teacher.nbgrader("release_assignment", lab, folder=course)

    assert lab in ada.nbgrader("list")
    ada.nbgrader("fetch_assignment", lab)
    mine = ada.home / lab / "lab.ipynb"
    assert "HIDDEN" not in mine.read_text()
    nbformat.write(tiny.edit(nbformat.read(mine, as_version=4), **HALF), mine)
    ada.nbgrader("submit", lab)
    listing = ["-c", f"import os; os.listdir({str(exchange / 'interplay' / 'inbound')!r})"]
    assert "PermissionError" in ada.run(*listing, ok=False), "nobody sees who has handed in"
    assert "PermissionError" in ada.run("-c", f"open({str(course / 'nbgrader_config.py')!r})", ok=False)

    teacher.nbgrader("collect", lab, folder=course)
    teacher.nbgrader("autograde", lab, folder=course)
    assert marks(teacher) == {"double-1": 0, "count-1": 40}
    teacher.nbgrader("generate_feedback", lab, folder=course)
    teacher.nbgrader("release_feedback", lab, folder=course)
    listing = ["-c", f"import os; os.listdir({str(exchange / 'interplay' / 'feedback')!r})"]
    assert "PermissionError" in ada.run(*listing, ok=False), "each one finds their own page only"
    ada.nbgrader("fetch_feedback", lab)
    assert "any number is doubled" in page(ada)
    assert "40 / 100" in page(ada)


def test_a_lab_that_was_mended_is_marked_again_and_the_new_feedback_arrives(people):
    """The hidden check turns out to be unfair: it goes, and who failed it only gets the points."""
    teacher, ada, _ = people
    course, lab = teacher.home / "course", tiny.LAB.name
    source = course / "solutions" / "source" / lab / "lab.ipynb"
    text = source.read_text()
    assert "for x in checks.inputs(20):" in text
    source.write_text(text.replace("for x in checks.inputs(20):", "for x in [3]:"))
    teacher.run("-m", "coursework.cli", "release", "99", folder=course)
    teacher.nbgrader("release_assignment", lab, "--force", folder=course)
    said = teacher.run("-m", "coursework.cli", "mark", "99", folder=course)
    assert "100" in said
    assert marks(teacher) == {"double-1": 60, "count-1": 40}
    teacher.nbgrader("release_feedback", lab, folder=course)
    ada.nbgrader("fetch_feedback", lab)
    assert "100 / 100" in page(ada)


def test_a_second_submission_after_the_due_date_is_late(people):
    teacher, ada, _ = people
    course, lab = teacher.home / "course", tiny.LAB.name
    config = course / "solutions" / "nbgrader_config.py"
    config.write_text(config.read_text().replace('salt="interplay"', 'salt="interplay", late=0.5'))
    teacher.nbgrader("db", "assignment", "add", lab, "--duedate=2020-01-01 12:00 UTC", folder=course)
    ada.nbgrader("submit", lab)
    teacher.nbgrader("collect", lab, "--update", folder=course)
    teacher.run("-m", "coursework.cli", "mark", "99", folder=course)
    assert marks(teacher) == {"double-1": 60, "count-1": 40, "late": -100}

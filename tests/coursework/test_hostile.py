"""A class with an attacker at nearly every desk: none gets a point, and nobody else is touched."""

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import nbformat
import psutil
import pytest
import tiny
from attacks import ATTACKS

from coursework.layout import Course
from coursework.marking import process, sandbox
from coursework.marking.run import mark_class
from coursework.marking.sandbox import NoSandbox, why_not
from coursework.marking.warm import zygote

HONEST = ("aa-honest", "mm-honest", "zz-honest")
TIMEOUT = 3
SECRETS = {"GRADER_SECRET": "hunter2", "COURSE_TIMEOUT": str(TIMEOUT)}
A_FEW = (
    "loop_that_catches_everything fork_bomb memory_of_many disk exit_in_the_function kill_all "
    "kill_the_marker equal_to_everything takes_the_tests_names forged_reply_in_a_call reads_the_tests "
    "reads_the_environment "
    "changes_the_gradebook leaves_a_note_for_the_next reads_a_note network other_sockets daemon breaks_out "
    "changes_the_environment_of_all modules_in_the_way answer_as_locked script_in_errors"
)

bubblewrap = pytest.mark.skipif(bool(why_not("bubblewrap")), reason=why_not("bubblewrap"))
landlock = pytest.mark.skipif(bool(why_not("landlock")), reason=why_not("landlock"))


class Listener:
    """Counts who calls."""

    def __init__(self):
        self.calls = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            self._server.accept()[0].close()
            self.calls += 1


def hand_in(course, names, port):
    """The honest and the others; `where` is what the attackers know of the marker's machine."""
    where = {"root": course.root, "port": port}
    for student in HONEST:
        tiny.submit(course, tiny.LAB, student, tiny.lab())
    (course.root / "solutions" / "victim.txt").write_text("precious")
    for name in names:
        notebook = nbformat.read(course.released(tiny.LAB), as_version=4)
        folder = course.solutions / "submitted" / f"by-{name.replace('_', '-')}" / tiny.LAB.name
        folder.mkdir(parents=True)
        data = ATTACKS[name](notebook, folder, where)
        path = folder / tiny.LAB.notebook
        if not path.is_symlink() and name != "other_name":
            path.write_bytes(data if data is not None else json.dumps(notebook).encode())


def traces():
    """Processes and files that an attack would have left."""
    found = []
    for each in psutil.process_iter(["cmdline"]):
        if any("ATTACK_" in word for word in each.info["cmdline"] or []):
            found.append(str(each))
    for place in (
        "/tmp",
        "/dev/shm",
        "/var/tmp",
        str(Path.home()),
        sys.prefix,
        "/usr/bin",
        "/etc",
        "/run",
        "/dev",
    ):
        found += [str(path) for path in Path(place).glob("ATTACK*")]
    return found


def outputs(course, student):
    path = course.solutions / "autograded" / student / tiny.LAB.name / tiny.LAB.notebook
    if not path.exists():
        return ""
    cells = json.loads(path.read_text())["cells"]
    return json.dumps([cell.get("outputs") for cell in cells])


def command(process):
    """Its command line; that of one which has ended, and waits to be taken leave of, is empty."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def zygotes(process):
    return {child for child in process.children(recursive=True) if "marking.zygote" in command(child)}


class Marked:
    def __init__(self, course, names, kind):
        listener = Listener()
        hand_in(course, names, listener.port)
        self.course = course
        self.before = self.submitted()
        mine = psutil.Process()
        already = zygotes(mine)  # of tests that marked in this process
        self.memory = -mine.memory_info().rss - psutil.disk_usage("/dev/shm").used
        os.environ.update(SECRETS)
        try:
            results = list(mark_class(course, tiny.LAB, sandbox=kind, workers=2))
        finally:
            for name in SECRETS:
                del os.environ[name]
        self.results = {result.student: result for result in results}
        self.left = zygotes(mine) - already
        self.traces = traces()
        self.memory += mine.memory_info().rss + psutil.disk_usage("/dev/shm").used
        self.calls = listener.calls

    def submitted(self):
        every = (self.course.solutions / "submitted").rglob("*")
        return {path: path.lstat().st_mtime_ns for path in every if not path.is_dir()}

    def check(self, names):
        """Everything that must hold, whoever marked."""
        assert {student: self.results[student].mark for student in HONEST} == dict.fromkeys(HONEST, 100)
        attackers = {f"by-{name.replace('_', '-')}" for name in names}
        assert set(self.results) == attackers | set(HONEST)
        assert {s: self.results[s].mark for s in attackers if self.results[s].mark} == {}
        assert {
            s for s in attackers if self.results[s].mark is None and not self.results[s].problems
        } == set()
        leaks = {s: re.findall('LEAK[^\\\\"]*', outputs(self.course, s)) for s in attackers}
        assert {s: found for s, found in leaks.items() if found} == {}
        assert self.traces == []
        assert self.calls == 0
        assert self.before.items() <= self.submitted().items()
        assert (self.course.root / "solutions" / "victim.txt").read_text() == "precious"
        assert self.memory < 200 << 20


@pytest.fixture(scope="module")
def marked(released_once, tmp_path_factory):
    course = copy_of(released_once, tmp_path_factory.mktemp("hostile"))
    return Marked(course, list(ATTACKS), "bubblewrap")


def copy_of(course, folder):
    shutil.copytree(course.root, folder / "course")
    return Course(folder / "course")


def test_there_are_many_attacks():
    assert len(ATTACKS) >= 62


@bubblewrap
@pytest.mark.slow
def test_every_attack_is_contained(marked):
    marked.check(ATTACKS)
    assert marked.left == set()


UNREADABLE = {
    "by-cut-off", "by-deep", "by-empty", "by-large", "by-half-characters-in-the-source", "by-links",
    "by-linked-folder", "by-notebook-of-another", "by-old-format", "by-pipe", "by-socket-file",
}  # fmt: skip


@bubblewrap
@pytest.mark.slow
def test_a_mark_is_recorded_for_all_whose_notebook_can_be_read(marked):
    """Kernel death, time-outs and floods of output are errors in the cells, and a mark is recorded."""
    unmarked = {student for student, result in marked.results.items() if result.mark is None}
    assert unmarked == UNREADABLE, {s: marked.results[s].problems for s in unmarked ^ UNREADABLE}


@bubblewrap
@pytest.mark.slow
def test_what_was_not_run_says_why(marked):
    for student, why in {
        "by-exit-in-the-cell": "the process that ran your code has ended",
        "by-loop-that-catches-everything": "would not be interrupted",
        "by-loop": "a loop that never ends",
        "by-output-of-many": "output is cut here",
    }.items():
        assert why in outputs(marked.course, student), student


@bubblewrap
@pytest.mark.slow
def test_no_page_holds_a_script(marked):
    pages = list((marked.course.solutions / "feedback").rglob("*.html"))
    assert len(pages) == len(ATTACKS) + len(HONEST) - len(UNREADABLE)
    for page in pages:
        text = re.sub(r"<style.*?</style>", "", page.read_text(), flags=re.S)
        assert not re.search(r"<script|<svg|<iframe|=.?javascript:|<[^>]*\son\w+\s*=", text, re.I), page


@landlock
@pytest.mark.slow
def test_landlock_contains_the_worst_of_them(released_once, tmp_path):
    names = [name for name in A_FEW.split() if name not in ("leaves_a_note_for_the_next", "reads_a_note")]
    marked = Marked(copy_of(released_once, tmp_path), names, "landlock")
    marked.check(names)
    assert list(Path(tempfile.gettempdir()).glob("marking-*/submission")) == []


@bubblewrap
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run without privileges already")
def test_an_unprivileged_marker_contains_them_too(released_once):
    """Marks as `nobody`, with a Python that nobody may read."""
    python = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    if not python:
        pytest.skip("this machine has no Python outside of root's home")
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # in the sandbox, /tmp is another one
        there = Path(folder)
        subprocess.run([python, "-m", "venv", "--without-pip", there / "venv"], check=True)
        packages = next((there / "venv" / "lib").glob("python3*/site-packages"))
        packages.rmdir()
        (there / "venv" / "share").symlink_to(Path(sys.prefix, "share"))  # nbconvert's templates
        packages.symlink_to(next(Path(sys.prefix, "lib").glob("python3*/site-packages")))
        course = copy_of(released_once, there)
        listener = Listener()
        hand_in(course, A_FEW.split(), listener.port)
        (there / "tmp").mkdir()
        for path in [there, *there.rglob("*")]:
            if not path.is_symlink():
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        code = """
import pathlib, sys, tiny
from coursework.layout import Course
from coursework.marking.run import mark_class
for result in mark_class(Course(pathlib.Path(sys.argv[1])), tiny.LAB, workers=2):
    print(result.student, result.mark, flush=True)"""
        done = subprocess.run(
            [there / "venv/bin/python", "-c", code, course.root],
            user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True, text=True,
            cwd=there, timeout=600,
            env={**SECRETS, "PYTHONPATH": str(Path(tiny.__file__).parent), "PATH": os.environ["PATH"],
                 "HOME": str(there), "TMPDIR": str(there / "tmp")},
        )  # fmt: skip
        marks = dict(line.split() for line in done.stdout.splitlines())
        attackers = {f"by-{name.replace('_', '-')}" for name in A_FEW.split()}
        wanted = dict.fromkeys(attackers, "0.0") | dict.fromkeys(HONEST, "100.0")
        assert marks == wanted, done.stderr[-3000:]
        for student in attackers:
            assert "LEAK" not in outputs(course, student), student
        assert traces() == []
        assert listener.calls == 0


def kernel():
    ours, theirs = socket.socketpair()
    started = process.Kernel(zygote("bubblewrap", Path("/nowhere")), "learner", theirs)
    return started, ours  # the line must stay: its end is the kernel's


@bubblewrap
@pytest.mark.parametrize(
    ("limit", "most", "source", "why"),
    [
        ("MEMORY", 100 << 20, "kept = bytearray(b'x' * (300 << 20))", "MB of memory; 100 MB are allowed"),
        ("PROCESSES", 5, "import os\nfor i in range(8): os.fork() or time.sleep(60)", "9 processes"),
    ],
)
def test_what_grows_too_big_is_ended_with_the_reason(monkeypatch, limit, most, source, why):
    monkeypatch.setattr(process, limit, most)
    started, _line = kernel()
    with pytest.raises(process.Ended, match=why):
        started.ask({"run": f"import time\n{source}\ntime.sleep(60)"}, timeout=50)
    with contextlib.suppress(psutil.NoSuchProcess):  # or it waits to be taken leave of
        assert psutil.Process(started.pid).status() == psutil.STATUS_ZOMBIE


# ---- without a sandbox


@pytest.fixture
def no_bubblewrap(monkeypatch):
    which = shutil.which
    monkeypatch.setattr(
        sandbox.shutil, "which", lambda name, **how: None if name == "bwrap" else which(name, **how)
    )
    sandbox.why_not.cache_clear()
    yield
    sandbox.why_not.cache_clear()


def test_without_a_sandbox_a_lab_is_refused_with_the_way_to_one(no_bubblewrap, course):
    tiny.submit(course, tiny.LAB, "ada", tiny.lab())
    with pytest.raises(NoSandbox) as refused:
        list(mark_class(course, tiny.LAB))
    for phrase in (
        "bubblewrap is missing",
        "apt-get install bubblewrap",
        "--sandbox landlock",
        "no protection",
    ):
        assert phrase in str(refused.value)
    assert not (course.solutions / "autograded").exists()


def test_without_a_sandbox_a_quiz_is_marked_as_ever(no_bubblewrap, course):
    tiny.submit(course, tiny.QUIZ, "ada", tiny.quiz())
    assert [result.mark for result in mark_class(course, tiny.QUIZ)] == [3]


def test_nbgraders_own_command_refuses_too(course, tmp_path):
    """The folder of commands holds all that nbgrader needs, and no bubblewrap."""
    tiny.submit(course, tiny.LAB, "ada", tiny.lab())
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", tiny.LAB.name],
        cwd=course.solutions, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "bubblewrap is missing" in done.stderr
    assert not (course.solutions / "autograded" / "ada" / tiny.LAB.name).exists()


def test_another_word_is_no_sandbox(course):
    tiny.submit(course, tiny.LAB, "ada", tiny.lab())
    with pytest.raises(NoSandbox, match="no sandbox called 'strict'"):
        list(mark_class(course, tiny.LAB, sandbox="strict"))


@pytest.mark.slow
def test_none_marks_as_nbgrader_does_and_survives_a_dead_kernel(course, monkeypatch):
    monkeypatch.setenv("COURSE_TIMEOUT", "3")
    loop = """
def work():
    while True: sum(range(10000))
def double(x):
    while True:
        try: work()
        except BaseException: pass"""
    tiny.submit(course, tiny.LAB, "ada", tiny.lab())
    tiny.submit(
        course, tiny.LAB, "eve", tiny.edit(tiny.lab(), double="import os\ndef double(x): os._exit(0)")
    )
    tiny.submit(course, tiny.LAB, "ida", tiny.edit(tiny.lab(), double=loop))
    marks = {result.student: result.mark for result in mark_class(course, tiny.LAB, sandbox="none")}
    assert marks == {"ada": 100, "eve": 0, "ida": 0}

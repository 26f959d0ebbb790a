"""pyproject.toml, the three locks and environment.yml say the same, and name no machine."""

import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec

LOCKS = {
    "requirements-lean.txt": [],
    "requirements.txt": ["servers"],
    "requirements-dev.txt": ["servers", "dev"],
}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda(root):
    return yaml.safe_load((root / "environment.yml").read_text())


def wanted(project, extras):
    texts = [*project["dependencies"]]
    for extra in extras:
        texts += project["optional-dependencies"][extra]
    return [r for r in map(Requirement, texts) if r.name != project["name"]]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_all_that_pyproject_asks_for(root, lock, project, name):
    pins = lock.pins((root / name).read_text())
    for requirement in wanted(project, LOCKS[name]):
        version = pins.get(lock.requirement_name(requirement.name))
        assert version, f"{name} has no {requirement.name}: run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), f"{name}: {requirement}, {version}"


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_address(root, name):
    text = (root / name).read_text()
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text
    assert " @ " not in text


def test_each_lock_holds_the_smaller_one_with_the_same_pins(root, lock):
    lean, course, dev = (lock.pins((root / name).read_text()) for name in LOCKS)
    assert lean.items() < course.items() < dev.items()
    assert "grpcio" not in lean
    assert "pytest" not in course


def test_environment_yml_is_what_the_lock_gives(root, lock, project):
    expected = lock.environment(project, (root / "requirements.txt").read_text())
    assert (root / "environment.yml").read_text() == expected, "run `make lock`"


def test_environment_yml_is_readable_by_conda(conda, root, lock, project):
    *lines, pip = conda["dependencies"]
    specs = {spec.name.normalized: spec for spec in map(MatchSpec, lines)}
    pins = lock.pins((root / "requirements.txt").read_text())
    assert conda["channels"] == ["conda-forge"]
    assert str(specs.pop("python").version) == "3.12.*"
    assert specs.pop("pip").version is None
    assert set(specs) == {"jupyterlab", "ipywidgets", "nbgrader", "simpy", "matplotlib"}
    for name, spec in specs.items():
        assert str(spec.version) == f"{pins[name]}.*"
    *requirements, itself = pip["pip"]
    assert itself == "-e ."
    listed = {lock.requirement_name(r.name): r for r in map(Requirement, requirements)}
    assert set(specs) | set(listed) == {lock.requirement_name(r.name) for r in wanted(project, ["servers"])}
    for name, requirement in listed.items():
        assert str(requirement.specifier) == f"=={pins[name]}"


def test_no_tracked_file_names_a_registry_or_a_path_of_some_machine(root):
    hosts = ["pypi" + ".org/simple", "python" + "hosted", "file" + ":///"]
    paths = ["/" + "root/", "/opt/" + "pypi", "/opt/" + "wheels", "/work/" + "main"]
    command = ["git", "grep", "-InF", *(word for text in hosts + paths for word in ("-e", text))]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert found.stdout == ""

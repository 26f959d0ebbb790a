"""Write the three locks and environment.yml from pyproject.toml: `make lock`, and with UPGRADE=1 newer pins.

One universal lock serves Python 3.11 to 3.13 on every platform; each package is pinned with the hashes of its
files, and no address of a package index is written down. requirements-dev.txt holds everything, and the other
two are cut from it.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FROM_CONDA = ["jupyterlab", "ipywidgets", "nbgrader", "simpy", "matplotlib"]
CONDA_PYTHON = "3.12"

ENVIRONMENT = """\
# Written by `make lock`; the versions are those of requirements.txt. For conda, mamba and Binder:
#     conda env create -f environment.yml && conda activate interplay-course && course open
name: interplay-course
channels:
  - conda-forge
dependencies:
{conda}
  - pip:
{pip}
"""


def requirement_name(requirement: str) -> str:
    """Give the normalised name of "psycopg[binary]>=3.2; marker": psycopg."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def pins(lock: str) -> dict[str, str]:
    """Read name -> version from a lock's text."""
    return {requirement_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.M)}


def environment(project: dict, lock: str) -> str:
    """Write environment.yml: five packages from conda-forge, what else pyproject.toml names through pip."""
    version = pins(lock)
    wanted = [*project["dependencies"], *project["optional-dependencies"]["servers"]]
    conda = [f"python={CONDA_PYTHON}", "pip", *(f"{name}={version[name]}" for name in FROM_CONDA)]
    pip = []
    for requirement in wanted:
        head, semicolon, marker = requirement.partition(";")
        name = requirement_name(head)
        if name not in FROM_CONDA:
            extra = re.search(r"\[.*\]", head)
            pip.append(f"{name}{extra[0] if extra else ''}=={version[name]}{semicolon}{marker}")
    return ENVIRONMENT.format(
        conda="\n".join(f"  - {line}" for line in conda),
        pip="\n".join(f'      - "{line}"' for line in [*pip, "-e ."]),
    )


def lock(name: str, *options: str) -> None:
    """Resolve pyproject.toml into one lock, keeping the pins that are there unless UPGRADE=1."""
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--output-file", name]
    command += ["--universal", "--python-version", "3.11", "--fork-strategy", "fewest", "--generate-hashes"]
    command += ["--no-config", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    command += ["--quiet", *options, *upgrade]
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"{name}: {len(pins((ROOT / name).read_text()))} packages")


def main() -> None:
    """Write all four files."""
    lock("requirements-dev.txt", "--extra", "dev")
    lock("requirements.txt", "--extra", "servers", "--constraint", "requirements-dev.txt")
    lock("requirements-lean.txt", "--constraint", "requirements-dev.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (ROOT / "environment.yml").write_text(environment(project, (ROOT / "requirements.txt").read_text()))
    print("environment.yml")


if __name__ == "__main__":
    main()

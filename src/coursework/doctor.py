"""`course doctor`: what is missing on this machine, and how to get it."""

import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from rich.console import Console

DISTRIBUTION = "interplay-course"
PYTHONS = ((3, 11), (3, 12), (3, 13))

# What pip cannot bring: the names of the program, what it is for, how to get it.
PROGRAMS = [
    (("git",), "newer releases of the course", "sudo apt-get install git"),
    (("chromium", "chromium-browser", "google-chrome"), "the browser tests", "sudo apt-get install chromium"),
    (("bwrap",), "marking a class behind a wall", "sudo apt-get install bubblewrap"),
    (
        ("rabbitmq-server", "/usr/sbin/rabbitmq-server"),
        "the real part of unit 09",
        "sudo apt-get install rabbitmq-server",
    ),
]

Line = tuple[str, str, str]
"""One line of the report: "ok", "optional" or "missing"; what; what it is for or how to get it."""


def run() -> int:
    """Print one line for each thing the course uses; 0 when nothing is missing that it cannot do without."""
    console = Console(highlight=False, soft_wrap=True)
    marks = {"ok": "[green]ok[/]      ", "optional": "[yellow]optional[/]", "missing": "[red]missing[/] "}
    lines = [*python(), *packages(), *programs()]
    for state, what, note in lines:
        console.print(f"{marks[state]}  {what:<40} {note}".rstrip())
    missing = [what for state, what, _ in lines if state == "missing"]
    console.print(f"\nMissing: {', '.join(missing)}." if missing else "\nThe course can run here.")
    return 1 if missing else 0


def python() -> Iterator[Line]:
    """Check the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in PYTHONS:
        yield "ok", f"Python {version}", ""
    else:
        yield "missing", "Python 3.11, 3.12 or 3.13", f"this is {version}; name another: make course PYTHON=…"


def packages() -> Iterator[Line]:
    """Check each package that pyproject.toml names, first the course's own, then the real servers'."""
    try:
        wanted = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        yield "missing", DISTRIBUTION, "make course"
        return
    for extra, state, remedy in (
        ("", "missing", "make course"),
        ("servers", "optional", "a real server: make course"),
    ):
        for requirement in wanted:
            marker = requirement.marker
            of_extra = bool(re.search(r"\bextra\b", str(marker)))
            if of_extra == bool(extra) and (marker is None or marker.evaluate({"extra": extra})):
                version = installed(requirement.name)
                if version is None:
                    yield state, requirement.name, remedy
                elif version in requirement.specifier:
                    yield "ok", f"{requirement.name} {version}", ""
                else:
                    yield (
                        state,
                        f"{requirement.name}{requirement.specifier}",
                        f"{version} is too old or too new: {remedy}",
                    )


def installed(name: str) -> str | None:
    """Give the version of an installed package, None where it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def programs() -> Iterator[Line]:
    """Check the programs that come from the operating system."""
    for names, use, remedy in PROGRAMS:
        found = next((path for path in map(shutil.which, names) if path), None)
        yield ("ok", names[0], "") if found else ("optional", names[0], f"for {use}: {remedy}")

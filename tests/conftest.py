"""Fixtures that several parts' tests use. Browser tests skip, in words, where no Chromium is installed."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbgrader.api
import pytest
from xdist.scheduler import LoadScopeScheduling

sys.path.insert(0, str(Path(__file__).parent))

from browser_tools import Lab, Notebook, chromium_running, find_chromium

# For each new gradebook, nbgrader starts a Python to ask for this version (2 s, some hundred times here).
nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)


class ByFileAndUnit(LoadScopeScheduling):  # type: ignore[misc]
    """A worker gets a file's tests together, or one unit's of them: what they share is made once.

    The tests of a file in `browser` are steps of one story, whatever unit they are about.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        unit = "browser/" not in file and re.search(r"[\[-](\d\d)-", test)
        return f"{file} {unit[1]}" if unit else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileAndUnit:
    """How several workers share the tests (with pytest 9.2 the groups of --dist=loadgroup do nothing)."""
    return ByFileAndUnit(config, log)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium; a file's own, since its event loop would be in the way of others' asyncio.run."""
    if find_chromium() is None:
        pytest.skip("These tests need Chromium: apt-get install chromium")
    with chromium_running() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab of this test session, in an empty folder."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


@pytest.fixture
def open_notebook(lab: Lab, chromium: Any) -> Iterator[Callable[..., Notebook]]:
    """open_notebook("name.ipynb", [cell, …], width=…) runs the cells in JupyterLab, until the test ends."""
    opened: list[Notebook] = []

    def open_one(name: str, cells: list[str], **how: Any) -> Notebook:
        lab.write(name, cells)
        notebook = Notebook(lab, chromium, name, **how)
        opened.append(notebook)
        notebook.run_all()
        return notebook

    yield open_one
    for notebook in opened:
        notebook.close()

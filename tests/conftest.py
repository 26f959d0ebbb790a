"""Fixtures that several parts' tests use. Browser tests skip, in words, where no Chromium is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser_tools import Lab, Notebook, chromium_running, find_chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
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

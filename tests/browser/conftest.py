"""`copy`: a course for each file of tests, open in JupyterLab; `window`: a page on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from course_copy import COURSE, CourseCopy, Window


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[CourseCopy]:
    """The course, copied, released, and open."""
    copy = CourseCopy(tmp_path_factory.mktemp("e2e") / "course")
    try:
        if not (copy.folder / "quizzes").exists():
            copy.run(*COURSE, "release")
        copy.open()
        yield copy
    finally:
        copy.close()


@pytest.fixture
def window(copy: CourseCopy, chromium: Any) -> Iterator[Callable[..., Window]]:
    """window(width=800) opens a window; all are closed when the test ends."""
    opened: list[Window] = []

    def open_one(**how: Any) -> Window:
        opened.append(Window(copy, chromium, **how))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()

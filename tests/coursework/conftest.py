import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `import tiny`

import tiny

from coursework.release import release


@pytest.fixture(scope="session")
def released_once(tmp_path_factory):
    """The tiny course, with its lab and quiz released."""
    course = tiny.build(tmp_path_factory.mktemp("tiny") / "course")
    for what in (tiny.LAB, tiny.QUIZ):
        release(course, what)
    return course


@pytest.fixture
def course(released_once, tmp_path):
    """A copy of the released tiny course, to do anything with."""
    shutil.copytree(released_once.root, tmp_path / "course")
    return tiny.Course(tmp_path / "course")

"""Stock nbgrader and this course's marking give the same marks, cell by cell, to whatever may be handed in.

Labs are found by looking at solutions/source/: reference, stub and named wrong answers of each are marked in
both ways; a few of them, or all with COURSE_WHOLE_CLASS=1. "Stock" is nbgrader without this course's
configuration: its own kernels, no sandbox, no examiner.
"""

import os
import shutil
from pathlib import Path

import pytest

from coursework.demo import build
from coursework.layout import Course
from coursework.marking.run import mark_class
from coursework.marking.sandbox import why_not

COURSE = Course(Path(__file__).resolve().parents[2])
LABS = [what for what in COURSE.assignments() if what.kind == "lab" and COURSE.released(what).exists()]


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not("bubblewrap")), reason=why_not("bubblewrap"))
@pytest.mark.parametrize("what", LABS, ids=lambda what: what.slug)
def test_stock_nbgrader_gives_the_same_marks(what, tmp_path):
    ours = build(COURSE, tmp_path / "ours", [what.slug])
    if not os.environ.get("COURSE_WHOLE_CLASS"):
        handed_in = sorted((ours.solutions / "submitted").iterdir())
        some = ["reference", "stub"]
        wrong = [folder.name for folder in handed_in if folder.name not in some]
        some += wrong[:: max(1, len(wrong) // 2)][:2]
        for folder in [folder for folder in handed_in if folder.name not in some]:
            shutil.rmtree(folder)
    stock = Course(tmp_path / "stock")
    shutil.copytree(ours.root, stock.root)
    marks = {}
    for name, course in (("ours", ours), ("stock", stock)):
        results = mark_class(course, what, stock=name == "stock", workers=2, feedback=False)
        marks[name] = {result.student: result.marks for result in results}
    assert len(marks["ours"]) > 3
    assert all(marks["ours"].values())
    differing = {
        (student, cell): (mine[cell], marks["stock"][student][cell])
        for student, mine in marks["ours"].items()
        for cell in mine
        if mine[cell] != marks["stock"][student][cell]
    }
    assert differing == {}
    assert marks["ours"].keys() == marks["stock"].keys()

"""Where a failed check sends its learner is there: the part, its words in the lab, the notebook's heading."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted(ROOT.glob("solutions/source/lab-*/lab.ipynb"))
LOOK = re.compile(r"""look=f?(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
QUOTED = re.compile(r"(?<![\w`])['‘\"]([^'’\"]+(?:'s [^'’\"]*)?)['’\"](?!\w)")


def plain(text):
    """Without marks and line breaks, in small letters."""
    return " ".join(re.sub(r"[*`\\]", "", text).split()).lower()


def markdown(path):
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def headings(unit):
    (path,) = ROOT.glob(f"notebooks/{unit}-*.ipynb")
    return plain(" | ".join(re.findall(r"^#+ (.*)$", markdown(path), re.M)))


def places(path):
    """The places that its checks name, one by one: "part 2, 'the last first'", "notebook 03, 'Jitter'"."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            joined = re.sub(r'"\s*\n\s*f?"', "", cell.source)  # one string over several lines
            for found in LOOK.finditer(joined):
                yield from (found[1] or found[2]).replace("\\", "").split("; ")


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.parent.name)
def test_what_a_check_points_to_is_there(path):
    text, own = markdown(path), re.search(r"lab-(\d\d)", str(path))[1]
    for place in places(path):
        if part := re.match(r"part (\d+)", place):
            assert re.search(rf"^## (?:Part )?{part[1]}\b", text, re.M), place
            for words in QUOTED.findall(place):
                assert plain(words).rstrip(" …") in plain(text), place
        elif found := re.search(r"notebook (\d\d)?", place):
            for words in QUOTED.findall(place):
                assert plain(words) in headings(found[1] or own), place


def test_places_are_found():
    found = [place for path in LABS for place in places(path)]
    assert sum(place.startswith("part ") and bool(QUOTED.search(place)) for place in found) > 150
    assert sum("notebook" in place and bool(QUOTED.search(place)) for place in found) > 150

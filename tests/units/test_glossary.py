"""The glossary: one cell a letter, terms in order, each with its units; and every link to a term finds it."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "notebooks" / "glossary.ipynb"
TERM = re.compile(r"\*\*(?P<name>[^*]+)\*\* \((?P<units>units? [\d, ]+)\): (?P<text>.+)")
NOTEBOOKS = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("solutions/source/*/*.ipynb")])


def letters():
    """The terms of each letter's cell, as matches of TERM."""
    found = {}
    for cell in nbformat.read(GLOSSARY, as_version=4).cells[1:]:
        heading, *paragraphs = cell.source.split("\n\n")
        assert (heading, cell.id) == (f"## {heading[-1]}", f"letter-{heading[-1]}")
        found[cell.id] = [TERM.fullmatch(paragraph) or pytest.fail(paragraph) for paragraph in paragraphs]
    return found


def every_term():
    return [term for terms in letters().values() for term in terms]


def test_every_term_has_its_units_and_one_to_three_sentences():
    for term in every_term():
        assert all(0 <= int(unit) <= 16 for unit in re.findall(r"\d+", term["units"])), term[0]
        assert 1 <= len(re.findall(r"[.?](?=\s|$)", term["text"])) <= 3, term[0]


def test_the_terms_stand_under_their_letter_in_alphabetical_order():
    for letter, terms in letters().items():
        assert {term["name"][0].upper() for term in terms} == {letter[-1]}
    names = [re.sub(r"[^a-z0-9 ]", "", term["name"].lower()) for term in every_term()]
    assert names == sorted(set(names))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_links_to_terms_find_them(path):
    """By cell and letter: JupyterLab misses headings of a closed notebook, and small cells far down."""
    there = letters()
    for cell in nbformat.read(path, as_version=4).cells:
        for words, target in re.findall(
            r"\[([^\]]+)\]\((?:[./\w-]*glossary\.ipynb)?#([^)\s]+)\)", cell.source
        ):
            letter = target.removeprefix("cell-id=")
            assert letter in there, (
                f"cell {cell.id}: link to a letter, as #cell-id=letter-B, not to #{target}"
            )
            names = [term["name"].lower() for term in there[letter]]
            known = any(words.lower().startswith(name) or name.startswith(words.lower()) for name in names)
            assert known, f"cell {cell.id}: the glossary has no term {words!r} under {letter[-1]}"

"""Numbers that no notebook computes: each numeric key of a quiz is reckoned again, from its question.

And each sum that stands in a text, such as "200 · 7/15 = 93.3", is worked out.
"""

import itertools
import math
import re
from pathlib import Path

import nbformat
import pytest

from coursework import samples
from coursework.layout import Course
from interplay import theory

ROOT = Path(__file__).resolve().parents[2]
COURSE = Course(ROOT)
TEXTS = [*sorted(ROOT.glob("notebooks/*.ipynb")), *sorted(ROOT.glob("solutions/source/*/*.ipynb"))]


def smallest(condition):
    """The smallest whole number from 1 on for which the condition holds."""
    return next(n for n in itertools.count(1) if condition(n))


def percentile(values, share):
    """By nearest rank."""
    return sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]


LAST_TWENTY = [12, 9, 14, 11, 900, 10, 13, 16, 45, 9, 10, 18, 12, 14, 210, 11, 15, 30, 13, 21]


def read_limit_hit():
    """02, question 10: when the call ends; connect .5 s, read 1.5 s, total 4 s."""
    now = 0.3
    for piece in (1.2, 0.9, 1.8, 0.4):
        now += min(piece, 1.5)
        if piece > 1.5:
            return min(now, 4.0)
    return now


def ejectable():
    """07, question 4: the most of 12 that can be dead and lie below the mean less 1.9 deviations."""

    def out(dead):
        well = 1 - dead / 12
        return well - 1.9 * math.sqrt(well * (1 - well)) > 0

    return max(dead for dead in range(1, 12) if out(dead))


def waiting_for_a_stall():
    """06, question 6: 50 a second for a minute; those of the 6 s wait for their end."""
    return percentile([0.002] * 2700 + [6 - n / 50 for n in range(300)], 0.95)


def late_after_a_stall():
    """14, question 10: the requests that took over 20 ms from when they were due."""
    free, late = 0.0, 0
    for n in range(1000):
        due = n * 0.1
        free = max(free, due) + (8.0 if n == 500 else 0.02)
        late += free - due > 0.02 + 1e-9
    return late


KEYS = {
    ("00", 3): lambda: 12 / 40,  # Little's law
    ("01", 1): lambda: percentile(LAST_TWENTY, 0.95),
    ("01", 3): lambda: 1000 / (50 - 45),  # M/M/1: 1 / (μ − λ)
    ("01", 5): lambda: 1e6 * (1 - 0.9995 * 0.999 * (1 - 0.02**2)),
    ("01", 7): lambda: 100 / (4 / 0.1),
    ("02", 2): lambda: (12 / 40 - 0.97 * 0.05) / 0.03,
    ("02", 3): lambda: 50 * 60 * 0.01,
    ("02", 4): lambda: min(500, min(600, 900 - 40 - 30) - 120 - 50),
    ("02", 10): read_limit_hit,
    ("03", 1): lambda: 3 * 1 * 2 * 4,
    ("03", 5): lambda: min(2, 0.1 * 2**5) / 2,
    ("03", 7): lambda: smallest(lambda n: 2 + n / 10 > 5),
    ("04", 1): lambda: 24 / 12,
    ("04", 5): lambda: smallest(lambda slots: theory.erlang_b(slots, 20 * 0.2) <= 0.01),
    ("04", 8): lambda: (0.1**-3 - 1) / (1 - 0.1),
    ("05", 2): lambda: 200 * (1 + 2 + 4) / 15,
    ("05", 5): lambda: 100 / (250 - 50),
    ("06", 1): lambda: next(
        ms
        for ms, slower in [(10, 0.3), (20, 0.1), (40, 0.02), (80, 0.005), (150, 0.001), (400, 0.0001)]
        if (1 - slower) ** 20 >= 0.9
    ),
    ("06", 5): lambda: 1e6 * 0.008 * 0.01,
    ("06", 6): waiting_for_a_stall,
    ("06", 7): lambda: 100 * 0.999**1000,
    ("07", 1): lambda: 0.4 * (2 + 2 + 1),
    ("07", 4): ejectable,
    ("07", 10): lambda: 100 * (3050 + 120 - 50) / 9000,
    ("08", 2): lambda: (12 - 0.8) / 8 * 50,
    ("08", 7): lambda: 40 / 100,
    ("08", 8): lambda: (
        1 + smallest(lambda n: n > 1.8 and math.log(100) * 0.003 / (1 - 600 * 0.003 / n) <= 0.05)
    ),
    ("09", 2): lambda: 600 / (40 - 30),
    ("09", 5): lambda: 4 * 1 / 0.8,
    ("10", 1): lambda: 20 * (5000 - 3600),
    ("10", 4): lambda: (12 + (28 - 12) / 8 - 10) * 60,
    ("10", 7): lambda: 2 * 50 + 30 - 2 * 50,
    ("11", 6): lambda: 40 * 15 * 60,
    ("12", 2): lambda: (1 * 491 + 2 * 450 + 3 * 449 + 4 * 420) / 10_000,
    ("13", 3): lambda: 11.90 - (11.90 - 6.95) / (99 - 99 / 2) * (99 - 30),
    ("14", 3): lambda: max(0.60, 0.45) - max(0.60 - 0.2, 0.45),
    ("14", 6): lambda: 400 * (7 * 10 + 1 * (10 - 4)),
    ("14", 10): late_after_a_stall,
    ("15", 5): lambda: 2 * (7.4 - 6.3),
    ("16", 2): lambda: 100 * 0.98**30,
}

ASKED = {
    (what.slug[:2], question.number): question.arguments
    for what in COURSE.assignments()
    if what.kind == "quiz"
    for question in samples.questions(samples.reference(COURSE, what))
    if question.arguments["kind"] == "numeric"
}


def test_every_numeric_question_is_reckoned_here():
    assert KEYS.keys() == ASKED.keys()


@pytest.mark.parametrize(("unit", "number"), KEYS)
def test_the_key_is_what_its_question_leads_to(unit, number):
    asked, value = ASKED[unit, number], KEYS[unit, number]()
    rounded = 0.5 * 10 ** -len(str(asked["key"]).partition(".")[2])  # the key may be rounded
    assert abs(value - asked["key"]) <= max(1e-9, min(rounded, asked.get("tolerance", 0)))
    others = [number for number in asked["because"] if number != asked["key"]]
    assert all(abs(value - other) > asked.get("tolerance", 0) for other in others)


NUMBER = r"\d+(?:[\s,]\d{3}\b)*(?:\.\d+)?(?:\s?%)?"
TERM = rf"\(*\s*{NUMBER}\s*\)*"
SIGN = "[·×/+−*-]"
NOT_BEFORE = r"(?<![\w.=)·×/+−*-])(?<![=)·×/+−*-] )"  # it began earlier, with a word
NOT_AFTER = rf"(?![\d.]*\d)(?!\s*{SIGN})"
SUM = re.compile(rf"{NOT_BEFORE}({TERM}(?:\s*{SIGN}\s*{TERM})+)\s*=\s*({NUMBER}){NOT_AFTER}")


def worked_out(text):
    """The value of a sum of numbers."""
    text = re.sub(r"(\d)[\s,](?=\d{3}\b)", r"\1", text)
    text = re.sub(r"([\d.]+)\s?%", r"(\1/100)", text)
    return eval(" ".join(text.replace("·", "*").replace("×", "*").replace("−", "-").split()))


def sums(path):
    """Every sum in its markdown, and in what its quiz or its predictions explain: (text, left, right)."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" or re.search(r"question\(|Predict\(", cell.source):
            text = re.sub(r'"\s*\n\s*f?"', "", cell.source)  # one string over several lines
            for found in SUM.finditer(text):
                if found[1].count("(") == found[1].count(")"):
                    yield found[0], found[1], found[2]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_sum_in_a_text_is_right(path):
    for shown, left, right in sums(path):
        digits = len(right.rstrip(" %").partition(".")[2])
        half = 0.5 * 10**-digits / (100 if right.endswith("%") else 1)
        assert abs(worked_out(left) - worked_out(right)) <= half * 1.001, shown


def test_the_sums_are_found():
    found = [shown for path in TEXTS for shown, *_ in sums(path)]
    assert len(found) >= 70

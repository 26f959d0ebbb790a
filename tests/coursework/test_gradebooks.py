"""Gradebooks with the columns that Canvas and Moodle write: marks go in, and nothing else changes."""

import csv
import io
from pathlib import Path

import pytest
import tiny

from coursework.analysis.gradebooks import fill
from coursework.layout import NotFound
from coursework.marking.one import Result

HERE = Path(__file__).parent / "gradebooks"
KNOWN = {"cleo": {"marie.curie@example.edu"}}


def results(*students, lab=60.0, penalty=0.0):
    found = []
    for student in students:
        found.append(Result(student, tiny.LAB, {"double-1": (lab, 60), "count-1": (0, 40)}, penalty=penalty))
        found.append(
            Result(student, tiny.QUIZ, {"question-1": (1, 1), "question-2": (0.5, 1), "question-3": (0, 1)})
        )
    return [*found, Result("damaged", tiny.LAB, None, ["is empty"])]


def rows(content, delimiter=","):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


def changed(before, after):
    """{(first cell, column title): new text}; rows and columns must be the same."""
    assert [len(row) for row in before] == [len(row) for row in after]
    return {
        (old[0], before[0][n]): b
        for old, new in zip(before, after, strict=True)
        for n, (a, b) in enumerate(zip(old, new, strict=True))
        if a != b
    }


def test_canvas_gets_the_marks_scaled_to_its_points_and_nothing_else_changes():
    filled = fill(HERE / "canvas.csv", results("ada", "bob", "cleo", "twin", "zoe", penalty=10), KNOWN)
    before, after = rows((HERE / "canvas.csv").read_bytes()), rows(filled.content)
    assert changed(before, after) == {
        ("Lovelace, Ada", "Lab 99: Tiny (40217)"): "50.00",
        ("Lovelace, Ada", "Quiz 99: Tiny (40218)"): "3.00",
        ("Bell-Ödegård, Bob", "Lab 99: Tiny (40217)"): "50.00",
        ("Bell-Ödegård, Bob", "Quiz 99: Tiny (40218)"): "3.00",
    }
    assert filled.content.startswith(b"\xef\xbb\xbf")
    assert filled.written == 4
    assert set(filled.notes) == {
        "quiz-99-tiny: 3 points are 6 in this file; marks were scaled",
        "twin: 2 rows could be meant, so none was filled",
        "zoe: nobody in the file has this login, number or e-mail address",
        "cleo, lab-99-tiny: is excused there; left so",
        "cleo, quiz-99-tiny: does not have this assignment there; left so",
    }


def test_moodle_gets_points_with_its_decimal_comma_by_number_or_address():
    filled = fill(HERE / "moodle.csv", results("ada", "bob", "cleo"), KNOWN)
    assert filled.kind == "Moodle"
    assert changed(rows((HERE / "moodle.csv").read_bytes()), rows(filled.content)) == {
        (name, title): mark
        for name in ("Ada", "Bob", "Marie")
        for title, mark in (
            ("Assignment: Lab 99: Tiny (Real)", "60,00"),
            ("Quiz: Quiz 99: Tiny (Real)", "1,50"),
        )
    }
    assert filled.notes == []


@pytest.mark.parametrize(("delimiter", "newline"), [(";", "\r\n"), ("\t", "\n")])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_delimiter_line_ends_and_encoding_stay(tmp_path, delimiter, newline, encoding):
    table = rows((HERE / "canvas.csv").read_bytes())
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=newline).writerows(table)
    path = tmp_path / "given.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    text = fill(path, results("ada")).content.decode(encoding)
    assert text.count(newline) == len(table)
    assert ("\r\n" in text) == (newline == "\r\n")
    after = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert set(changed(table, after).values()) == {"60.00", "3.00"}


def test_two_students_for_one_row_are_both_left_out():
    filled = fill(HERE / "canvas.csv", results("ada", "other"), {"other": {"S0001"}})
    assert filled.written == 0
    assert sum("another student has the same row" in note for note in filled.notes) == 2


def test_a_file_that_cannot_be_filled_says_what_to_do(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("name,mark\nada,3\n")
    with pytest.raises(NotFound, match="no gradebook that Canvas or Moodle exported"):
        fill(path, results("ada"))
    path.write_text("Student,ID,SIS Login ID,Section,Lab 98: Other (1),Lab 999 (2)\nA,1,ada,x,,\n")
    with pytest.raises(NotFound, match="Make an assignment in Canvas whose name has “Lab 99”"):
        fill(path, results("ada"))
    path.write_text("")
    with pytest.raises(NotFound, match="has: nothing"):
        fill(path, results("ada"))


def test_two_columns_for_one_assignment_are_told(tmp_path):
    path = tmp_path / "given.csv"
    text = (HERE / "canvas.csv").read_text("utf-8-sig").replace("Essay", "Lab 99 again")
    path.write_text(text)
    filled = fill(path, results("ada"))
    assert filled.written == 1
    assert any("more than one column could be meant" in note for note in filled.notes)

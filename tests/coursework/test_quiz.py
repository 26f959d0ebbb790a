"""Marks and explanations of quiz questions; tests/units/test_quizzes.py tries every real one."""

import pytest

from coursework.quiz import blank, form, mark, unreadable

ABC = {"a": "Because of a <b>.", "b": "Because of b.", "c": "Because of c."}
SINGLE = {"kind": "single", "key": "b", "because": ABC}
SEVERAL = {"kind": "several", "key": {"a", "c"}, "because": ABC}
NUMERIC = {
    "kind": "numeric",
    "key": 63.4,
    "tolerance": 0.05,
    "because": {63.4: "Right so.", 36.6: "The complement."},
}
ORDER = {"kind": "order", "key": ["c", "a", "b"], "because": ABC}
LINE = {"kind": "line", "key": 4, "because": {3: "Line 3 is fine.", 4: "It swallows the error."}}


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("b", SINGLE, 1),
        (" B ", SINGLE, 1),
        ("a", SINGLE, 0),
        (["a", "c"], SEVERAL, 1),
        ({"C", "a "}, SEVERAL, 1),
        (["a", "c", "a"], SEVERAL, 1),
        (["a"], SEVERAL, 0.5),
        (["a", "b", "c"], SEVERAL, 0.5),
        (["a", "b"], SEVERAL, 0),
        (["b"], SEVERAL, 0),
        (63.44, NUMERIC, 1),
        (63.46, NUMERIC, 0),
        (63, NUMERIC, 0),
        (["c", "a", "b"], ORDER, 1),
        (("C", "A", "B"), ORDER, 1),
        (["a", "b", "c"], ORDER, 0),
        (4, LINE, 1),
        (3, LINE, 0),
        (99, LINE, 0),
    ],
)
def test_marks(answer, question, expected):
    assert mark(answer, **question).mark == expected


@pytest.mark.parametrize("question", [SINGLE, SEVERAL, NUMERIC, ORDER, LINE])
@pytest.mark.parametrize("blank", [None, "", "  ", [], ()])
def test_blank_is_not_answered(question, blank):
    verdict = mark(blank, **question)
    assert verdict.mark == 0
    assert verdict.told[0] == ("Not answered.", "")


@pytest.mark.parametrize(
    ("answer", "question", "words"),
    [
        (["a", "c"], SINGLE, "one letter is asked, and ['a', 'c'] is a list"),
        (3, SINGLE, "3 is a number"),
        ("d", SINGLE, "'d' is none of the options a, b, c"),
        ("ac", SEVERAL, "a list of letters is asked"),
        (["a", 3], SEVERAL, "3 is a number"),
        ("0.25", NUMERIC, "a text in quotes"),
        (True, NUMERIC, "True or False"),
        (float("nan"), NUMERIC, "not a number one can compare"),
        (10**400, NUMERIC, "a number is asked"),
        (["a", "b"], ORDER, "each letter must stand in the list once"),
        ("4", LINE, "a text in quotes"),
        (4.5, LINE, "a number"),
    ],
)
def test_a_wrong_type_gets_nothing_and_is_told(answer, question, words):
    verdict = mark(answer, **question)
    assert verdict.mark == 0
    assert "Your answer could not be read:" in verdict.text()
    assert words in verdict.text()
    assert "Write " in verdict.text()


@pytest.mark.parametrize("answer", ["a", "b", None, 3])
def test_every_option_is_explained_whatever_was_answered(answer):
    text = mark(answer, **SINGLE).text()
    assert all(text.count(why) == 1 for why in ABC.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How long? A number, such as `12.5`.", ("numeric", [])),
        ("Which line?\n\nThe number of the line, such as `8`.", ("line", [])),
        ('Why?\n\n* **a.** so\n* **b.** so\n\nOne letter in quotes, such as `"a"`.', ("single", ["a", "b"])),
        ("* **a.** so\n\nAll that are right, as a list of letters, such as `[]`.", ("several", ["a"])),
        ("* **a.** so\n\nA list of all the letters in your order, such as `[]`.", ("order", ["a"])),
        ("What is a number?", None),
    ],
)
def test_the_text_of_a_question_names_the_form_of_the_answer(text, expected):
    assert form(text) == expected


@pytest.mark.parametrize("question", [SINGLE, SEVERAL, NUMERIC, ORDER, LINE])
@pytest.mark.parametrize(
    "answer",
    [
        *("a", "b", "d", "a,c", "abc", "63.4", 4, 3, 63.4, 0.5, True, None, [], {"a": 1}, float("nan")),
        *(["a"], ["C"], ["c", "a", "b"], ["a", "a"], ["a,c"], [["a"]]),
    ],
)
def test_what_cannot_be_marked_is_what_the_marking_cannot_read(answer, question):
    options = list(question["because"])
    why = unreadable(
        answer, question["kind"], options if question["kind"] in ("single", "several", "order") else []
    )
    verdict = mark(answer, **question)
    assert bool(why) == ("could not be read" in verdict.text())
    assert not (why and verdict.mark)
    if blank(answer):
        assert why == ""


def test_a_common_wrong_number_is_recognised():
    assert "You chose 36.6. The complement." in mark(36.62, **NUMERIC).text()


def test_the_page_is_escaped():
    page = mark("<script>", **SINGLE).html()
    assert "<script>" not in page
    assert "&lt;b&gt;" in page


def test_code_in_an_explanation_is_shown_as_code():
    page = mark(
        "a", kind="single", key="a", because={"a": "`two` becomes `a < b`.", "b": "One ` alone."}
    ).html()
    assert "<code>two</code> becomes <code>a &lt; b</code>." in page
    assert "One ` alone." in page


def test_an_authors_slips_are_refused():
    with pytest.raises(ValueError, match="kind"):
        mark("a", kind="multiple", key="a", because=ABC)
    with pytest.raises(ValueError, match="explain"):
        mark("a", kind="single", key="d", because=ABC)

"""The feedback page: parts by name, nothing left over, links that lead somewhere, for every reader."""

import re
import time
from itertools import pairwise

import nbformat
import pytest
import tiny

from coursework.marking.cleaning import clean, inside
from coursework.marking.feedback import Compiled
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.run import mark_class
from coursework.marking.tidy import Tidy

WRONG = {"double": "def double(x):\n    return 6", "count": "def count(state, event):\n    return boom"}


@pytest.fixture
def pages(course):
    """The pages of a lab, and of a quiz, with headings and links, in both of which something is wrong."""
    lab = tiny.edit(nbformat.read(course.released(tiny.LAB), as_version=4), **WRONG)
    texts = [
        "# A tiny lab\n\n[unit](../../notebooks/99-tiny.ipynb), [web](https://example.org)",
        "## 1 · Twice",
    ]
    lab.cells[0].source = texts[0]
    for index, text in ((1, texts[1]), (4, "## 2 · Count")):
        lab.cells.insert(index, nbformat.v4.new_markdown_cell(text))
    tiny.submit(course, tiny.LAB, "ada", lab)
    quiz = tiny.edit(tiny.quiz(), answer_1='answer_1 = "a"')
    for cell in quiz.cells:
        cell.source = re.sub(r"^Question", "## Question", cell.source)
    tiny.submit(course, tiny.QUIZ, "ada", quiz)
    found = {}
    for what in (tiny.LAB, tiny.QUIZ):
        (result,) = mark_class(course, what)
        assert not result.problems
        path = course.solutions / "feedback" / "ada" / what.name / f"{what.kind}.html"
        found[what.kind] = path.read_text()
    return found


def plain(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_summary_names_each_part_its_mark_and_what_failed(pages):
    summary = plain(pages["lab"].split("<nav")[1].split("</nav>")[0])
    assert "1 · Twice double 0 / 60 1 of 2 checks failed any number is doubled" in summary
    assert "2 · Count count 0 / 40 2 of 2 checks failed" in summary
    assert "Test cell" not in pages["lab"]
    summary = plain(pages["quiz"].split("<nav")[1].split("</nav>")[0])
    assert "Question 1 0 / 1 not right Question 2 1 / 1 right" in summary
    for kind in pages:  # and each entry leads to its part
        for target in re.findall(r'href="#([^"]+)"', pages[kind]):
            assert f'id="{target}"' in pages[kind]


def test_a_quiz_shows_no_leftover_import_and_no_bare_mark(pages):
    assert "import" not in plain(pages["quiz"])
    assert "<pre>1.0</pre>" not in pages["quiz"]
    assert "Why not a &lt;b&gt;." in pages["quiz"]


def test_only_links_that_lead_somewhere_are_links(pages):
    assert "<a>unit</a>" in pages["lab"]
    assert '<a href="https://example.org">web</a>' in pages["lab"]


def test_headings_landmarks_and_words_for_pictures(pages):
    for page in pages.values():
        levels = [int(n) for n in re.findall(r"<h([1-6])\b", page)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(below <= above + 1 for above, below in pairwise(levels)), levels
        for landmark in ("<header>", "<nav ", "<main "):
            assert page.count(landmark) == 1
        assert '<html lang="en">' in page
        assert re.findall(r"<img(?![^>]*alt=\"[^\"]+)", page) == []
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_a_comment_of_the_instructor_is_shown_and_nbgraders_own_is_not(course):
    from nbgrader.api import Gradebook

    tiny.submit(course, tiny.LAB, "ada", nbformat.read(course.released(tiny.LAB), as_version=4))
    list(mark_class(course, tiny.LAB))
    page = course.solutions / "feedback" / "ada" / tiny.LAB.name / "lab.html"
    assert "No response" not in page.read_text()
    assert "not written yet" in page.read_text()
    app = Nbgrader(course)
    with Gradebook(app.coursedir.db_url, app.coursedir.course_id) as gradebook:
        gradebook.find_comment("double", "lab", tiny.LAB.name, "ada").manual_comment = "Come and **see** me."
        gradebook.db.commit()
    assert app.feedback(tiny.LAB, "ada").ok
    assert "<strong>see</strong>" in page.read_text()
    assert 'href="#comment-double"' in page.read_text()


def test_only_pictures_in_the_page_itself_are_shown():
    assert "example" not in clean('<img src="https://example.org/who-reads-this.png" alt="x">')
    assert "src" not in clean('<img src="drawn.png">')
    assert "src" in clean('<img src="data:image/jpeg;base64,/9j/4AA=" alt="x">')


def test_headings_of_a_notebook_go_below_the_title_of_the_page():
    assert inside('<h1 id="a">A</h1><h6>b</h6><img src="x">') == (
        '<h2 id="a">A</h2><h6>b</h6><img alt="A picture without a description" src="x">'
    )


def test_templates_are_compiled_once_in_a_process(course):
    """Compiling was half of the time: a second page must not compile, and come in a fraction of a second."""
    tiny.submit(course, tiny.LAB, "ada", nbformat.read(course.released(tiny.LAB), as_version=4))
    list(mark_class(course, tiny.LAB))
    app, kept = Nbgrader(course), dict(Compiled.kept)
    assert kept
    start = time.process_time()
    assert app.feedback(tiny.LAB, "ada").ok
    assert time.process_time() - start < 0.5
    assert Compiled.kept == kept


def test_names_of_parts_come_from_the_assignment_and_not_from_the_learner():
    notebook = tiny.lab()
    locked = {"grade": False, "solution": False, "locked": True, "task": False, "grade_id": "t"}
    notebook.cells[0].metadata["nbgrader"] = locked
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell("# My own title"))
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata.nbgrader["score"] = 0
    resources = {"nbgrader": {}}
    Tidy().preprocess(notebook, resources)
    assert {part["title"] for part in resources["nbgrader"]["parts"]} == {"A tiny lab"}

"""An instructor in formgrader: generates both assignments, autogrades submissions, and reads the marks."""

from __future__ import annotations

import nbformat
import pytest
from course_copy import Window, hostile, solution, solved

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BOTH = ("lab-03-retries", "quiz-03-retries")
MARKS = {("ada", "lab-03-retries"): "100 / 100", ("ada", "quiz-03-retries"): "10 / 10"}
MARKS |= {("eve", "lab-03-retries"): "15 / 100", ("eve", "quiz-03-retries"): "1 / 10"}


@pytest.fixture(scope="module")
def desk(copy, chromium):
    """Formgrader, opened from the menu of JupyterLab: (the window, the frame that formgrader stands in)."""
    window = Window(copy, chromium, width=1400)
    window.page.goto(copy.address)
    window.idle()
    window.page.get_by_role("menuitem", name="Nbgrader").click()
    window.page.get_by_role("menuitem", name="Formgrader").click()
    frame = window.page.frame_locator("iframe[src*='formgrader']")
    frame.get_by_role("link", name=BOTH[0]).wait_for()
    yield window, frame
    window.close()


def test_both_assignments_are_listed(desk):
    window, frame = desk
    assert {*BOTH} <= {*frame.locator("td.name").all_inner_texts()}
    assert frame.get_by_text("There was an error").count() == 0
    window.picture("formgrader")


@pytest.mark.parametrize("name", BOTH)
def test_generate_publishes_what_learners_get(desk, copy, name):
    _, frame = desk
    kind, folder = ("lab", "labs") if name.startswith("lab") else ("quiz", "quizzes")
    released = copy.folder / folder / "03-retries" / f"{kind}.ipynb"
    released.unlink()
    frame.locator("tr", has_text=name).locator("td.assign a").click()
    assert "Successfully created" in _modal(frame)
    assert released.exists()
    text = released.read_text()
    assert "HIDDEN" not in text
    assert "question(" not in text


def test_submissions_are_autograded_and_the_marks_of_both_are_shown(desk, copy):
    window, frame = desk
    for name in BOTH:
        for student, notebook in (("ada", solved(name)), ("eve", _eve(copy, name))):
            path = copy.folder / "solutions/submitted" / student / name / f"{name.split('-')[0]}.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(notebook, path)
    for name in BOTH:
        frame.get_by_role("link", name="Manage Assignments").first.click()
        frame.locator("tr", has_text=name).locator("td.num-submissions a", has_text="2").click()
        for student in ("ada", "eve"):
            row = frame.locator("tr", has=frame.locator("td.student-id", has_text=student))
            row.get_by_text("needs autograding").wait_for()
            row.locator("td.autograde a").click()
            said = _modal(frame)
            assert "Successfully autograded" in said, said
            row.get_by_text("graded", exact=True).wait_for()
            assert row.locator("td.score").inner_text() == MARKS[student, name]
        window.picture(f"formgrader-{name}")

    frame.get_by_role("link", name="Manual Grading").first.click()
    for name in BOTH:
        row = frame.locator("tr", has=frame.get_by_role("link", name=name))
        means = {"lab-03-retries": "57.5 / 100", "quiz-03-retries": "5.5 / 10"}
        assert row.locator("td.score").inner_text() == means[name]
        assert row.locator("td.num-submissions").inner_text() == "2"
    window.picture("formgrader-gradebook")


def test_what_a_learner_has_written_does_not_run_in_formgrader(desk, copy):
    window, frame = desk
    for name in BOTH:
        frame.get_by_role("link", name="Manual Grading").first.click()
        frame.get_by_role("link", name=name).click()
        frame.get_by_role("link", name="lab" if name.startswith("lab") else "quiz", exact=True).click()
        row = frame.locator("tbody tr", has_text=MARKS["eve", name])
        row.get_by_role("link").first.click()
        frame.get_by_text("Notes of mine").wait_for(state="attached")
        window.page.wait_for_timeout(500)
        window.picture(f"formgrader-reads-{name}")
        inside = next(f for f in window.page.frames if "/formgrader/submissions/" in f.url)
        assert inside.evaluate("window.hacked") is None
        assert window.page.evaluate("window.hacked") is None
        assert inside.locator("body").is_visible()
        assert inside.locator("h1").count() == 1
    assert window.dialogs == []


def _modal(frame) -> str:
    """What the dialog says; it is closed."""
    modal = frame.locator(".modal.in")
    modal.wait_for()
    said = modal.inner_text()
    modal.locator(".modal-footer button").click()
    modal.wait_for(state="detached")
    return str(said)


def _eve(copy, name):
    """One part right, the others blank, and cells that attack the reader."""
    kind, folder = ("lab", "labs") if name.startswith("lab") else ("quiz", "quizzes")
    notebook = nbformat.read(copy.folder / folder / "03-retries" / f"{kind}.ipynb", as_version=4)
    answered = {"lab-03-retries": "full_jitter", "quiz-03-retries": "answer_1"}[name]
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == answered:
            cell.source = solution(name, answered)
    return hostile(notebook)

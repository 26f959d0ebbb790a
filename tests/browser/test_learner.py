"""A learner's way through unit 03 in Chromium: open, look, write, check, hand in, read the feedback."""

from __future__ import annotations

import re
import shutil
import time
import tomllib
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from course_copy import (
    CONTENT,
    COURSE,
    HOSTILE,
    HOSTILE_CODE,
    HOSTILE_MARKDOWN,
    NBGRADER,
    PATIENCE,
    ROOT,
    Window,
    solution,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LAB, QUIZ = "work/03-retries/lab.ipynb", "work/03-retries/quiz.ipynb"
WRONG = ROOT / "solutions/wrong/03-retries/budget_never_drains.toml"


@pytest.fixture(scope="module")
def lab(copy, chromium):
    """work/03-retries/lab.ipynb in a window, run as it was handed out; `before` are its outputs then."""
    window = Window(copy, chromium)
    window.go(LAB)
    window.run_all()
    tests = [c.metadata.nbgrader.grade_id for c in copy.notebook(LAB).cells if _is_test(c)]
    before = {name: window.output(name) for name in tests}
    yield SimpleNamespace(window=window, before=before)
    window.close()


@pytest.fixture(scope="module")
def worked(lab):
    """The lab with part 1 right, part 2 wrong, and cells of the learner's own that attack the reader."""
    window = lab.window
    window.write("full_jitter", solution("lab-03-retries", "full_jitter"))
    window.write("budget", tomllib.loads(WRONG.read_text())["cells"]["budget"])
    window.run_all()
    window.page.evaluate(  # not run here, where they may do as they like, but when they are marked
        f"""([markdown, code]) => {{
            const book = {CONTENT}.model.sharedModel;
            book.addCell({{cell_type: 'markdown', source: markdown}});
            book.addCell({{cell_type: 'code', source: code}});
        }}""",
        [HOSTILE_MARKDOWN, HOSTILE_CODE],
    )
    window.save()
    return window


@pytest.fixture(scope="module")
def handed_in(worked, copy, chromium):
    """Lab and quiz, handed in from a terminal of JupyterLab, and marked with plain nbgrader."""
    quiz = Window(copy, chromium)
    quiz.go(QUIZ)
    quiz.write("answer_1", solution("quiz-03-retries", "answer_1"))
    quiz.write("answer_2", 'answer_2 = "a"')
    quiz.write("answer_3", 'answer_3 = "B, I think"')
    quiz.write("answer_4", f"answer_4 = {HOSTILE!r}")
    quiz.run_all()
    quiz.save()

    quiz.command("terminal:create-new")
    quiz.page.locator(".jp-Terminal .xterm").click()
    quiz.page.wait_for_timeout(2000)
    quiz.page.keyboard.type("course submit 03 --as ada > work/said.txt 2>&1; echo done >> work/said.txt\n")
    said = copy.folder / "work/said.txt"
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end and not (said.exists() and "done" in said.read_text()):
        time.sleep(0.2)
    quiz.picture("terminal")
    quiz.close()

    packed = copy.folder / "work/ada_03-retries.zip"
    assert packed.exists(), said.read_text() if said.exists() else "the terminal did nothing"
    logs = {}
    copy.run(*COURSE, "release", "03")
    for name in ("lab-03-retries", "quiz-03-retries"):
        archive = copy.folder / "solutions/downloaded" / name / "archive"
        archive.mkdir(parents=True)
        shutil.copy(packed, archive)
        logs[name] = "".join(
            copy.run(*NBGRADER, step, name) for step in ("zip_collect", "autograde", "generate_feedback")
        )
    pages = copy.folder / "solutions/feedback/ada"
    return SimpleNamespace(
        said=said.read_text(),
        lab=pages / "lab-03-retries/lab.html",
        quiz=pages / "quiz-03-retries/quiz.html",
        logs=logs,
    )


@pytest.fixture
def read(copy, window):
    """read(path) opens a feedback page from its file, without a network, and gives back the window."""

    def read_one(path: Path, **how) -> Window:
        one = window(**how)
        one.context.set_offline(True)
        one.page.goto(path.as_uri())
        one.page.wait_for_timeout(500)
        return one

    return read_one


# -- looking --------------------------------------------------------------------------------------


def test_the_start_page_leads_to_the_lab_and_the_quiz_in_work(copy, window):
    one = window()
    one.page.goto(copy.address)
    one.page.wait_for_selector(".jp-Notebook .jp-Cell")
    one.idle()
    assert one.page.locator(".jp-Notebook h1").first.inner_text().startswith("Start here")
    contents = one.page.locator(".jp-TableOfContents")
    contents.get_by_text("See it break").wait_for()
    box, page = contents.bounding_box(), one.page.locator(".jp-NotebookPanel").bounding_box()
    assert box["x"] + box["width"] <= page["x"] + 1, "the contents stand beside the page"
    one.picture("start-page")

    one.run_cells(3)
    for kind in ("lab", "quiz"):
        row = one.page.locator("tr", has_text="Retries").filter(has=one.page.get_by_role("link", name=kind))
        row.get_by_role("link", name=kind).click()
        one.wait(
            "path => window.jupyterapp.shell.currentWidget?.context?.path === path",
            f"work/03-retries/{kind}.ipynb",
        )
        one.command("application:activate-previous-tab")
        one.wait("() => window.jupyterapp.shell.currentWidget?.context?.path.startsWith('notebooks/00')")
        one.picture("start-page-run")
    assert one.outside == []
    assert one.errors == []


def test_a_slider_of_the_first_player_is_moved_by_keyboard(copy, window):
    one = window()
    one.go("notebooks/03-retries.ipynb")
    cells = copy.notebook("notebooks/03-retries.ipynb").cells
    one.run_cells(next(i for i, cell in enumerate(cells) if "Player(" in cell.source) + 1)
    player = one.page.locator(".ip-player").first
    one.wait("() => document.querySelector('.ip-player')?.dataset.inFlight !== undefined")

    player.get_by_role("slider", name="Time").focus()
    one.page.keyboard.press("Home")
    for _ in range(19):
        one.page.keyboard.press("PageUp")
    before = _seen(player)
    assert before["time"] == "19"
    assert int(before["inFlight"]) > 0

    player.get_by_role("slider", name="Load").focus()
    for _ in range(3):
        one.page.keyboard.press("ArrowLeft")
    assert player.get_by_role("slider", name="Load").input_value() == "19"
    one.wait("n => document.querySelector('.ip-player').dataset.number !== n", before["number"])
    after = _seen(player)
    assert after["time"] == before["time"]
    assert after["picture"] != before["picture"]
    one.picture("player")
    assert one.outside == []
    assert one.errors == []


def _seen(player):
    """What the player says of itself, and the picture on its stage."""
    return player.evaluate("e => ({...e.dataset, picture: e.querySelector('canvas').toDataURL()})")


# -- writing --------------------------------------------------------------------------------------


def test_an_untouched_lab_says_of_each_part_that_it_is_not_written_yet(lab):
    assert len(lab.before) >= 6
    for name, said in lab.before.items():
        assert f"{name.rsplit('-', 1)[0]} is not written yet" in said
        assert "Traceback" not in said


def test_a_right_answer_passes_and_a_wrong_one_is_told_what_and_why(worked):
    assert re.search(r"passed", worked.output("full_jitter-1"))
    said = worked.output("budget-1")
    for word in ("observed", "expected", "likely cause", "look"):
        assert word in said.lower()
    assert "tokens are taken for a fresh client" in " ".join(said.split())
    assert "retryable is not written yet" in worked.output("retryable-1")
    worked.show("budget-1")
    worked.page.mouse.move(700, 500)
    worked.page.mouse.wheel(0, 500)
    worked.picture("lab-failing")
    assert worked.outside == []


def test_the_validate_button_says_what_failed(worked):
    worked.page.get_by_role("button", name="Validate").click()
    dialog = worked.page.get_by_role("dialog")
    dialog.get_by_text("Validation Results").wait_for()
    said = dialog.inner_text()
    worked.picture("validate")
    assert "The following" in said
    assert "budget" in said
    assert "likely cause" in said.lower()
    assert "full_jitter is not written" not in said
    assert "def full_jitter" not in said
    dialog.get_by_role("button", name="Ok").click()


def test_course_check_says_the_same_in_a_terminal(worked, copy):
    said = copy.run(*COURSE, "check", "03", expect=1)
    released = [c for c in copy.notebook(LAB).cells if _is_test(c)]
    assert f"visible checks: not all passed (1 of {len(released)} test cells)" in said
    assert "full_jitter-1" not in said
    assert "likely cause" in said.lower()
    assert "quiz: " in said


# -- handing in, and the feedback -------------------------------------------------------------------


def test_one_file_is_handed_in_from_a_terminal_of_jupyterlab(handed_in, copy):
    assert "Hand in this file:" in handed_in.said
    assert "4 parts of the lab are not written yet" in handed_in.said
    for name, notebook in (("lab-03-retries", "lab.ipynb"), ("quiz-03-retries", "quiz.ipynb")):
        assert [p.name for p in (copy.folder / "solutions/submitted/ada" / name).iterdir()] == [notebook]
        assert "ERROR" not in handed_in.logs[name]


def test_the_feedback_on_the_lab(handed_in, read, copy):
    one = read(handed_in.lab)
    said = one.page.locator("body").inner_text()
    assert re.search(r"\b15(\.0)?\s*/\s*100(\.0)?\b", said), "the mark: part 1 only"
    assert "tokens are taken for a fresh client" in re.sub(r"\s+", " ", said)
    assert "is not written yet" in said
    assert "Notes of mine" in said
    assert "printed by me" in said
    _is_safe(one, handed_in.lab)
    _shows_nothing_hidden(handed_in.lab, "lab-03-retries")
    assert _images(one) >= 1
    one.picture("feedback-lab", full_page=True)
    one.page.set_viewport_size({"width": 480, "height": 900})
    one.picture("feedback-lab-narrow", full_page=True)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 480


def test_the_feedback_on_the_quiz(handed_in, read, copy):
    one = read(handed_in.quiz)
    said = one.page.locator("body").inner_text()
    assert re.search(r"\b1(\.0)?\s*/\s*10(\.0)?\b", said), "the mark: question 1 only"
    assert "¶" not in said
    told = re.sub(r"\s+", " ", said)
    for phrase in ("3 · 1 · 2 · 4. Layers multiply", "Jitter parts clients that are in step", "80 · 2 = 160"):
        assert phrase in told
    assert "B, I think" in told
    _is_safe(one, handed_in.quiz)
    _shows_nothing_hidden(handed_in.quiz, "quiz-03-retries")
    assert _images(one) >= 2
    one.picture("feedback-quiz", full_page=True)
    one.page.set_viewport_size({"width": 480, "height": 900})
    one.picture("feedback-quiz-narrow", full_page=True)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 480


def _is_safe(one: Window, path: Path) -> None:
    """Nothing of the learner's has run, and nothing could when the page is clicked."""
    for link in one.page.get_by_text("link of mine").all():
        link.click(no_wait_after=True)
    assert one.page.evaluate("window.hacked") is None
    assert one.dialogs == []
    assert one.errors == []
    assert one.outside == []
    assert one.page.url == path.as_uri()
    dangerous = "script, iframe, object, embed, link, [onerror], [onload], a[href^='javascript']"
    assert one.page.locator(dangerous).count() == 0
    assert one.page.locator("body").is_visible()
    assert "BEGIN HIDDEN" not in path.read_text()


def _shows_nothing_hidden(path: Path, name: str) -> None:
    """No line of a hidden test is on the page (its messages may be: they are the feedback)."""
    shown = {line.strip() for line in unescape(re.sub(r"<[^>]+>", "", path.read_text())).split("\n")}
    cells = nbformat.read(next((ROOT / "solutions/source" / name).glob("*.ipynb")), as_version=4).cells
    hidden, visible = [], []
    for cell in filter(_is_test, cells):
        inside = False
        for line in map(str.strip, cell.source.split("\n")):
            inside = (inside or "BEGIN HIDDEN" in line) and "END HIDDEN" not in line
            (hidden if inside else visible).append(line)
    code = re.compile(r"(expect\.|for |if |return |given = |question\(|kind=|key=|[a-z_]+ = )")
    secret = [line for line in hidden if code.match(line) and line[-1] != "(" and line not in visible]
    assert len(secret) > 10
    assert shown.isdisjoint(secret)


def _images(one: Window) -> int:
    """Every image is there, and says in words what it shows."""
    images = one.page.locator("img").evaluate_all(  # as far as the learner's own cells
        """all => {
            const texts = [...document.querySelectorAll('p')];
            const mine = texts.find(p => p.textContent.startsWith('Notes of mine')), before = 2;
            return all.filter(e => !mine || mine.compareDocumentPosition(e) & before)
                      .map(e => [e.alt, e.naturalWidth]);
        }"""
    )
    for alt, width in images:
        assert alt.strip()
        assert "No description has been provided" not in alt
        assert width > 0, alt
    return len(images)


def _is_test(cell) -> bool:
    marked = cell.metadata.get("nbgrader", {})
    return bool(marked.get("grade") and not marked.get("solution"))

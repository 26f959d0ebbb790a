"""A feedback page and the page of the class in Chromium: contrast, keyboard, narrow screens, no network."""

import nbformat
import pytest
import tiny

from coursework.analysis.page import about, page
from coursework.marking.run import mark_class

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WRONG = {
    "double": "def double(x):\n    return 6  # always\nprint('\\x1b[31mred')",
    "count": "def count(state, event):\n    return {'state': {'seen': 0}, 'actions': ['allow']}",
}

CONTRAST = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.classList.contains('skip')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push([e.outerHTML.slice(0, 80), ratio.toFixed(2)]);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def pages(released_once, tmp_path_factory):
    """The files of the two pages."""
    import shutil

    root = tmp_path_factory.mktemp("pages") / "course"
    shutil.copytree(released_once.root, root)
    course = tiny.Course(root)
    notebook = tiny.edit(nbformat.read(course.released(tiny.LAB), as_version=4), **WRONG)
    table = "| a long head of a column | another |\n|---|---|\n| `a_name_that_has_no_end_at_all` | x |"
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(f"## Mine\n\n{table}\n\n[dead](../x.ipynb)"))
    tiny.submit(course, tiny.LAB, "ada", notebook)
    tiny.submit(course, tiny.QUIZ, "ada", tiny.edit(tiny.quiz(), answer_1='answer_1 = "a"'))
    results = [r for what in (tiny.LAB, tiny.QUIZ) for r in mark_class(course, what)]
    assert [problem for result in results for problem in result.problems] == []
    (root / "class.html").write_text(page(about(course, results)), encoding="utf-8")
    return {
        "lab": course.solutions / "feedback" / "ada" / tiny.LAB.name / "lab.html",
        "quiz": course.solutions / "feedback" / "ada" / tiny.QUIZ.name / "quiz.html",
        "class": root / "class.html",
    }


@pytest.fixture(params=["lab", "quiz", "class"])
def file(request, pages):
    return pages[request.param].as_uri()


def opened(chromium, file, **how):
    context = chromium.new_context(**how)
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    shown = context.new_page()
    shown.goto(file)
    assert [url for url in asked if url != file and not url.startswith("data:")] == []
    return shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(chromium, file, scheme):
    shown = opened(chromium, file, color_scheme=scheme)
    dark = shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
    assert dark == (scheme == "dark")
    assert shown.evaluate(CONTRAST) == []
    shown.context.close()


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_sticks_out_of_the_page(chromium, file, width):
    shown = opened(chromium, file, viewport={"width": width, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    shown.context.close()


def test_the_keyboard_leads_past_the_list_and_along_it(chromium, file):
    shown = opened(chromium, file)
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"
    assert shown.evaluate("document.activeElement.getBoundingClientRect().x") >= 0, "it can be seen now"
    for link in shown.locator("nav a").all():
        shown.keyboard.press("Tab")
        assert link.evaluate("e => e === document.activeElement")
        assert link.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    shown.keyboard.press("Enter")
    target = shown.evaluate("location.hash.slice(1)")
    assert shown.locator(f"[id='{target}']").is_visible()
    shown.context.close()


def test_pictures_are_there_and_told(chromium, pages):
    for name, least in (("lab", 1), ("class", 4)):
        shown = opened(chromium, pages[name].as_uri())
        found = shown.locator("img").evaluate_all(
            "all => all.map(e => [e.alt.length > 20, e.naturalWidth > 50])"
        )
        assert len(found) >= least
        assert all(map(all, found))
        shown.context.close()

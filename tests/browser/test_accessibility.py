"""The pages that learners see most: names, headings, pictures in words; at two widths, in two themes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from course_copy import Window

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "notebooks/00-start-here.ipynb": "Player(",
    "notebooks/03-retries.ipynb": "Player(",
    "work/03-retries/lab.ipynb": "checks.done()",
    "work/03-retries/quiz.ipynb": "question",
}
"""Each page, and which cell it is run up to: the first with this text."""

CONTROLS = {"button", "slider", "combobox", "textbox", "checkbox", "radio", "link", "spinbutton", "tab"}
OURS = ".jp-Notebook .jp-RenderedMarkdown, .jp-Notebook .jp-OutputArea-output"


@pytest.fixture(scope="module", params=PAGES)
def page(copy, chromium, request):
    """One of the pages, with its first cells run."""
    window = Window(copy, chromium)
    window.go(request.param)
    window.attach_all()
    cells = copy.notebook(request.param).cells
    wanted = PAGES[request.param]
    window.run_cells(next(i for i, cell in enumerate(cells) if wanted in cell.source) + 1)
    if wanted == "Player(":
        window.wait("() => document.querySelector('.ip-player')?.dataset.inFlight !== undefined")
    window.name = request.param.replace("/", "-").removesuffix(".ipynb")
    yield window
    window.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_a_page_can_be_read_by_everybody(page, width, dark):
    page.page.set_viewport_size({"width": width, "height": 900})
    page.theme(dark)
    page.page.wait_for_timeout(500)
    tree = _accessibility(page)

    headings = [(int(_level(node)), _name(node)) for node in tree if _role(node) == "heading"]
    assert headings[0][0] == 1
    assert [level for level, _ in headings].count(1) == 1
    for (above, _), (level, name) in pairwise(headings):
        # the start page has small headings before its first part; parts alone are level 2
        assert level <= above + 1 or (above == 1 and "00" in page.name), f"{name}: {level} under {above}"
    assert all(name for _, name in headings)

    controls = [(_role(node), _name(node)) for node in tree if _role(node) in CONTROLS]
    assert len(controls) >= 2
    assert [control for control in controls if not control[1]] == []

    pictures = page.page.locator(f":is({OURS}) img").evaluate_all(
        "all => all.map(e => [e.alt, e.naturalWidth])"
    )
    assert [picture for picture in pictures if not picture[0].strip() or not picture[1]] == []

    wide = page.page.locator(OURS).evaluate_all(
        "all => all.filter(e => getComputedStyle(e).overflowX === 'visible')"
        "          .filter(e => e.scrollWidth > e.clientWidth + 2).map(e => e.textContent.slice(0, 80))"
    )
    assert wide == [], "it sticks out of its cell"
    assert page.errors == []
    assert page.outside == []
    page.picture(f"{page.name}-{width}-{'dark' if dark else 'light'}")


def _accessibility(window: Window) -> list[dict[str, Any]]:
    """What a screen reader is told of our texts and outputs (not of JupyterLab around them), in order."""
    session = window.context.new_cdp_session(window.page)
    session.send("Accessibility.enable")
    root = session.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    found = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": OURS})["nodeIds"]
    nodes: list[dict[str, Any]] = []
    for one in found:
        nodes += session.send("Accessibility.queryAXTree", {"nodeId": one})["nodes"]
    session.detach()
    return [node for node in nodes if not node.get("ignored")]


def _role(node: dict[str, Any]) -> str:
    return str(node.get("role", {}).get("value", ""))


def _name(node: dict[str, Any]) -> str:
    return str(node.get("name", {}).get("value", "")).strip()


def _level(node: dict[str, Any]) -> int:
    return next(p["value"]["value"] for p in node["properties"] if p["name"] == "level")

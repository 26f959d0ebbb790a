"""Queues, logs and found schedules in JupyterLab: cards say what the trace says, and schedules replay."""

import pytest
from messages_model import find, messages
from test_in_browser import CONTRAST, HERE, View, counts
from test_messages import gauges, place

from interplay.player.page import PLAYER, script
from interplay.trace import END, FIRST_GROUP

pytestmark = pytest.mark.browser

HEAD = f"""import sys; sys.path.insert(0, {str(HERE)!r})
from messages_model import *
from interplay.player import *
"""
SHOP = HEAD + 'Player(messages, until=30, controls=[Slider("load", "Load", 5, 60, value=20)])'
FOUND = HEAD + 'found = find()\nPlayer(found.replay, until=5, compare={"no fault": {"faults": False}})'
TIMES = (0.7, 3.8, 11.9, 18.4, 29.9)


def card(view, name):
    return view.root.locator(f".ip-card[aria-label^='{name},']")


def test_queue_and_log_show_what_the_trace_says(open_notebook):
    view = View(open_notebook("messages.ipynb", [SHOP]))
    for load in (20, 33):
        if load != 20:
            view.slide("Load", load)
        run = messages(load=load).run(until=30)
        node = run.trace.node("facts")
        for t in TIMES:
            view.scrub(t)
            assert view.in_flight() == [counts(run, t)]
            mail = card(view, "mail")
            shown = [int(mail.get_attribute(f"data-{name}")) for name in ("ready", "leased", "dead")]
            assert shown == gauges(run, "mail", t)
            assert f"{shown[0]} ready" in mail.inner_text()
            facts, at = card(view, "facts"), t + 1e-6
            ends = [place(run.trace, node, p, END, at)[0] for p in range(4)]
            places = [place(run.trace, node, p, FIRST_GROUP, at)[0] for p in range(4)]
            assert facts.get_attribute("data-ends") == ",".join(map(str, ends))
            assert facts.get_attribute("data-places") == ",".join(map(str, places))
            behind = sum(ends) - sum(places)
            assert ("analytics: " + (f"{behind} behind" if behind else "all read")) in facts.inner_text()
            said = view.root.locator(".ip-truth").inner_text()
            assert not behind or f"analytics is {behind} record" in said
    assert "topic" in card(view, "placed").inner_text()
    assert view.notebook.errors == []


def test_a_found_schedule_replays_message_by_message(open_notebook):
    view = View(open_notebook("found.ipynb", [FOUND]))
    said = view.root.locator(".ip-truth").inner_text
    assert view.time() == 0
    assert view.root.get_by_label("Speed").input_value() == "0"
    assert view.root.locator(".ip-clock").inner_text() == "0.000 s"
    assert "on the way: order from web to orders" in said()
    view.press("One message on")
    assert view.time() == pytest.approx(0.001)
    assert said().startswith("At 0.001 s orders is crashed; on the way: charge from orders to payments.")
    assert view.root.locator("[aria-label=orders]").get_attribute("data-up") == "0"
    view.press("Next moment")
    assert view.time() == pytest.approx(0.002)
    moments = view.root.get_by_label("Moments").inner_text()
    assert "orders crashes before commit, while it handles order" in moments
    assert "payments: writes charged: 1 = 10" in moments
    # Play takes as long from one thing that happens to the next, be it a millisecond or a second.
    view.root.get_by_label("Time", exact=True).focus()
    view.page.keyboard.press("ArrowLeft")
    view.page.keyboard.press("ArrowLeft")
    assert view.time() == 0
    view.notebook.lab.kill_kernels()
    view.press("Play")
    view.page.wait_for_function("document.querySelector('.ip-player').dataset.time > 0.0004")
    assert view.time() < 0.1
    view.page.wait_for_function("document.querySelector('.ip-player').dataset.playing === 'false'")
    assert view.time() == 5
    assert view.notebook.errors == []


def test_a_long_run_can_be_played_message_by_message_too(open_notebook):
    view = View(open_notebook("messages.ipynb", [SHOP]))
    view.root.get_by_label("Speed").select_option("message by message")
    view.scrub(3.8)
    view.press("Play")
    view.page.wait_for_function("document.querySelector('.ip-player').dataset.time > 3.8001")
    view.press("Pause")
    assert view.time() < 3.8 + 0.5
    assert view.notebook.errors == []


def test_beside_the_found_schedule_the_run_without_faults(open_notebook):
    view = View(open_notebook("found.ipynb", [FOUND]))
    before = view.data("number")
    view.root.get_by_label("Compare with").select_option("no fault")
    view.answered(before)
    assert view.root.locator(".ip-row").count() == 2
    assert "orders: writes orders: 1 = placed · no fault" in view.root.get_by_label("Moments").inner_text()
    found = find()
    for t in (0.0, 0.0005, 0.0015):
        view.root.locator(".ip-scrub").evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", t * 1000
        )
        runs = [found.replay(faults).run(until=5) for faults in (True, False)]
        assert view.in_flight() == [counts(run, view.time()) for run in runs] == [1, 1]


@pytest.mark.parametrize("dark", [False, True])
def test_all_words_can_be_read_and_stay_inside_at_800_pixels(open_notebook, dark):
    view = View(open_notebook("messages.ipynb", [SHOP], width=800))
    view.notebook.theme(dark)
    view.scrub(18.4)
    found = view.page.evaluate(CONTRAST)
    signs = [row for row in found if "ip-sign" in row[1] or "ip-place" in row[1]]  # beside words, as graphics
    assert [row for row in found if row[0] < (3 if row in signs else 4.5)] == []
    assert len(signs) > 8
    stage = view.root.locator(".ip-row").bounding_box()
    boxes = [box.bounding_box() for box in view.root.locator(".ip-card").all()]
    assert len(boxes) == 9
    for box in boxes:
        assert stage["x"] <= box["x"]
        assert box["x"] + box["width"] <= stage["x"] + stage["width"]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            apart_x = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
            assert apart_x or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
    wide = "es => es.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
    assert view.root.locator(".ip-card").evaluate_all(wide) == []


def test_the_pages_own_functions(chromium):
    page = chromium.new_page()
    try:
        page.set_content("<body></body>")
        code = """async code => {
            window.lib = await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
        }"""
        page.evaluate(code, script(PLAYER))
        js = page.evaluate
        times = [0, 0.001, 0.002, 1.0]
        assert js("t => [0, .0005, .001, .501, 1, 9].map(x => lib.placeOf(t, x))", times) == pytest.approx(
            [0, 0.5, 1, 2.5, 3, 3]
        )
        assert js("t => [-1, 0, .5, 2.5, 3, 9].map(x => lib.timeAt(t, x))", times) == pytest.approx(
            [0, 0, 0.0005, 0.501, 1, 1]
        )
    finally:
        page.close()

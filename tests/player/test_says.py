"""What a notebook has to say beside a run: sentences and a small table, on the page and without it."""

import pytest
from storm_model import storm

from interplay.player import Player, Slider, widget


def says(values, runs):
    yield f"Load {values['load']} & more."
    yield "It is `simple`."
    yield ["", "served"]
    for run in runs:
        yield ["this run", run.ok]


@pytest.fixture
def player(monkeypatch):
    monkeypatch.setattr(widget, "MOMENT", 60.0)
    return Player(
        storm,
        until=10,
        controls=[Slider("load", "Load", 5, 60, value=20)],
        compare={"no retries": {"attempts": 1}},
        says=says,
    )


def ask(player, **changes):
    asked = {"do": "run", "number": 1, "values": {"load": 20}, "faults": [], "compare": ""} | changes
    player._hear(player, asked, [])


def test_it_is_said_of_these_values_and_these_runs(player):
    assert player.answer["says"] == [
        "Load 20 & more.",
        "It is `simple`.",
        ["", "served"],
        ["this run", str(player.run.ok)],
    ]
    ask(player, values={"load": 30}, compare="no retries")
    assert player.answer["says"][0] == "Load 30 & more."
    assert [row[1] for row in player.answer["says"][3:]] == [str(player.run.ok), str(player.beside.ok)]


def test_it_is_in_the_text_and_in_the_html(player):
    data, _ = player._repr_mimebundle_()
    assert data["text/plain"].startswith("Load 20 & more.\nIt is `simple`.\n  served\nthis run  ")
    assert "<p>Load 20 &amp; more.</p>" in data["text/html"]
    row = f"<tr><th scope='row'>this run</th><td>{player.run.ok}</td></tr>"
    head = "<tr><th scope='col'></th><th scope='col'>served</th></tr>"
    assert f"<table>{head}{row}</table>" in data["text/html"]


def test_without_it_nothing_is_said():
    player = Player(storm, until=10)
    assert player.answer["says"] == []
    assert player._repr_mimebundle_()[0]["text/plain"].startswith("storm: 10 simulated seconds")


def test_a_mistake_in_it_is_shown_as_in_a_model():
    player = Player(storm, until=10, says=lambda values, runs: [values["lood"]])
    assert player.problem["title"] == "KeyError"


CELL = """from interplay import Exponential, Simulation
from interplay.player import Player, Slider

def shop(load=10):
    shop = Simulation(seed=1)
    shop.users(shop.service("orders", workers=4, time=Exponential(0.1)), rate=load)
    return shop

def says(values, runs):
    return [f"Load {values['load']}: {runs[0].ok} served.", ["", "served"], ["this run", str(runs[0].ok)]]

Player(shop, until=10, controls=[Slider("load", "Load", 5, 30, value=10)], says=says)"""

SET = "(e) => { e.value = 20; e.dispatchEvent(new Event('input', {bubbles: true})); }"


@pytest.mark.browser
@pytest.mark.xdist_group("player-browser")
def test_it_is_on_the_page_and_announced_once(open_notebook):
    page = open_notebook("says.ipynb", [CELL]).page
    page.wait_for_selector(".ip-player[data-in-flight]")
    said = page.locator(".ip-said")
    first = said.locator("p").inner_text()
    assert first.startswith("Load 10: ")
    assert said.locator("th[scope=col]").all_inner_texts() == ["", "served"]
    assert said.locator("td").inner_text() == first.split()[2]
    heard = (
        "() => [...document.querySelectorAll('.ip-player [aria-live=polite]')].map(e => e.textContent).join()"
    )
    page.wait_for_function(f"() => ({heard})().includes('Load 10: ')")
    page.get_by_role("slider", name="Load").evaluate(SET)
    page.wait_for_function("() => document.querySelector('.ip-said p').textContent.startsWith('Load 20: ')")
    page.wait_for_function(f"() => ({heard})().includes('Load 20: ')")
    page.get_by_role("button", name="One message on").click()
    page.wait_for_function(f"() => ({heard})() && !({heard})().includes('Load 20: ')")

import base64
import json
import math
import threading
import time

import numpy as np
import pytest
from storm_model import outage, storm

from interplay import ArgumentError, Exponential, Retry, Simulation
from interplay.player import Choice, Player, Predict, Slider, widget
from interplay.player.measures import RECORDS


@pytest.fixture(autouse=True)
def answered_at_once(monkeypatch):
    """Wait for each answer here, however slow the machine: nothing else needs this thread."""
    monkeypatch.setattr(widget, "MOMENT", 60.0)


def player(**changes):
    arguments = {
        "until": 30,
        "controls": [
            Slider("load", "Load", 5, 60, value=20, unit="req/s"),
            Slider("budget", "Budget", 0.0, 0.5, value=0.0, step=0.05),
            Choice("jitter", "Jitter", ["none", "full"], "none"),
        ],
        "faults": {"inventory down": outage},
        "compare": {"no retries": {"attempts": 1}},
    }
    return Player(storm, **arguments | changes)


def ask(p, number=1, faults=(), compare="", **values):
    values = {"load": 20, "budget": 0, "jitter": 0} | values
    p._hear(
        p, {"do": "run", "number": number, "values": values, "faults": list(faults), "compare": compare}, []
    )


def test_the_first_run_is_there_at_once():
    p = player()
    assert p.problem == {}
    assert p.run.trace.digest() == storm(load=20).run(until=30).trace.digest()
    assert p.values == {"load": 20, "budget": 0.0, "jitter": "none"}
    assert p.answer["start"] == 22.0


def test_the_page_gets_the_whole_trace_in_bytes():
    p = player()
    sent, trace = p.answer["runs"][0], p.run.trace
    for name, record in RECORDS.items():
        assert isinstance(sent[name], bytes)
        assert len(np.frombuffer(sent[name], record)) == len(getattr(trace, name))
        assert sent[name] or name == "offsets", "there is no log in this shop"
    without_bytes = {k: v for k, v in sent.items() if not isinstance(v, bytes)}
    assert math.isfinite(len(json.dumps(without_bytes, allow_nan=False)))


def test_a_question_is_answered_with_its_number_and_values():
    p = player()
    ask(p, number=77, load=31, budget=0.1, jitter=1)
    assert p.answer["number"] == 77
    assert p.values == {"load": 31, "budget": 0.1, "jitter": "full"}
    assert type(p.values["load"]) is int
    assert p.run.trace.digest() == storm(load=31, budget=0.1, jitter="full").run(until=30).trace.digest()


def test_values_from_the_page_stay_within_the_control():
    p = player()
    ask(p, load=1e9)
    assert p.values["load"] == 60


def test_the_comparison_has_the_same_users_and_differs_only_in_its_values():
    p = player()
    ask(p, compare="no retries")
    assert p.beside.trace.digest() == storm(attempts=1).run(until=30).trace.digest()
    starts = [sorted(r[:2] for r in run.trace.requests) for run in (p.run, p.beside)]
    assert starts[0] == starts[1]
    served = [{r[0] for r in run.trace.requests if r[3] == 0} for run in (p.run, p.beside)]
    assert p.answer["difference"]["only_other"] == len(served[1] - served[0]) > 0
    assert p.answer["difference"]["only_one"] == len(served[0] - served[1])
    ask(p, compare="")
    assert p.beside is None


def test_break_it_puts_the_fault_into_the_same_run():
    p = player()
    ask(p, faults=[{"label": "inventory down", "at": 3.2}])
    shop = storm()
    outage(shop, 3.2)
    assert p.run.trace.digest() == shop.run(until=30).trace.digest()


def test_the_copied_call_gives_this_run_again():
    p = player()
    ask(p, load=31, budget=0.15, jitter=1)
    assert p.answer["call"] == 'run = storm(load=31, budget=0.15, jitter="full").run(until=30)  # seed 7'
    ask(p, load=31, faults=[{"label": "inventory down", "at": 3.2}], compare="no retries")
    first, second = p.answer["call"].split("\nshop = ")
    for text, run in ((first, p.run), ("shop = " + second, p.beside)):
        names = {"storm": storm}
        exec(text, names)
        assert names["run"].trace.digest() == run.trace.digest()


def test_a_wrong_name_is_refused_with_the_names_there_are():
    with pytest.raises(ArgumentError, match="'lod', but must be an argument of storm: load, attempts"):
        Player(storm, until=5, controls=[Slider("lod", "Load", 1, 9, value=3)])
    with pytest.raises(ArgumentError, match="'tries'"):
        Player(storm, until=5, compare={"x": {"tries": 1}})


def test_a_model_that_forgets_to_return_is_told_so():
    p = Player(lambda: None, until=5)
    assert "is `return shop` missing?" in p.problem["message"]
    assert p.run is None
    assert "image/png" not in p._repr_mimebundle_()[0]
    assert "is `return shop` missing?" in p._repr_mimebundle_()[0]["text/plain"]


# -- errors ----------------------------------------------------------------------------------------


WRONG = "An argument is wrong"


def broken(where, load=20):
    shop = Simulation(seed=1)
    retry = Retry(attempts=0) if where == "argument" else None
    web = shop.client(shop.service("stock", workers=4, time=Exponential(0.02)), retry=retry)

    def buy(request):
        if where == "journey" and shop.env.now > 1:
            request.nummer += 1  # the learner's slip
        return (yield from web.call(request))

    if where == "loop":
        shop.users(buy, rate="many")
    shop.users(buy, rate=load)
    return shop


@pytest.mark.parametrize(
    ("where", "title", "line", "message"),
    [
        ("journey", "AttributeError", "request.nummer += 1  # the learner's slip", "no attribute 'nummer'"),
        ("argument", WRONG, 'retry = Retry(attempts=0) if where == "argument" else None', "attempts is 0"),
        ("loop", WRONG, 'shop.users(buy, rate="many")', "rate is 'many', but must be a number above 0"),
    ],
)  # fmt: skip
def test_an_error_names_the_learners_line_and_keeps_the_picture(where, title, line, message):
    p = Player(broken, until=5, controls=[Choice("where", "Where", ["", where], "")])
    before = p.answer
    p._hear(p, {"do": "run", "number": 5, "values": {"where": 1}, "faults": [], "compare": ""}, [])
    assert p.problem["title"] == title
    assert p.problem["line"] == line
    assert message in p.problem["message"]
    assert "test_widget.py, line" in p.problem["where"]
    assert p.problem["number"] == 5
    assert p.answer is before
    p._hear(p, {"do": "run", "number": 6, "values": {"where": 0}, "faults": [], "compare": ""}, [])
    assert p.problem == {}


# -- long runs -------------------------------------------------------------------------------------


def test_stop_ends_a_long_run_and_keeps_the_picture():
    p = Player(storm, until=2000, controls=[Slider("load", "Load", 1, 60, value=1)])
    before = p.answer
    timer = threading.Timer(0.3, lambda: p._hear(p, {"do": "stop"}, []))
    timer.start()
    began = time.monotonic()
    p._hear(p, {"do": "run", "number": 3, "values": {"load": 60}, "faults": [], "compare": ""}, [])
    assert time.monotonic() - began < 30
    assert p.problem == {"number": 3, "kind": "stopped"}
    assert p.answer is before


# -- what a reader without JavaScript gets ----------------------------------------------------------


def test_the_output_has_a_picture_and_the_numbers():
    p = player()
    data, _ = p._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data
    text = data["text/plain"]
    assert text.startswith("storm: 30 simulated seconds, load = 20")
    assert f"{p.run.requests}" in text
    assert f"{p.run.failed}" in text
    assert "16.0 s  tips over (inventory gets 40 calls a second and can serve 29)" in text
    assert "<table>" in data["text/html"]
    assert 'alt="storm: goodput' in data["text/html"]


def test_no_picture_is_drawn_until_it_is_shown(monkeypatch):
    import interplay.player.alternative as alternative

    monkeypatch.setattr(alternative, "picture", lambda seen: pytest.fail("drew a picture for a slider move"))
    ask(player(), load=30)


# -- controls and Predict ---------------------------------------------------------------------------


def test_controls_refuse_what_makes_no_sense():
    with pytest.raises(ArgumentError, match="value is 70"):
        Slider("load", "Load", 5, 60, value=70)
    with pytest.raises(ArgumentError, match="value is 'both', but must be one of 'none', 'full'"):
        Choice("jitter", "Jitter", ["none", "full"], "both")


def test_a_choice_may_be_any_value():
    choice = Choice("budget", "Budget", {None: "no budget", 0.2: "20 %"}, None)
    assert choice.page()["options"] == ["no budget", "20 %"]
    assert choice.read(1) == 0.2


def test_predict_stays_unanswered_and_tells_everything_as_text():
    options = {"a": ("yes & no", "because < 1"), "b": ("no", "Right: since 2")}
    p = Predict("Which?", options, answer="b")
    assert p.choice == ""
    data, _ = p._repr_mimebundle_()
    assert data["text/plain"] == "Predict: Which?\n  (a) yes & no\n  (b) no"
    assert "(a) Wrong: Because &lt; 1" in data["text/html"]
    assert "(b) Right: Since 2" in data["text/html"]
    with pytest.raises(ArgumentError):
        Predict("Which?", options, answer="c")

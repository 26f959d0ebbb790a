"""`course shop`: the learner's own design, as far as it is written, on the real servers."""

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from typer.testing import CliRunner

from coursework import cli
from coursework.layout import NotFound
from coursework.own_design import own_design
from interplay.capstone import designs, play, schedules
from interplay.servers import ServerError, real_shop

GOOD = designs()["a good mix"]
HELPER = "import math\nKIND = 'ack'\nslow = 1 / 0\nprint(slow)"
GIVEN = """from interplay.capstone import changed, designs

GOOD = designs()["a good mix"]
"""
TESTS = "raise RuntimeError('a test cell')"
TO_DO = "def {name}(*_):\n    raise NotImplementedError"
CONFIG = """%matplotlib inline
from interplay.capstone.designs import MIX, changed

def config():
    return changed(MIX, workers={"payments": 4})
"""
SAGA = """
from interplay.capstone.designs import saga as theirs
seen = math.inf

def saga(state, event):
    return theirs()(state, event)
"""
CONSUMER = """
def consumer(state, event):
    if event["order"] is None:
        return {"state": state, "actions": [{"do": "dead"}]}
    letter = [] if event["recorded"] else [{"do": "write and record"}]
    return {"state": state, "actions": [*letter, {"do": KIND}]}
"""


@pytest.fixture
def write(course):
    """Write a lab into work/16-capstone: cells by name; those not named are not written yet."""

    def write(**cells):
        def cell(name, source, **about):
            metadata = {"nbgrader": {"grade_id": name, "solution": False, "grade": False, **about}}
            return new_code_cell(source, metadata=metadata)

        made = [new_markdown_cell("# Lab"), cell("given", GIVEN, locked=True)]
        made += [cell("helper", HELPER), cell("saga-1", TESTS, grade=True)]
        made += [
            cell(name, cells.get(name, TO_DO.format(name=name)), solution=True)
            for name in ("config", "saga", "consumer")
        ]
        path = course.work / "16-capstone" / "lab.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(new_notebook(cells=[*made, new_code_cell("what is this")]), path)
        return course

    return write


@pytest.fixture
def shop(monkeypatch):
    """Run `course shop ...` in a course: (exit status, output)."""
    monkeypatch.setattr(cli.console, "width", 200)

    def run(course, *arguments):
        monkeypatch.chdir(course.root)
        result = CliRunner().invoke(cli.app, ["shop", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_without_a_lab_it_is_the_good_mix(course):
    design, said = own_design(course)
    assert design.config == GOOD.config
    assert "no lab of yours" in said[0]


def test_what_the_lab_gives_can_be_used(write):
    design, _ = own_design(
        write(
            config="def config():\n    return changed(GOOD.config, workers={'payments': 4})",
            saga="def saga(state, event):\n    return GOOD.saga(state, event)",
        )
    )
    assert design.config["workers"]["payments"] == 4
    (schedule,) = schedules(1, small=True)
    assert play(design, schedule).messages == play(GOOD, schedule).messages


def test_what_is_not_written_yet_is_that_of_the_good_mix(write):
    design, said = own_design(write(config=CONFIG))
    assert design.config["workers"]["payments"] == 4
    assert said[1].endswith(": saga, consumer.")
    assert play(design, schedules(1)[0]).workers == 25


def test_all_of_it_plays_as_in_the_lab(write):
    design, said = own_design(write(config=CONFIG, saga=SAGA, consumer=CONSUMER))
    assert len(said) == 1
    outcome = play(design, schedules(1)[0])
    assert not outcome.books
    assert not outcome.letters


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"config": "def config():\n    return {}"}, "'gateway' is missing"),
        ({"saga": "def saga(state, event):\n    return 1 / 0"}, "saga raises ZeroDivisionError"),
        ({"consumer": "def consumer(state, event"}, "The cell consumer cannot be read"),
        ({"saga": "saga = math.nonsense"}, "The cell saga raises AttributeError"),
    ],
)
def test_what_cannot_be_used_is_said(write, cells, words):
    with pytest.raises(NotFound, match=words):
        own_design(write(**cells))


def test_foreseeable_failures_end_in_one_sentence(course, shop, monkeypatch):
    status, said = shop(course, "--design", "all at once")
    assert status == 1
    assert "a good mix" in said
    if not real_shop.missing():
        status, said = shop(course, "--kill", "weather")
        assert status == 1
        assert "payments" in said

    def start(*_, **__):
        raise ServerError("orders ended before it was ready")

    monkeypatch.setattr(real_shop, "missing", lambda: "")
    monkeypatch.setattr(real_shop, "start", start)
    status, said = shop(course)
    assert status == 1
    assert "orders ended" in said
    monkeypatch.setattr(
        real_shop, "missing", lambda: "This section is skipped, because nats-py is not installed here."
    )
    status, said = shop(course)
    assert status == 1
    assert said.startswith("The shop cannot run here: nats-py")


@pytest.mark.servers
def test_the_command_runs_the_learners_design_and_leaves_nothing_behind(write, shop):
    if sentence := real_shop.missing():
        pytest.skip(sentence)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    course = write(config=CONFIG, saga=SAGA, consumer=CONSUMER)
    status, said = shop(course, "--seconds", "3", "--kill", "payments")
    assert status == 0, said
    assert "Your design" in said
    assert "messages for each request" in said
    assert "Broken" not in said
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not [p for p in left if "guard.py" not in " ".join(p.cmdline())]

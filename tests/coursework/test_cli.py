"""The command `course`, on the tiny course."""

import json
import zipfile

import nbformat
import pytest
import tiny
from rich.color import ColorSystem
from typer.testing import CliRunner

from coursework import cli, progress
from coursework.start_page import StartPage


@pytest.fixture
def run(course, monkeypatch):
    """Run `course ...` in the tiny course: (exit status, output)."""
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(cli.console, "width", 200)

    def run(*arguments):
        result = CliRunner().invoke(cli.app, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def work_on(course, what, **cells):
    """The learner's copy in work/, with some answers."""
    path = course.work / what.slug / what.notebook
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(tiny.edit(nbformat.read(course.released(what), as_version=4), **cells), path)
    return path


RIGHT_FOR_3 = "def double(x):\n    return 6"
COUNT = """def count(state, event):
    n = state["seen"] + 1
    return {"state": {"seen": n}, "actions": ["allow"] * (n <= 2)}"""


def test_check_says_visible_checks_passed_and_never_more(run, course):
    work_on(course, tiny.LAB, double=RIGHT_FOR_3, count=COUNT)
    work_on(course, tiny.QUIZ, answer_1='answer_1 = "a"')
    status, said = run("check", "99")
    assert status == 0
    assert "visible checks passed (2 of 2 test cells)" in said
    assert "1 of 3 questions answered; not yet: answer_2, answer_3" in said
    for more in ("points", "100", "correct", "Success", "right"):
        assert more not in said
    assert progress.read(course)["units"]["99-tiny"]["lab"] == {"visible": [2, 2]}


def test_check_shows_what_is_not_enough_and_does_not_call_it_passed(run, course):
    path = course.released(tiny.LAB)
    released = nbformat.read(path, as_version=4)
    for cell in released.cells:
        if "expect.equal(double(3)" in cell.source:
            cell.source = cell.source.replace(
                "checks.done()", 'checks.measured(False, "6 times")\nchecks.done()'
            )
    nbformat.write(released, path)
    work_on(course, tiny.LAB, double=RIGHT_FOR_3, count=COUNT)
    status, said = run("check", "99")
    assert status == 1
    assert "NOT ENOUGH  6 times" in said
    assert "(1 of 2 test cells)" in said


def test_check_shows_what_failed_and_where(run, course):
    work_on(course, tiny.LAB, double="def double(x):\n    return x\n", count=COUNT)
    status, said = run("check", "99")
    assert status == 1
    assert "three is doubled" in said
    assert "observed      3" in said
    assert "not all passed (1 of 2 test cells)" in said


def test_check_runs_the_released_checks_even_if_the_learner_changed_them(run, course):
    work_on(course, tiny.LAB, **{"double-1": "pass", "count-1": "pass"})
    status, said = run("check", "99")
    assert status == 1
    assert "0 of 2 test cells" in said


def test_check_tells_which_answers_cannot_be_read(run, course):
    work_on(course, tiny.QUIZ, answer_1="answer_1 = b", answer_2='answer_2 = ["a"')
    status, said = run("check", "99")
    assert status == 1
    assert "answer_1 cannot be marked: `b` is not a plain value" in said
    assert "answer_2 cannot be marked: line 1 of the answer cell is not Python" in said
    assert "0 of 3 questions answered" in said


FORMS = [
    '* **a.** x\n* **b.** y\n* **c.** z\n\nOne letter in quotes, such as `"a"`.',
    '* **a.** x\n* **b.** y\n* **c.** z\n\nAll that are right, as a list of letters, such as `["a"]`.',
    "How many? A number, such as `12.5`.",
]


@pytest.fixture
def worded(course):
    """The tiny course, with questions that name the form of their answers."""
    path = course.released(tiny.QUIZ)
    notebook = nbformat.read(path, as_version=4)
    texts = [cell for cell in notebook.cells if cell.id.startswith("text-")]
    for cell, text in zip(texts, FORMS, strict=True):
        cell.source = text
    nbformat.write(notebook, path)
    return course


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        (1, '["C"]', "one letter is asked, and ['C'] is a list"),
        (1, '"d"', "'d' is none of the options a, b, c"),
        (2, '"b, e"', "a list of letters is asked, and 'b, e' is a text in quotes"),
        (2, '["a", "e"]', "'e' is none of the options"),
        (3, '"63.4"', "a number is asked, and '63.4' is a text in quotes"),
    ],
)
def test_check_and_submit_tell_a_form_that_cannot_be_marked(run, worded, number, answer, words, tmp_path):
    work_on(worded, tiny.QUIZ, **{f"answer_{number}": f"answer_{number} = {answer}"})
    for command in (["check", "99"], ["submit", "99", "--as", "ada", "--to", str(tmp_path)]):
        _, said = run(*command)
        assert f"answer_{number} cannot be marked: {words}" in said
        assert said.count("cannot be marked") == 1
    assert "0 of 3 questions answered" in run("check", "99")[1]


@pytest.mark.parametrize(("right", "wrong"), [("b", "a")])
def test_check_does_not_tell_right_from_wrong(run, worded, right, wrong):
    said = []
    for letter in (right, wrong):
        work_on(worded, tiny.QUIZ, answer_1=f'answer_1 = "{letter}"', answer_2='answer_2 = ["A", "c "]')
        said.append(run("check", "99")[1])
    assert said[0] == said[1]
    assert "2 of 3 questions answered" in said[0]
    assert "cannot be marked" not in said[0]


def test_check_colours_a_terminal_only(run, course, monkeypatch):
    work_on(course, tiny.LAB, double="def double(x):\n    return x\n")
    assert "\x1b" not in run("check", "99")[1]
    monkeypatch.setattr(cli.console, "_color_system", ColorSystem.STANDARD)
    assert "\x1b[31m✗" in run("check", "99")[1]


def test_check_shows_the_failing_run_in_words(run, course):
    work_on(course, tiny.LAB, count=COUNT.replace("n <= 2", "n <= 3"))
    _, said = run("check", "99")
    assert said.count("the failing run:") == 1
    assert "your state after it" in said


def test_mark_mine_uses_the_hidden_tests_and_keeps_the_feedback(run, course):
    mine = work_on(course, tiny.LAB, double=RIGHT_FOR_3, count=COUNT)
    before = mine.read_bytes()
    status, said = run("mark", "--mine", "99", "--no-browser")
    assert status == 0
    assert "lab: 40 of 100" in said
    assert "quiz: 0 of 3" in said
    page = course.work / "99-tiny" / "feedback" / "lab.html"
    assert "any number is doubled" in page.read_text()
    assert str(page) in said
    assert mine.read_bytes() == before
    assert progress.read(course)["units"]["99-tiny"]["lab"]["mark"] == [40, 100]
    assert not (course.solutions / "submitted").exists()


def test_mark_mine_without_solutions_says_what_to_do(run, course):
    (course.root / "solutions").rename(course.root / "elsewhere")
    status, said = run("mark", "--mine", "99", "--no-browser")
    assert status == 1
    assert "course submit" in said


def test_submit_packs_one_file_that_the_class_can_be_marked_from(run, course, tmp_path):
    work_on(course, tiny.LAB, double=RIGHT_FOR_3, count=COUNT)
    work_on(course, tiny.QUIZ, answer_1='answer_1 = "b"')
    status, said = run("submit", "99", "--as", "ada-l", "--to", str(tmp_path / "in"))
    assert status == 0
    assert "2 questions of the quiz are not answered" in said
    with zipfile.ZipFile(tmp_path / "in" / "ada-l_99-tiny.zip") as package:
        assert sorted(package.namelist()) == ["ada-l_lab.ipynb", "ada-l_quiz.ipynb"]
    assert progress.read(course)["name"] == "ada-l"
    status, said = run("submit", "99", "--to", str(tmp_path / "again"))
    assert "ada-l_99-tiny.zip" in said, "the name is remembered"

    status, said = run("mark", "99", "--from", str(tmp_path / "in"))
    assert status == 0, said
    row = next(line for line in said.splitlines() if "ada-l" in line)
    assert [part.strip() for part in row.split("│")[1:5]] == ["ada-l", "40", "1", "41"]
    status, said = run("mark", "99")
    assert "2 of these had been marked before" in said
    status, said = run("report", "99", "--csv")
    assert "ada-l,lab-99-tiny,count-1,40,40" in said


def test_a_late_file_is_collected_and_only_that_is_marked(run, course, tmp_path):
    run("submit", "99", "--as", "ada", "--to", str(tmp_path))
    run("mark", "99", "--from", str(tmp_path))
    run("submit", "99", "--as", "bob", "--to", str(tmp_path))
    status, said = run("mark", "99", "--from", str(tmp_path))
    assert status == 0, said
    assert "bob" in said
    assert "2 of these had been marked before" in said


def test_submit_refuses_what_cannot_be_handed_in(run, course):
    assert "under which name" in run("submit", "99")[1]
    assert "will not do" in run("submit", "99", "--as", "a_b")[1]
    path = work_on(course, tiny.LAB)
    path.write_text(path.read_text()[:500])
    status, said = run("submit", "99", "--as", "ada")
    assert status == 1
    assert "lab.ipynb is no notebook file" in said
    assert not list(course.work.glob("*.zip"))


def test_a_whole_class_shows_its_problems(run, course):
    tiny.submit(course, tiny.QUIZ, "ada", tiny.quiz())
    tiny.submit(course, tiny.QUIZ, "bob", b"")
    status, said = run("mark", "99")
    assert status == 0
    assert "bob, quiz-99-tiny: quiz.ipynb is empty" in said


def test_demo_marks_a_class_and_names_mistakes(run, course, tmp_path):
    wrong = course.solutions / "wrong" / "99-tiny"
    wrong.mkdir(parents=True)
    (wrong / "only_three.toml").write_text(
        'misconception = "Knows the example only"\nmark = 40\nfails = ["double: any number is doubled"]\n'
        f"message = \"it works for 3 only\"\n[cells]\ndouble = '''\n{RIGHT_FOR_3}\n'''\n"
    )
    status, said = run("demo", "99", "--folder", str(tmp_path / "class"))
    assert status == 0
    for words in ("reference", "stub", "only-three", "double: any number is doubled", "Feedback pages:"):
        assert words in said
    row = next(line for line in said.splitlines() if "only-three" in line)
    assert [part.strip() for part in row.split("│")[2:5]] == ["40", "2", "42"]
    assert not (course.solutions / "submitted").exists()


@pytest.mark.parametrize("unit", ["99", "99-tiny"])
def test_a_unit_may_be_written_short_or_long(run, unit):
    assert run("release", unit)[0] == 0


def test_an_unknown_unit_and_no_course_are_told(run, monkeypatch, tmp_path):
    assert "There is no unit 42. The units here are: 99-tiny" in run("check", "42")[1]
    monkeypatch.chdir(tmp_path)
    status, said = run("check", "99")
    assert status == 1
    assert "The course is not here" in said


def test_release_writes_the_archive_in_which_a_learner_can_check(run, course, monkeypatch, tmp_path):
    (course.root / "notebooks" / "99-tiny.ipynb").write_text("{}")
    status, said = run("release", "--archive", str(tmp_path / "course.zip"))
    assert status == 0
    assert "lab-99-tiny -> labs/99-tiny/lab.ipynb" in said
    with zipfile.ZipFile(tmp_path / "course.zip") as package:
        package.extractall(tmp_path)
    monkeypatch.chdir(tmp_path / "interplay-course" / "labs")
    assert "0 of 2 test cells" in run("check", "99")[1]
    assert "has no solutions" in run("mark", "--mine", "99")[1]


def test_every_command_shows_an_example(run):
    _status, said = run("--help")
    commands = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    assert sorted(commands) == sorted(
        ["open", "check", "submit", "mark", "release", "report", "demo", "shop", "doctor"]
    )
    for name in commands:
        assert name in said
        assert "course " + name in run(name, "--help")[1]


def test_the_start_page_shows_every_unit_and_the_progress(course):
    (course.root / "notebooks" / "99-tiny.ipynb").write_text("{}")
    work_on(course, tiny.LAB)
    progress.note(course, tiny.LAB, visible=[1, 2])
    progress.note(course, tiny.QUIZ, mark=[2.5, 3])
    bundle = StartPage(course)._repr_mimebundle_()
    page, text = bundle["text/html"], bundle["text/plain"]
    for link in (
        "99-tiny.ipynb",
        "../work/99-tiny/lab.ipynb",
        "../quizzes/99-tiny/quiz.ipynb",
        "glossary.ipynb",
    ):
        assert f'href="{link}"' in page
    assert "lab: 1 of 2 visible checks; quiz: 2.5 of 3" in page
    assert page.count("to come") == 17
    assert page.count('scope="row"') == 18
    assert "03  Retries" in text


def test_damaged_progress_is_survived(course):
    course.work.mkdir()
    (course.work / "progress.json").write_text("{ half")
    assert progress.read(course) == {"name": "", "units": {}}
    progress.note(course, tiny.LAB, visible=[1, 2])
    assert json.loads((course.work / "progress.json").read_text())["units"]["99-tiny"]["lab"] == {
        "visible": [1, 2]
    }

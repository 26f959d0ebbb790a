"""What learners get: the same bytes each time, no secret, and nothing of theirs overwritten."""

import re
import zipfile

import nbformat
import pytest
import tiny

from coursework.layout import Course
from coursework.release import ReleaseFailed, archive, is_pristine, publish, release, verify, without_answer

BOTH = pytest.mark.parametrize("what", [tiny.LAB, tiny.QUIZ], ids=["lab", "quiz"])


@BOTH
def test_releasing_twice_gives_identical_files(course, what):
    before = course.released(what).read_bytes()
    assert release(course, what).read_bytes() == before


@BOTH
def test_the_release_has_no_secret_and_no_output(course, what):
    notebook = nbformat.read(course.released(what), as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells)
    for secret in ("SOLUTION", "HIDDEN", "return 2 * x", "Why", "any number is doubled", "question("):
        assert secret not in text
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    assert [cell.id for cell in notebook.cells] == [
        cell.id for cell in (tiny.lab if what.kind == "lab" else tiny.quiz)().cells
    ]


@BOTH
def test_run_all_goes_on_after_a_check_that_fails(course, what):
    for cell in nbformat.read(course.released(what), as_version=4).cells:
        graded = cell.metadata.get("nbgrader", {})
        test = graded.get("grade", False) and not graded.get("solution", False)
        assert ("raises-exception" in cell.metadata.get("tags", [])) == test


def test_an_answer_cell_of_a_quiz_is_none_with_its_comment(course):
    notebook = nbformat.read(course.released(tiny.QUIZ), as_version=4)
    assert notebook.cells[2].source == "# your answer\nanswer_1 = None"


@pytest.mark.parametrize(
    ("source", "stub"),
    [
        ('answer_1 = "b"', "answer_1 = None"),
        ('# one letter\nanswer_1 = "b"  # in quotes', "# one letter\nanswer_1 = None  # in quotes"),
        ('answer_1 = None\n### BEGIN SOLUTION\nanswer_1 = "b"\n### END SOLUTION', "answer_1 = None"),
        ('answer_1 = [\n    "a",\n    "c",\n]', "answer_1 = None"),
        ('answer_1 = "é"  # é', "answer_1 = None  # é"),
    ],
)
def test_answers_are_taken_out(source, stub):
    assert without_answer(source) == stub


def edited(course, what=tiny.LAB):
    path = course.released(what)
    notebook = tiny.edit(nbformat.read(path, as_version=4), double="def double(x):\n    return x + x")
    nbformat.write(notebook, path)
    return path


def test_an_edited_notebook_in_labs_is_kept_beside_the_new_one(course, capsys):
    path = edited(course)
    mine = path.read_bytes()
    publish(course.solutions, tiny.LAB.name)
    assert path.with_name("lab.kept-1.ipynb").read_bytes() == mine
    assert is_pristine(path)
    assert "your version is kept as lab.kept-1.ipynb" in capsys.readouterr().out
    edited(course)
    publish(course.solutions, tiny.LAB.name)
    assert path.with_name("lab.kept-1.ipynb").read_bytes() == mine
    assert path.with_name("lab.kept-2.ipynb").exists()


def test_a_notebook_that_was_only_run_is_not_kept(course):
    path = course.released(tiny.LAB)
    before = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 3
    notebook.metadata.language_info["version"] = "3.12"
    nbformat.write(notebook, path)
    publish(course.solutions, tiny.LAB.name)
    assert path.read_bytes() == before
    assert not path.with_name("lab.kept-1.ipynb").exists()


def test_an_unreadable_notebook_in_labs_is_kept_too(course):
    path = course.released(tiny.LAB)
    path.write_text("{ half a note")
    publish(course.solutions, tiny.LAB.name)
    assert path.with_name("lab.kept-1.ipynb").read_text() == "{ half a note"


def test_an_older_release_is_replaced_without_ado(course):
    source = course.solutions / "source" / tiny.LAB.name / "lab.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[0].source = "# A newer lab"
    nbformat.write(notebook, source)
    path = release(course, tiny.LAB)
    assert "# A newer lab" in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["lab.ipynb"]


def test_what_was_not_published_is_noticed(course):
    """nbgrader only logs a failing hook, and ends with success."""
    course.released(tiny.LAB).unlink()
    with pytest.raises(ReleaseFailed, match="was not published"):
        verify(course, tiny.LAB)


def test_a_secret_that_slips_through_is_noticed(course):
    source = course.solutions / "source" / tiny.LAB.name / "lab.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[0].source = "The mark comes from question(answer_1) and so on"
    nbformat.write(notebook, source)
    with pytest.raises(ReleaseFailed, match="contains 'question"):
        release(course, tiny.LAB)


def test_the_learners_archive_has_no_solutions(course, tmp_path):
    (course.root / "README.md").write_text("read me")
    first, second = archive(course, tmp_path / "1.zip"), archive(course, tmp_path / "2.zip")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as package:
        names = package.namelist()
        text = "".join(package.read(name).decode(errors="ignore") for name in names)
    assert {"interplay-course/labs/99-tiny/lab.ipynb", "interplay-course/README.md"} <= set(names)
    assert not any("solutions/" in name for name in names)
    assert "Why b." not in text


def test_the_archives_readme_is_true_of_the_archive(tmp_path):
    """It names no file, link or command that only a clone has."""
    whole = (tiny.ROOT / "README.md").read_text()
    with zipfile.ZipFile(archive(Course(tiny.ROOT), tmp_path / "course.zip")) as package:
        names = {name.removeprefix("interplay-course/") for name in package.namelist()}
        readme = package.read("interplay-course/README.md").decode()
    assert "<!--" not in readme
    assert whole.count("<!-- clone -->") == whole.count("<!-- /clone -->") > 0
    named = re.findall(r"\]\(([^)#]+)\)", readme) + re.findall(r"`([\w./-]+(?:/|\.\w+))`", readme)
    assert {"LICENSE", "notebooks/00-start-here.ipynb", "src/interplay/"} <= set(named)
    gone = [path for path in named if not any(name.startswith(path) for name in names)]
    assert gone == ["work/"] * len(gone)  # which the first start makes
    assert not re.search(
        r"\bgit\b|make (test|format|lock|bench|release)|course (demo|release|report)", readme
    )
    for paragraph in readme.split("\n\n"):
        assert ("mark --mine" in paragraph) <= ("clone of the whole course" in paragraph)


@pytest.mark.parametrize("what", Course(tiny.ROOT).assignments(), ids=lambda what: what.name)
def test_labs_and_quizzes_are_what_the_solutions_give(what, tmp_path):
    """Drift: somebody changed a solution and did not release, or edited a released notebook."""
    import shutil

    there = Course(tmp_path)
    there.solutions.mkdir()
    shutil.copy(tiny.ROOT / "solutions" / "nbgrader_config.py", there.solutions)
    shutil.copytree(tiny.ROOT / "solutions" / "source" / what.name, there.solutions / "source" / what.name)
    path = release(there, what)
    assert Course(tiny.ROOT).released(what).read_text() == path.read_text(), "run `course release`"

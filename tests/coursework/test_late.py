"""Late submissions: nothing by default; with one setting, a share of the points for each day begun."""

import re

import pytest
import tiny
from nbgrader.api import Gradebook

from coursework import report
from coursework.marking.late import LatePerDay
from coursework.marking.nbgrader import Nbgrader
from coursework.marking.run import mark_class

HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("share", "seconds", "penalty"),
    [
        (0.0, 9 * DAY, None),
        (0.1, 1, 5),
        (0.1, DAY, 5),
        (0.1, DAY + 1, 10),
        (0.1, 30 * DAY, 50),
        (1.0, HOUR, 50),
    ],
)
def test_each_day_begun_costs_its_share_and_never_more_than_all(share, seconds, penalty):
    plugin = LatePerDay()
    plugin.share = share
    assert plugin.late_submission_penalty("ada", 50, seconds) == penalty


def late_class(course, setting):
    config = course.solutions / "nbgrader_config.py"
    config.write_text(config.read_text().replace('salt="interplay"', f'salt="interplay"{setting}'))
    for student, time in (("ada", "2027-03-01 12:00:00 UTC"), ("bob", "2027-03-03 00:30:00 UTC")):
        path = tiny.submit(course, tiny.QUIZ, student, tiny.quiz())
        (path.parent / "timestamp.txt").write_text(time)
    app = Nbgrader(course)
    with Gradebook(app.coursedir.db_url, app.coursedir.course_id) as gradebook:
        gradebook.update_or_create_assignment(tiny.QUIZ.name, duedate="2027-03-01 23:59 UTC")
    return {r.student: (r.mark, r.penalty) for r in mark_class(course, tiny.QUIZ, again=True)}


def test_by_default_lateness_costs_nothing(course):
    assert late_class(course, "") == {"ada": (3, 0), "bob": (3, 0)}


def test_one_setting_takes_points_off_everywhere(course):
    assert late_class(course, ", late=0.25") == {"ada": (3, 0), "bob": (1.5, 1.5)}
    results = report.collect(course, [tiny.QUIZ])
    assert {r.student: r.mark for r in results} == {"ada": 3, "bob": 1.5}
    assert "bob,quiz-99-tiny,late,-1.5,0" in report.as_csv(results)
    assert "ada,quiz-99-tiny,late" not in report.as_csv(results)
    page = (course.solutions / "feedback" / "bob" / tiny.QUIZ.name / "quiz.html").read_text()
    assert "1.5 / 3" in page
    assert "handed in late: 1.5 points are taken off" in page
    again = {r.student: (r.mark, r.before) for r in mark_class(course, tiny.QUIZ)}
    assert again == {"ada": (3, True), "bob": (1.5, True)}


def test_an_extension_for_one_learner(course):
    """As the instructor's page gives it."""
    late_class(course, ", late=0.25")
    with Gradebook(f"sqlite:///{course.solutions}/gradebook.db", "interplay") as book:
        book.update_or_create_submission(tiny.QUIZ.name, "bob")
        book.grant_extension(tiny.QUIZ.name, "bob", days=1)
    results = {r.student: r.mark for r in mark_class(course, tiny.QUIZ, again=True)}
    assert results == {"ada": 3, "bob": 2.25}


def test_a_share_that_is_none_is_told(course):
    config = course.solutions / "nbgrader_config.py"
    config.write_text(re.sub(r'salt="interplay"', 'salt="interplay", late=10', config.read_text()))
    with pytest.raises(ValueError, match="share of the points"):
        Nbgrader(course)


def test_the_marks_of_all_are_those_of_each(course):
    late_class(course, ", late=0.25")
    tiny.submit(course, tiny.QUIZ, "new", tiny.quiz())
    app = Nbgrader(course)
    each = {who: (app.marks(tiny.QUIZ, who), app.penalty(tiny.QUIZ, who)) for who in ("ada", "bob")}
    assert app.class_marks(tiny.QUIZ) == each
    assert app.class_marks(tiny.LAB) == {}
    assert {r.student: r.mark for r in report.collect(course, [tiny.QUIZ])} == {
        "ada": 3,
        "bob": 1.5,
        "new": None,
    }

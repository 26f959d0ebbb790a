"""The picture of a line with workers that a failing check shows."""

import math

import pytest

from coursework.timeline import Timeline, bars, of_waits

GAPS, WORK, RIGHT = [1.0, 1.0], [3.0, 1.0], [0.0, 2.0]


def test_bars_say_when_each_request_comes_begins_and_ends():
    assert bars(GAPS, RIGHT, WORK) == [(1.0, 1.0, 4.0), (2.0, 4.0, 5.0)]


def test_the_text_shows_waits_and_work_to_scale():
    lines = Timeline({"as it should be": bars(GAPS, RIGHT, WORK)}).text(width=10).splitlines()
    assert lines[1:3] == ["   1 |  ######  | waits 0 s", "   2 |    ....##| waits 2 s"]


def test_the_numbers_may_begin_with_0():
    picture = of_waits(GAPS, WORK, RIGHT, RIGHT, first=0)
    assert [line[:6] for line in picture.text().splitlines() if "waits" in line] == ["   0 |", "   1 |"] * 2
    assert [list(axes.get_yticks()) for axes in picture.figure().axes] == [[0, 1], [0, 1]]


def test_a_learners_waits_stand_below_the_right_ones():
    assert list(of_waits(GAPS, WORK, RIGHT, [0.0, 0.0]).runs) == ["as it should be", "yours"]


@pytest.mark.parametrize("mine", [None, "waits", [0.0], [0.0, None], [0.0, math.nan], {}])
def test_what_cannot_be_drawn_is_left_out(mine):
    assert list(of_waits(GAPS, WORK, RIGHT, mine).runs) == ["as it should be"]


def test_an_empty_day_can_be_drawn():
    picture = of_waits([], [], [], [])
    assert "as it should be" in picture.text()
    assert picture.figure().axes


def test_waits_below_zero_can_be_drawn():
    picture = of_waits(GAPS, WORK, RIGHT, [0.0, -5.0])
    assert "waits -5 s" in picture.text()


def test_the_figure_has_a_panel_for_each_run_with_a_bar_for_each_request():
    figure = of_waits(GAPS, WORK, RIGHT, RIGHT).figure()
    assert [axes.get_title() for axes in figure.axes] == ["as it should be", "yours"]
    assert [len(axes.patches) for axes in figure.axes] == [4, 4]  # waiting and work, of two requests

"""What may stay in a feedback page, and what a learner must not get into it."""

import pytest

from coursework.marking.feedback import clean

PNG = "data:image/png;base64,iVBORw0KGgo="


def test_an_attached_picture_stays():
    assert f'src="{PNG}"' in clean(f'<img src="{PNG}" alt="two curves">')


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        '<img src="data:text/html;base64,PHNjcmlwdD4=">',
        '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
        '<a href="data:text/html,<script>alert(1)</script>">press</a>',
        '<a href="javascript:alert(1)">press</a>',
        '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
        '<div style="position:fixed" onclick="alert(1)">x</div>',
    ],
)
def test_nothing_of_the_learners_can_run(hostile):
    shown = clean(hostile)
    for word in ("<script", "onerror", "onclick", "javascript:", "data:", "<iframe", "srcdoc", "style="):
        assert word not in shown

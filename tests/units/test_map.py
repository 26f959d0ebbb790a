"""The README's map of the course has every unit, under its title, and leads to its notebook."""

import re
from pathlib import Path

from coursework.layout import TITLES

ROOT = Path(__file__).parents[2]


def test_the_map_is_complete():
    rows = re.findall(r"^\| (\d\d) \[(.+?)\]\((.+?)\) \| (.+?) \|", (ROOT / "README.md").read_text(), re.M)
    assert [(title, link) for _, title, link, _ in rows] == [
        (title, f"notebooks/{slug}.ipynb") for slug, title in TITLES.items()
    ]
    assert all(question.endswith("?") for *_, question in rows)


def test_every_unit_is_there():
    for slug in TITLES:
        kinds = {
            "notebook": f"notebooks/{slug}.ipynb",
            "lab": f"labs/{slug}/lab.ipynb",
            "quiz": f"quizzes/{slug}/quiz.ipynb",
        }
        missing = [kind for kind, path in kinds.items() if not (ROOT / path).exists()]
        assert not missing, f"unit {slug} has no {' and no '.join(missing)}"

"""Makes plain `nbgrader ...` and formgrader work from here: the course directory is solutions/."""

from pathlib import Path

c = get_config()  # noqa: F821  # nbgrader supplies it
c.CourseDirectory.root = str(Path(__file__).resolve().parent / "solutions")
load_subconfig("solutions/nbgrader_config.py")  # noqa: F821  # a learner's copy has none

"""How nbgrader is set up for this course, in one place. `solutions/nbgrader_config.py` calls `configure`.

Everything here is wiring that plain `nbgrader` commands and formgrader use too. Without it (stock
nbgrader), marks are the same; what is lost is the sandbox, the repair of damaged submissions, quiz marking
without a kernel, and the tidy feedback page.
"""

import functools
import os
import sysconfig
from pathlib import Path
from typing import Any

from coursework.checks import DEFAULT_SALT

TIMEOUT = 30
"""Seconds that one cell may run while it is marked (environment variable COURSE_TIMEOUT)."""


SANDBOX = "bubblewrap"
"""What learners' code is marked in (environment variable COURSE_SANDBOX): bubblewrap, landlock, or none."""


def configure(
    c: Any, course_directory: Path, salt: str = DEFAULT_SALT, db_url: str = "", late: float = 0.0
) -> None:
    """Fill nbgrader's configuration object `c` for the course directory `course_directory` (solutions/).

    `salt` makes the class's hidden inputs its own. It reaches the kernels through the environment, where
    COURSE_SALT may also be set directly. `db_url` is the gradebook's address (environment variable
    COURSE_DB_URL); by default it is the file gradebook.db, for which a writer waits 60 s.
    `late` is the share of the points that each day begun after the due date costs: 0 nothing, 1 everything.
    """
    os.environ.setdefault("COURSE_SALT", salt)
    find_scripts()
    timeout = int(os.environ.get("COURSE_TIMEOUT", TIMEOUT))

    c.CourseDirectory.root = str(course_directory)
    c.CourseDirectory.course_id = "interplay"
    file = f"sqlite:///{course_directory / 'gradebook.db'}?timeout=60"
    c.CourseDirectory.db_url = os.environ.get("COURSE_DB_URL") or db_url or file

    _release(c, course_directory)
    _marking(c, timeout)
    _feedback(c)
    _late(c, late)

    # course submit 03 writes ada_03-retries.zip with ada_lab.ipynb and ada_quiz.ipynb
    c.FileNameCollectorPlugin.named_regexp = r".*/(?P<student_id>[^/_]+)_(?P<file_id>[^/]+)$"
    c.ZipCollectApp.strict = True  # of a unit's two notebooks, take the one of this assignment


def find_scripts() -> None:
    """Put this environment's commands on the search path: nbgrader calls one of them by its name."""
    scripts = sysconfig.get_path("scripts")
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", "")])


def _release(c: Any, course_directory: Path) -> None:
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import ClearSolutions

    from coursework.release import ClearAnswers, publish_hook

    steps = GenerateAssignment.preprocessors.default_args[0]
    c.GenerateAssignment.preprocessors = [ClearAnswers if s is ClearSolutions else s for s in steps]
    c.GenerateAssignment.post_convert_hook = functools.partial(publish_hook, course_directory)


def _marking(c: Any, timeout: int) -> None:
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import Execute, SaveAutoGrades

    from coursework.marking.execute import ExecuteSafely
    from coursework.marking.gradebook import SaveAtOnce
    from coursework.marking.repair import Repair

    c.Autograde.sanitize_preprocessors = [Repair, *Autograde.sanitize_preprocessors.default_args[0]]
    steps = Autograde.autograde_preprocessors.default_args[0]
    ours = {Execute: ExecuteSafely, SaveAutoGrades: SaveAtOnce}
    c.Autograde.autograde_preprocessors = [ours.get(step, step) for step in steps]
    message = f"This cell ran for more than {timeout} s and was stopped. Is there a loop that never ends?"
    c.ExecuteSafely.sandbox = os.environ.get("COURSE_SANDBOX", SANDBOX)
    c.Execute.timeout = timeout
    c.Execute.iopub_timeout = 20  # nbgrader's 4 s are short for a busy machine
    c.Execute.extra_arguments = ["--IPKernelApp.log_level=40"]  # errors only
    c.Execute.error_on_timeout = {"ename": "TooLong", "evalue": message, "traceback": [message]}


def _late(c: Any, share: float) -> None:
    from coursework.marking.late import LatePerDay

    if not 0 <= share <= 1:
        raise ValueError(f"late={share}: write the share of the points that a day costs, from 0 to 1")
    c.AssignLatePenalties.plugin_class = LatePerDay
    c.LatePerDay.share = share


def _feedback(c: Any) -> None:
    from coursework.marking.feedback import FeedbackExporter, clean

    # formgrader shows what a learner has written, too: its template cleans no text, but calls this filter
    c.HTMLExporter.sanitize_html = True
    c.HTMLExporter.filters = {"strip_files_prefix": clean, "clean_html": clean}
    c.HTMLExporter.exclude_anchor_links = True
    c.GenerateFeedback.exporter_class = FeedbackExporter
    c.GenerateFeedback.preprocessors = list(FeedbackExporter.PREPROCESSORS)
    c.FeedbackExporter.template_name = FeedbackExporter.TEMPLATE
    c.FeedbackExporter.extra_template_basedirs = [str(FeedbackExporter.FOLDER)]

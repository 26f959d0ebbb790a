"""Marks a class in a process that is ended as by kill -9 at one of its steps: `killed.py COURSE STEP`.

A step is a file opened for writing, renamed or removed, a folder made or removed, a gradebook statement.
With the step "count" nothing is ended, and how many there were is printed. Some steps have names: NAMED.
"""

import os
import signal
import sys
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy import event
from sqlalchemy.engine import Engine

from coursework.layout import Course
from coursework.marking import one
from coursework.marking.gradebook import SaveAtOnce
from coursework.marking.run import mark_class

FILES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod"}
NAMED = {
    "while an assignment is written to the gradebook": (Gradebook, "update_or_create_grade_cell"),
    "between autograde and feedback": (one.Nbgrader, "feedback"),
    "while the marks of a submission are written": (SaveAtOnce, "_add_score"),
    "before it is recorded": (one, "write_whole"),
}
steps = 0
last = None


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def step(what):
    global steps
    steps += 1
    if str(steps) == last:
        die()


def heard(name, arguments):
    if name in FILES:
        step(name)
    elif name == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        step(f"open {arguments[0]}")


def before(owner, name):
    """End the process when this function is called for the second time."""
    original, times = getattr(owner, name), []

    def dying(*args, **named):
        times.append(1)
        if len(times) == 2:
            die()
        return original(*args, **named)

    setattr(owner, name, dying)


def main(course, wanted):
    global last
    last = wanted
    if wanted in NAMED:
        before(*NAMED[wanted])
    sys.addaudithook(heard)
    for moment in ("before_cursor_execute", "commit"):
        event.listen(Engine, moment, lambda *_: step("statement"))
    for what in course.assignments():
        for result in mark_class(course, what):
            assert not result.problems, result
    if wanted == "count":
        sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    main(Course(Path(sys.argv[1])), sys.argv[2])

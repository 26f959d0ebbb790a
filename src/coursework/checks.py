"""The vocabulary of a lab's test cell: say what is checked, and a learner who fails sees why.

A test cell reads like this; nbgrader gives its points when the cell ends without an error:

    from coursework.checks import Checks
    checks = Checks("full_jitter")

    @checks.that("the wait never exceeds the cap", cause="min() is missing", look="notebook 03, 'Backoff'")
    def _(expect):
        expect.close(full_jitter(9, 0.1, 2.0, 0.5), 1.0, given="attempt=9, base=0.1, cap=2.0, u=0.5")

    checks.done()

Every check of the cell runs, also after one has failed. All randomness comes from `checks.rng`, which is
seeded with the class's salt and the names of part and check: the same answer always gets the same mark, and
two classes get other inputs.
"""

import base64
import contextlib
import html
import io
import logging
import math
import os
import random
import reprlib
import signal
import textwrap
import threading
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from coursework.plain import NotPlain, plain

DEFAULT_SALT = "interplay"
"""The salt of hidden inputs where the class has not set its own (environment variable COURSE_SALT)."""

IN_TERMINAL = "COURSE_IN_TERMINAL"
"""The environment variable by which `course check` tells the kernel that no figures are shown."""

NOT_ENOUGH = "NOT ENOUGH"
"""What stands before a measurement that falls short. `course check` looks for it in what a test cell said."""

WIDTH = 80
"""The longest line of a message, in characters: a notebook breaks longer ones in the middle of a word."""

RED, GREEN, BOLD, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200
_short.maxlist = _short.maxdict = 12
_short.maxlong = 60


@dataclass
class Failure:
    """One failed check: all that the learner is shown."""

    name: str
    observed: str = ""
    expected: str = ""
    given: str = ""
    line: str = ""
    printed: str = ""
    cause: str = ""
    look: str = ""
    pictures: list[Any] = field(default_factory=list)
    unwritten: bool = False
    stopped: bool = False

    def lines(self, figures: bool = False) -> Iterator[str]:
        """The failure in words, one aligned paragraph for each thing known about it.

        A run that has a figure is left out where `figures` are shown: once is enough.
        """
        first, *rest = _wrapped(self.name, WIDTH - 2)
        yield "\n  ".join([f"{RED}✗{PLAIN} {BOLD}{first}", *rest]) + PLAIN
        told = {
            "given": self.given,
            "observed": self.observed,
            "expected": self.expected,
            "your code": self.line,
            "printed": self.printed,
            "likely cause": " ".join(self.cause.split()),
            "look at": " ".join(self.look.split()),
        }
        for what, text in told.items():
            for line in _wrapped(text, WIDTH - 18):
                yield f"    {what:<13} {line}".rstrip()
                what = ""
        for picture in self.pictures:
            if isinstance(picture, str) or not figures:
                text = picture if isinstance(picture, str) else _words(picture) or "(a figure)"
                yield from (f"    {line}" for line in ("the failing run:", *text.splitlines()))
            else:
                yield "    the failing run is drawn above"


class CheckFailed(Exception):
    """Some checks of a cell failed. Notebook, validator and feedback page show `message()`, and no traceback.

    `str()` of it lists the failed checks, one a line: "- full_jitter: the wait never exceeds the cap".
    """

    def __init__(self, part: str, failures: list[Failure], total: int):
        self.part, self.failures, self.total = part, failures, total
        names = "".join(f"\n- {part}: {failure.name}" for failure in failures)
        super().__init__(f"{len(failures)} of {total} checks failed{names}")

    def message(self, figures: bool = False) -> str:
        """What the learner reads, with terminal colours; `figures` where those of the runs are shown, too."""
        if all(failure.unwritten for failure in self.failures) and len(self.failures) == self.total:
            return f"{RED}✗{PLAIN} {BOLD}{self.part}{PLAIN} is not written yet."
        head = f"{BOLD}{self.part}: {len(self.failures)} of {self.total} checks failed{PLAIN}"
        return "\n\n".join([head, *("\n".join(failure.lines(figures)) for failure in self.failures)])

    def _render_traceback_(self) -> list[str]:
        return self.message(figures=not os.environ.get(IN_TERMINAL)).splitlines()


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of `text`; those that are longer than `width` are broken between words."""
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
    ]


def failed_names(text: str) -> list[str]:
    """The names of the failed checks in `str()` of a CheckFailed, as "part: what"."""
    return [line[2:] for line in text.splitlines() if line.startswith("- ")]


class _Unmet(Exception):
    """An expectation was not met: ends the check."""

    def __init__(self, observed: str, expected: str, given: str):
        self.observed, self.expected, self.given = observed, expected, given


class _TooLong(BaseException):
    """A check has used up its processor time. Not an Exception, so that `except Exception` lets it out."""


class Expect:
    """What a check is given: the things it can expect. The first one that is not met ends the check."""

    def __init__(self) -> None:
        self.pictures: list[Any] = []
        self.cause = ""

    def blame(self, cause: str) -> None:
        """If this check fails, `cause` is the likely one, and not what the check says of itself."""
        self.cause = cause

    def equal(self, observed: Any, expected: Any, given: str = "") -> None:
        """Expect the same plain data. Lists equal tuples; numbers may differ by rounding; 1 is not True."""
        found = _difference(_plain(observed, expected, given), plain(expected))
        if found is not None:
            where = f" (they differ at {found})" if found else ""
            raise _Unmet(_told(observed, expected) + where, show(expected), given)

    def close(self, observed: Any, expected: Any, tolerance: float = 1e-9, given: str = "") -> None:
        """Expect a number (or a list of numbers, each) within `tolerance` of `expected`."""
        found = _difference(_plain(observed, expected, given), plain(expected), tolerance)
        if found is not None:
            where = f" (they differ at {found})" if found else ""
            within = f", within {tolerance:g}" if tolerance > 1e-6 else ""
            raise _Unmet(_told(observed, expected) + where, show(expected) + within, given)

    def true(self, condition: Any, observed: Any = "", expected: Any = "", given: str = "") -> None:
        """Expect `condition`; `observed` and `expected` say it in words, or are values."""
        if not condition:
            texts = [value if isinstance(value, str) else show(value) for value in (observed, expected)]
            raise _Unmet(texts[0], texts[1], given)

    def picture(self, run: Any) -> None:
        """If this check fails, show `run`: a text, a figure, or an object with text() and figure()."""
        self.pictures.append(run)


class Checks:
    """The checks of one test cell, for one part of a lab.

    `rng` is a `random.Random`, freshly seeded for each check. `limit` is the processor time in seconds that
    one check may take before it is stopped and failed as an endless loop.
    """

    def __init__(self, part: str, limit: float = 10):
        self.part, self.limit = part, limit
        self.rng = self._seeded("")
        self._checks: dict[str, tuple[Callable[[Expect], None], str, str]] = {}
        self._measured: list[tuple[bool, str]] = []

    def that(self, what: str, cause: str = "", look: str = "") -> Callable[[Callable[[Expect], None]], None]:
        """Add a check that `what` holds; `cause` and `look` tell a learner who fails it where to start."""
        if what in self._checks or "\n" in what:
            raise ValueError(f"the name of a check must be one line, once in a cell: {what!r}")

        def add(check: Callable[[Expect], None]) -> None:
            self._checks[what] = (check, cause, look)

        return add

    def inputs(self, n: int) -> list[float]:
        """`n` numbers in [0, 1) from the class's salt."""
        return [self.rng.random() for _ in range(n)]

    def measured(self, enough: bool, text: str) -> None:
        """Show at the end what the learner's own choice achieved, and whether that is enough.

        It takes no points, as chance has a part in a single run; but without enough there is no green tick.
        """
        self._measured.append((enough, text))

    def done(self, measured: str = "") -> None:
        """Run every check. Raise CheckFailed, after showing the failing runs, unless all of them pass.

        `measured` is the headline of the measurements, if the checks make any.
        """
        failures: list[Failure] = []
        for what in self._checks:
            if failures and failures[-1].stopped:
                failure: Failure | None = Failure(
                    what, observed="not tried, because the check before it did not end", stopped=True
                )
            else:
                failure = self._run(what)
            if failure:
                failures.append(failure)
        for failure in failures:
            for picture in failure.pictures:
                display(picture)
        short = [text for enough, text in self._measured if not enough]
        n = len(self._checks)
        passed = f"{n} {'check' if n == 1 else 'checks'} passed"
        if not failures and short:
            of = f"{len(short)} of {len(self._measured)} measurements {'is' if len(short) == 1 else 'are'}"
            print(f"{RED}!{PLAIN} {BOLD}{self.part}{PLAIN}: {passed}, but {of} not enough")
        elif not failures:
            print(f"{GREEN}✓{PLAIN} {self.part}: {passed}")
        if self._measured:
            rows = [f"{'enough' if enough else NOT_ENOUGH:<11} {text}" for enough, text in self._measured]
            print(*([measured] if measured else []), *rows, sep="\n")
        if failures:
            raise CheckFailed(self.part, failures, n)

    def _seeded(self, what: str) -> random.Random:
        return random.Random(f"{os.environ.get('COURSE_SALT') or DEFAULT_SALT}/{self.part}/{what}")

    def _run(self, what: str) -> Failure | None:
        check, cause, look = self._checks[what]
        self.rng = self._seeded(what)
        expect, printed = Expect(), _Bounded()
        failure = Failure(what, cause=cause, look=look, pictures=expect.pictures)
        try:
            with _quiet(printed), _processor_time(self.limit):
                check(expect)
            return None
        except _Unmet as unmet:
            failure.observed, failure.expected, failure.given = unmet.observed, unmet.expected, unmet.given
        except (_TooLong, KeyboardInterrupt) as stop:
            interrupted = isinstance(stop, KeyboardInterrupt)
            failure.observed = (
                "it was interrupted" if interrupted else f"it did not end within {self.limit:g} s"
            )
            failure.cause, failure.stopped = "a loop that never ends", True
            failure.given, failure.line = learners(stop, check.__globals__, check.__code__.co_filename)
        except (Exception, SystemExit) as error:  # the learner's own, whatever it is
            failure.given, failure.line = learners(error, check.__globals__, check.__code__.co_filename)
            failure.observed, own_cause = _in_words(error, self.part, check)
            failure.cause = own_cause or ("" if failure.line else failure.cause)
            if isinstance(error, NotImplementedError):
                failure.unwritten, failure.pictures = True, []  # a run of nothing shows nothing
        failure.cause = expect.cause or failure.cause
        failure.printed = "\n".join(printed.getvalue().splitlines()[:5])
        return failure


def show(value: Any) -> str:
    """`value` as Python writes it, cut short when it is long."""
    try:
        if isinstance(value, float):
            return f"{value:.10g}" if math.isfinite(value) else str(value)
        if isinstance(value, list | dict | tuple) and len(text := repr(plain(value))) <= 200:
            return text
        if type(value).__module__ in ("builtins", "numpy"):
            return _short.repr(value)
    except Exception:  # a learner's object may fail to show itself
        pass
    return f"an object of type {type(value).__name__}"


def _told(observed: Any, expected: Any) -> str:
    """`observed`, and its type where that is the mistake."""
    if observed is None and expected is not None:
        return "None (is a `return` missing?)"
    text = show(observed)
    number = isinstance(expected, int | float) and not isinstance(expected, bool)
    if isinstance(observed, str) and not isinstance(expected, str):
        return f"{text}, a string{', not a number' if number else ''}"
    if isinstance(expected, bool) != isinstance(observed, bool):
        return f"{text}, {'' if isinstance(observed, bool) else 'not '}True or False"
    return text


def _plain(observed: Any, expected: Any, given: str) -> Any:
    try:
        return plain(observed)
    except NotPlain as error:
        raise _Unmet(str(error), show(expected), given) from None


def _difference(observed: Any, expected: Any, tolerance: float = 1e-9) -> str | None:
    """Where two plain values differ, such as "[3]"; "" if all of it does, None if nothing does."""
    if isinstance(expected, bool) or isinstance(observed, bool):
        return None if observed is expected else ""
    if isinstance(expected, int | float) and isinstance(observed, int | float):
        same = observed == expected or math.isclose(observed, expected, rel_tol=1e-12, abs_tol=tolerance)
        return None if same else ""
    if isinstance(expected, list) and isinstance(observed, list) and len(observed) == len(expected):
        pairs = [(f"[{i}]", *pair) for i, pair in enumerate(zip(observed, expected, strict=True))]
    elif isinstance(expected, dict) and isinstance(observed, dict) and observed.keys() == expected.keys():
        pairs = [(f"[{key!r}]", observed[key], expected[key]) for key in expected]
    else:
        return None if type(observed) is type(expected) and observed == expected else ""
    for where, mine, right in pairs:
        deeper = _difference(mine, right, tolerance)
        if deeper is not None:
            return where + deeper
    return None


def _in_words(error: BaseException, part: str, check: Callable[..., Any]) -> tuple[str, str]:
    """An exception of the learner's as (what was observed, the likely cause where the exception says it)."""
    if isinstance(error, NotImplementedError):
        return "not written yet", ""
    if isinstance(error, NotPlain):
        return str(error), "a tested function returns numbers, strings, lists or dictionaries"
    if isinstance(error, NameError) and getattr(error, "name", None) == part:
        return f"there is no {part}", "the cell with your answer has not run, or has an error of its own"
    try:
        text = str(error)
    except Exception:
        text = ""
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if frame.f_code.co_filename == check.__code__.co_filename:
        return (
            f"an answer that the check cannot use ({said})",
            "the answer has another shape than the task asks for",
        )
    return said, ""


def learners(error: BaseException, namespace: dict[str, Any], check: str = "") -> tuple[str, str]:
    """The learner's part in an exception: (the call that led to it, the line where it came from).

    Learner and check share a namespace, and stand in different cells; `check` is the file name of its own.
    Where the learner's code is out of reach, behind an examiner, the exception brings the two along.
    """
    if hasattr(error, "learners"):
        return error.learners
    frames = [
        (frame, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_globals is namespace and frame.f_code.co_filename != check
    ]
    if not frames:
        return "", ""
    frame, number = frames[-1]
    source = traceback.FrameSummary(frame.f_code.co_filename, number, frame.f_code.co_name).line or ""
    return _call(frames[0][0]), f"line {number}, in {frame.f_code.co_name}: {source.strip()}"


def _call(frame: types.FrameType) -> str:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = ", ".join(f"{name}={show(frame.f_locals[name])}" for name in names if name in frame.f_locals)
    return f"{code.co_name}({given})"


class _Bounded(io.StringIO):
    """Keeps the first characters that are printed: a loop that prints must not fill the notebook."""

    def write(self, text: str) -> int:
        return super().write(text[: max(0, 2000 - self.tell())]) or len(text)


@contextlib.contextmanager
def _quiet(printed: io.StringIO) -> Iterator[None]:
    """Take what the learner's code prints, warns or logs: nbgrader gives 0 to a cell with stderr."""
    silenced, logging.root.manager.disable = logging.root.manager.disable, logging.CRITICAL
    try:
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.manager.disable = silenced


@contextlib.contextmanager
def _processor_time(limit: float) -> Iterator[None]:
    """Raise _TooLong in the running code after `limit` seconds of processor time, if in the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _words(picture: Any) -> str:
    """What a picture of a run says in words; "" for a bare figure (matplotlib's own `text` draws)."""
    return picture.text() if callable(getattr(picture, "figure", None)) else ""


def display(picture: Any) -> None:
    """Draw a failing run above the message. nbgrader does not mark what is displayed."""
    if isinstance(picture, str) or os.environ.get(IN_TERMINAL):
        return
    from IPython.display import display as publish

    text = _words(picture)
    figure = picture.figure() if text else picture
    text = text or "the failing run"
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=100, bbox_inches="tight", facecolor="white", metadata={"Software": None}
    )
    alt = html.escape(f"The failing run, step by step. {text}")
    data = base64.b64encode(buffer.getvalue()).decode()
    shown = f'<img src="data:image/png;base64,{data}" alt="{alt}">'  # JupyterLab gives a bare PNG no words
    publish({"text/html": shown, "text/plain": text}, raw=True)

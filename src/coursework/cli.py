"""The command `course`: what a learner and an instructor do with the course."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from coursework.layout import KINDS, Assignment, Course, NotFound

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Open the course; check, mark and hand in its labs and quizzes; release them and mark a class.",
)
console = Console()

Unit = Annotated[str, typer.Argument(help="The unit: 03, or 03-retries.", metavar="UNIT")]


def command(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A typer command whose foreseeable failures end in one sentence and exit status 1."""
    import functools

    from coursework.marking.gradebook import CannotGoOn
    from coursework.marking.sandbox import NoSandbox
    from coursework.marking.submission import Unreadable
    from coursework.release import ReleaseFailed

    def add(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **named: Any) -> None:
            try:
                function(*args, **named)
            except (NotFound, NoSandbox, CannotGoOn, Unreadable, ReleaseFailed) as error:
                console.print(str(error), style="red", markup=False)
                raise typer.Exit(1) from None

        app.command(**options)(run)
        return function

    return add


@command(rich_help_panel="Learners")
def open(
    port: Annotated[int | None, typer.Option(help="The port of the server; by default a free one.")] = None,
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="By default where there is a display.")
    ] = None,
) -> None:
    """Open the course in JupyterLab, at the start page.

    Example: `course open`
    """
    from coursework.workspace import open_course

    raise typer.Exit(open_course(Course.here().root, port, browser))


@command(rich_help_panel="Learners")
def check(unit: Unit) -> None:
    """Run the visible checks on your lab, and see which questions of your quiz are answered in a form that
    can be marked.

    Works on your copy in work/. The marking has more checks than these.

    Example: `course check 03`
    """
    from coursework import learner

    course = Course.here()
    good = True
    for what in learner.assignments(course, course.slug(unit)):
        if what.kind == "lab":
            checked = learner.check_lab(course, what)
            for grade_id, message in checked.failed.items():
                console.rule(grade_id, align="left")
                coloured = console.color_system is not None and not console.no_color
                sys.stdout.write((message if coloured else re.sub(r"\x1b\[[0-9;]*m", "", message)) + "\n")
            good &= not checked.failed
            passed = f"{checked.passed} of {checked.total} test cells"
            words = "visible checks passed" if not checked.failed else "visible checks: not all passed"
            console.print(
                f"{what.kind}: {words} ({passed})", style="green" if not checked.failed else "yellow"
            )
        else:
            total, unanswered, problems = learner.check_quiz(course, what)
            for problem in problems:
                console.print(problem, style="yellow", markup=False)
            good &= not problems
            answered = total - len(unanswered) - len(problems)
            not_yet = f"; not yet: {', '.join(unanswered)}" if 0 < len(unanswered) < total else ""
            console.print(f"{what.kind}: {answered} of {total} questions answered{not_yet}")
    raise typer.Exit(0 if good else 1)


@command(rich_help_panel="Learners")
def submit(
    unit: Unit,
    name: Annotated[str, typer.Option("--as", help="Your name for the class: letters, digits, dashes.")] = "",
    to: Annotated[Path | None, typer.Option(help="The folder for the file; by default work/.")] = None,
) -> None:
    """Pack your lab and quiz of a unit into one file to hand in.

    Example: `course submit 03 --as ada`
    """
    from coursework import learner, progress

    course = Course.here()
    name = name or progress.read(course)["name"]
    if not name:
        raise NotFound("Say under which name you hand in, once: course submit 03 --as ada")
    packed, warnings = learner.pack(course, course.slug(unit), name, to or course.work)
    for warning in warnings:
        console.print(f"note: {warning}", style="yellow", markup=False)
    console.print(f"Hand in this file: {packed}", soft_wrap=True, markup=False)


@command(rich_help_panel="Learners and instructors")
def mark(
    unit: Annotated[
        str | None,
        typer.Argument(help="The unit: 03, 03-retries or lab-03-retries; by default all.", metavar="[UNIT]"),
    ] = None,
    mine: Annotated[
        bool, typer.Option("--mine", help="Mark your own copy, with the hidden tests of the solutions.")
    ] = False,
    student: Annotated[str | None, typer.Option(help="Mark only this student.")] = None,
    again: Annotated[bool, typer.Option(help="Mark also what is marked already.")] = False,
    take: Annotated[
        Path | None, typer.Option("--from", help="First collect the handed-in zip files of this folder.")
    ] = None,
    sandbox: Annotated[
        str, typer.Option(help="What learners' code runs in: bubblewrap, landlock, or none (dangerous).")
    ] = "",
    workers: Annotated[
        int, typer.Option(help="How many submissions are marked at a time.", show_default="one a core")
    ] = 0,
    scheduler: Annotated[
        str, typer.Option(help="Run labs on the workers of a Dask cluster: tcp://ADDRESS:PORT.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="With --mine: open the feedback page.")] = True,
) -> None:
    """Mark your own work (--mine), or the submissions of a class in solutions/submitted/.

    A run that was interrupted goes on where it stopped. What learners wrote runs in a sandbox, without
    network and files, and where it cannot reach the tests that judge it.

    Examples: `course mark --mine 03` · `course mark 03 --from ~/Downloads/unit-3`
    """
    course = Course.here()
    kind, dash, rest = (unit or "").partition("-")
    one = kind if dash and kind in KINDS else ""  # lab-03-retries is the lab only
    slug = course.slug(rest if one else unit) if unit else None
    if mine:
        if slug is None:
            raise NotFound("Say which unit: course mark --mine 03")
        _mark_mine(course, slug, browser)
        return
    whats = [w for w in course.assignments() if slug in (None, w.slug) and one in ("", w.kind)]
    if not whats:
        raise NotFound(
            f"solutions/source/ has no lab and no quiz of {slug or 'any unit'}: "
            "only an instructor can mark a class."
        )
    if take:
        for what in whats:
            _collect(course, what, take)
    results = _mark_class(course, whats, student, again, sandbox, workers, scheduler)
    _show(course, results)


@command(rich_help_panel="Instructors")
def release(
    units: Annotated[
        list[str] | None, typer.Argument(help="Units; by default all.", metavar="[UNIT]...")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Also write the learners' archive, without solutions, to this file.")
    ] = None,
) -> None:
    """Generate labs/ and quizzes/ from the solutions, through nbgrader.

    Examples: `course release 03` · `course release --archive course.zip`
    """
    from coursework import release as releasing

    course = Course.here()
    course.need_solutions()
    slugs = [course.slug(unit) for unit in units or []]
    for what in course.assignments():
        if not slugs or what.slug in slugs:
            path = releasing.release(course, what)
            console.print(f"{what.name} -> {path.relative_to(course.root)}", markup=False)
    if archive:
        console.print(
            f"learners' archive: {releasing.archive(course, archive)}", soft_wrap=True, markup=False
        )


@command(rich_help_panel="Instructors")
def report(
    unit: Annotated[str | None, typer.Argument(help="One unit; by default all.", metavar="[UNIT]")] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="As comma-separated values, one line a test cell.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page: marks, wrong answers by name, hard parts, work that is alike."),
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Fill the marks into a copy of this gradebook of Canvas or Moodle.")
    ] = None,
    alike: Annotated[
        bool, typer.Option("--alike", help="List pairs of labs that are alike. It proves nothing.")
    ] = False,
) -> None:
    """Show the marks of the class, and what they tell.

    Examples: `course report 03` · `course report --csv > marks.csv` · `course report 03 --page class.html` ·
    `course report 03 --into canvas.csv`
    """
    from coursework import report as reporting

    course = Course.here()
    course.need_solutions()
    slug = course.slug(unit) if unit else None
    whats = [what for what in course.assignments() if slug in (None, what.slug)]
    results = reporting.collect(course, whats)
    if csv:
        sys.stdout.write(reporting.as_csv(results))
        return
    if not results:
        raise NotFound(f"Nobody has handed in: there is nothing in {course.solutions / 'submitted'}.")
    if page:
        reporting.write_page(course, results, page)
        console.print(f"page: {page}", soft_wrap=True, markup=False)
    if into:
        filled, path = reporting.fill_in(course, results, into)
        for note in filled.notes:
            console.print(f"note: {note}", style="yellow", markup=False)
        marks = "1 mark" if filled.written == 1 else f"{filled.written} marks"
        console.print(f"{marks} written to {path}", soft_wrap=True, markup=False)
    if alike:
        for line in reporting.alike(course, results):
            console.print(line, markup=False)
    if not (page or into or alike):
        console.print(*reporting.tables(results), sep="\n")
        console.print(*reporting.mistakes(course, results), sep="\n", markup=False)


@command(rich_help_panel="Instructors")
def demo(
    units: Annotated[
        list[str] | None, typer.Argument(help="Units; by default all.", metavar="[UNIT]...")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where; by default a new temporary folder.")] = None,
) -> None:
    """Mark a made-up class: the reference solution, an empty lab, and every named wrong answer.

    Example: `course demo 03`
    """
    from coursework import demo as demonstration
    from coursework.marking.sandbox import best
    from coursework.report import common_mistakes

    course = Course.here()
    course.need_solutions()
    slugs = [course.slug(unit) for unit in units or []] or sorted(
        {what.slug for what in course.assignments()}
    )
    there = demonstration.build(course, folder or Path(tempfile.mkdtemp(prefix="course-demo-")), slugs)
    results = _mark_class(there, there.assignments(), None, False, best())
    _show(there, results)
    console.print("\nThe most common mistakes:")
    for name, count in common_mistakes(there, results):
        console.print(f"  {count:>2} students   {name}", markup=False)
    pages = there.solutions / "feedback"
    console.print(f"\nFeedback pages: {pages}/<student>/<assignment>/", soft_wrap=True, markup=False)


@command(rich_help_panel="Learners")
def shop(
    design: Annotated[
        str, typer.Option(help='One of the capstone\'s designs, such as "all synchronous"; by default yours.')
    ] = "",
    schedule: Annotated[
        int | None, typer.Option(min=0, help="Fault schedule N of the public series.")
    ] = None,
    kill: Annotated[
        list[str] | None, typer.Option(help="kill -9 this process at 4 s, and start it again at 6 s.")
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Run on, with the ids of the processes, until Ctrl-C.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="How long customers come.")] = 15.0,
) -> None:
    """Run the whole shop of the capstone on Envoy, NATS and PostgreSQL, beside its simulation.

    The design is that of your own lab, as far as it is written. Your code runs on this machine, as you do.

    Examples: `course shop` · `course shop --kill payments` · `course shop --design "all synchronous"`
    """
    from coursework.shopping import go_shopping

    go_shopping(Course.here(), console, design, schedule, kill or [], stay, seconds)


@command(rich_help_panel="Learners")
def doctor() -> None:
    """Say what is missing on this machine, and how to get it.

    Example: `course doctor`
    """
    from coursework.doctor import run

    raise typer.Exit(run())


def _mark_mine(course: Course, slug: str, browser: bool) -> None:
    from coursework import learner

    with console.status("Marking your work, with all checks …"):
        marked = learner.mark_mine(course, slug)
    for result, page in marked:
        for problem in result.problems:
            console.print(f"{result.what.kind}: {problem}", style="yellow", markup=False)
        if result.marks is None:
            console.print(f"{result.what.kind}: not marked", style="red")
            continue
        most = sum(most for _, most in result.marks.values())
        console.print(f"{result.what.kind}: {result.mark:g} of {most:g}", style="bold")
        console.print(f"  feedback: {page}", soft_wrap=True, markup=False)
        if browser and page.exists():
            typer.launch(page.as_uri())


def _collect(course: Course, what: Assignment, folder: Path) -> None:
    """Bring handed-in zip files to solutions/submitted/ by `nbgrader zip_collect`."""
    from coursework.release import release as release_one

    if not (course.solutions / "release" / what.name).exists():
        release_one(course, what)  # by its notebooks nbgrader knows what to collect; git does not keep them
    archive = course.solutions / "downloaded" / what.name / "archive"
    archive.mkdir(parents=True, exist_ok=True)
    handed_in = sorted(folder.glob(f"*_{what.slug}.zip"))
    if not handed_in:
        raise NotFound(f"{folder} has no files such as ada_{what.slug}.zip.")
    for path in handed_in:
        shutil.copy(path, archive)
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "zip_collect", what.name, "--force"],
        cwd=course.solutions,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotFound(f"nbgrader zip_collect failed:\n{done.stderr[-2000:]}")


def _mark_class(
    course: Course,
    whats: list[Assignment],
    student: str | None,
    again: bool,
    sandbox: str,
    workers: int = 0,
    scheduler: str = "",
) -> list[Any]:
    from coursework.marking.gradebook import CannotGoOn
    from coursework.marking.run import mark_class, students
    from coursework.marking.sandbox import NONE

    results: list[Any] = []
    todo = sum(len(students(course, what)) if student is None else 1 for what in whats)
    if not todo:
        raise NotFound(f"Nobody has handed in: there is nothing in {course.solutions / 'submitted'}.")
    if "none" in (sandbox, not sandbox and os.environ.get("COURSE_SANDBOX")):
        console.print(NONE, style="bold red")
    workers = workers or os.cpu_count() or 1
    try:  # without a thread for the bar, as it would be there when the workers are forked
        with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
            bar = progress.add_task("marking", total=todo)
            for what in whats:
                how: Any = {"sandbox": sandbox, "workers": workers, "scheduler": scheduler}
                for result in mark_class(course, what, student, again, **how):
                    results.append(result)
                    name = f"{what.name}: {result.student}"
                    progress.update(bar, advance=1, description=name, refresh=True)
    except KeyboardInterrupt:
        console.print(f"\nStopped after {len(results)} of {todo}. Run it again: it goes on from here.")
        raise typer.Exit(130) from None
    except CannotGoOn as why:
        stopped = f"Stopped after {len(results)} of {todo}. Then run it again: it goes on from here."
        raise CannotGoOn(f"{why}\n{stopped}") from None
    return sorted(results, key=lambda result: (result.what.slug, result.student, result.what.kind))


def _show(course: Course, results: list[Any]) -> None:
    from coursework.marking.gradebook import remarks
    from coursework.marking.nbgrader import Nbgrader
    from coursework.report import tables

    console.print(*tables(results), sep="\n")
    before = sum(result.before for result in results)
    if before:
        console.print(f"{before} of these had been marked before and have not changed.")
    problems = [(result, problem) for result in results for problem in result.problems]
    if problems:
        console.print("\nProblems:")
    for result, problem in problems:
        console.print(f"  {result.student}, {result.what.name}: {problem}", markup=False)
    coursedir = Nbgrader(course).coursedir
    said = {what: remarks(coursedir, what.name) for what in dict.fromkeys(r.what for r in results)}
    notes = [(result, note) for result in results for note in said[result.what].get(result.student, [])]
    if notes:
        console.print("\nTo know:")
    for result, note in notes:
        console.print(f"  {result.student}, {result.what.name}: {note}", markup=False)


if __name__ == "__main__":
    app()

"""How long marking takes: this course's way beside stock nbgrader, in one run, on the same submissions.

    python benchmarks/marking.py                  40 submissions, interleaved rounds
    python benchmarks/marking.py --growth         10, 100 and 1000 submissions: time and memory

CPU is that of every process of a run, from a control group; where none can be made, only wall time is told.
"""

import argparse
import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import psutil
from sidebyside import report, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "coursework"))
import tiny

from coursework import samples
from coursework.layout import Assignment, Course
from coursework.release import release

ROOT = Path(__file__).resolve().parents[1]
OURS = """
import sys
from pathlib import Path
from coursework.layout import Assignment, Course
from coursework.marking.run import mark_class
what = Assignment.of(sys.argv[2])
marked = mark_class(Course(Path(sys.argv[1])), what, workers=2, feedback={feedback})
assert all(result.mark is not None for result in marked)
"""
STOCK = "c = get_config()\nc.CourseDirectory.course_id = 'interplay'\n"
FREE_TEST = """
from coursework.checks import Checks
checks = Checks("part")

@checks.that("it is right")
def _(expect):
    expect.equal(part_{n}(3), {n})

checks.done()
"""


def free_lab():
    """Six test cells that cost nothing, below the imports that every lab makes."""
    notebook = tiny.lab()
    notebook.cells = [
        tiny.new_code_cell("import numpy, simpy\nimport matplotlib.pyplot as plt", id="imports")
    ]
    for n in range(6):
        source = f"def part_{n}(x):\n    ### BEGIN SOLUTION\n    return {n}\n    ### END SOLUTION"
        notebook.cells += [
            tiny.answer(f"part_{n}", source),
            tiny.tested(f"test-{n}", FREE_TEST.format(n=n), 10),
        ]
    return notebook


class Class:
    """A course with `n` submissions of one lab, copied afresh for every run."""

    def __init__(self, folder, what, notebooks, n):
        self.what, self.n = what, n
        self.folder = folder
        self.course = Course(folder / "model")
        for number, notebook in zip(range(n), itertools.cycle(notebooks), strict=False):
            samples.hand_in(self.course, what, f"s{number:04d}", notebook)
        subprocess.run(
            [sys.executable, "-m", "nbgrader", "generate_assignment", what.name, "--force"],
            cwd=self.course.solutions, check=True, capture_output=True,
        )  # fmt: skip

    def run(self, kind):
        """Mark the class once; (wall seconds, CPU seconds or None, marks)."""
        there = self.folder / "run"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(self.course.root, there)
        nbgrader = [sys.executable, "-m", "nbgrader", "autograde", self.what.name]
        if kind.startswith("stock"):
            (there / "solutions" / "nbgrader_config.py").write_text(STOCK)
        ours = [[sys.executable, "-c", OURS.format(feedback="pages" in kind), str(there), self.what.name]]
        commands = {
            "stock": [nbgrader],
            "stock, each": [[*nbgrader, "--student", f"s{n:04d}"] for n in range(min(self.n, 5))],
            "ours": ours,
            "ours, with pages": ours,
        }[kind]
        with Group() as group:
            began = time.perf_counter()
            for command in commands:
                group.call(command, there / "solutions")
            wall = time.perf_counter() - began
        scale = self.n / len(commands) if kind == "stock, each" else 1
        return wall * scale, group.cpu and group.cpu * scale, self.marks(there), group.peak

    def marks(self, there):
        import sqlite3

        query = """select s.student_id, c.name, g.auto_score from grade g
            join submitted_notebook n on g.notebook_id = n.id
            join submitted_assignment s on n.assignment_id = s.id
            join base_cell c on g.cell_id = c.id"""
        with contextlib.closing(sqlite3.connect(there / "solutions" / "gradebook.db")) as database:
            return sorted(database.execute(query))


class Group:
    """A control group that counts the CPU time of all processes of a run, and the most memory they had."""

    def __enter__(self):
        self.cpu, self.peak, self._folder = None, 0, None
        for place, usage in (("cpuacct", "cpuacct.usage"), ("", "cpu.stat")):
            folder = Path("/sys/fs/cgroup", place, f"marking-{os.getpid()}")
            with contextlib.suppress(OSError):
                folder.mkdir()
                if (folder / usage).exists():
                    self._folder, self._usage = folder, folder / usage
                    break
                folder.rmdir()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def call(self, command, folder):
        join = f"echo $$ > {self._folder}/cgroup.procs; " if self._folder else ""
        code = f'{join}exec "$@"'
        done = subprocess.run(
            ["/bin/sh", "-c", code, "sh", *command], cwd=folder, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])

    def _look(self):
        while not self._done.wait(0.5):
            total = 0
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss - process.memory_info().shared
            self.peak = max(self.peak, total)

    def __exit__(self, *_):
        self._done.set()
        self._watch.join()
        if self._folder:
            text = self._usage.read_text()
            self.cpu = int(text) / 1e9 if text.strip().isdigit() else int(text.split()[1]) / 1e6
            for _ in range(100):
                with contextlib.suppress(OSError):
                    self._folder.rmdir()
                    break
                time.sleep(0.1)


def classes(folder, n):
    """(name, a class) for a lab that costs nothing, and for each lab of the course."""
    free = Assignment("lab", "99-free")
    course = Course(folder / "free" / "model")
    (course.solutions / "source" / free.name).mkdir(parents=True)
    tiny.nbformat.write(free_lab(), course.solutions / "source" / free.name / free.notebook)
    shutil.copy(ROOT / "solutions" / "nbgrader_config.py", course.solutions)
    release(course, free)
    yield "a lab whose cells cost nothing", Class(folder / "free", free, [samples.reference(course, free)], n)
    real = Course(ROOT)
    for what in real.assignments():
        wrong = samples.wrong_answers(real, what.slug)
        if what.kind == "lab" and wrong and real.released(what).exists():
            course = Course(folder / what.slug / "model")
            course.solutions.mkdir(parents=True)
            shutil.copytree(real.solutions / "source" / what.name, course.solutions / "source" / what.name)
            shutil.copy(real.solutions / "nbgrader_config.py", course.solutions)
            right = samples.reference(real, what)
            handed_in = [right, *(samples.with_cells(right, answer.cells) for answer in wrong)]
            yield what.slug, Class(folder / what.slug, what, handed_in, max(4, n // 4))


def first_result(rounds):
    """Seconds from starting a kernel to the first result, and to the end of three imports: stock, ours."""
    import asyncio
    import socket

    from jupyter_client.manager import AsyncKernelManager

    from coursework.marking.process import Kernel, prove
    from coursework.marking.warm import zygote

    imports = "import numpy, simpy, matplotlib.pyplot"

    async def stock():
        began = time.perf_counter()
        manager = AsyncKernelManager(kernel_name="python3")
        await manager.start_kernel(extra_arguments=["--IPKernelApp.log_level=40"])
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        await client.execute_interactive("1+1", timeout=60, output_hook=lambda message: None)
        first = time.perf_counter() - began
        await client.execute_interactive(imports, timeout=60, output_hook=lambda message: None)
        second = time.perf_counter() - began
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        return first, second

    warm = zygote("bubblewrap", ROOT / "solutions")
    prove(warm)

    def ours():
        began = time.perf_counter()
        line, theirs = socket.socketpair()
        with line:
            kernel = Kernel(warm, "learner", theirs)
            kernel.ask({"run": "1+1"}, 10)
            first = time.perf_counter() - began
            kernel.ask({"run": imports}, 10)
            second = time.perf_counter() - began
            kernel.end()
        return first, second

    times = [(asyncio.run(stock()), ours()) for _ in range(rounds)]
    return [[median(pair[side][which] for pair in times) for which in (0, 1)] for side in (0, 1)]


def compare(rounds, n):
    kinds = ["stock", "ours", "ours, with pages", "stock, each"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name, group in classes(Path(folder), n):
            taken = {kind: [] for kind in kinds}
            for number in range(rounds):
                for kind in kinds[:: 1 if number % 2 else -1]:
                    if kind == "stock, each" and name != "a lab whose cells cost nothing":
                        continue
                    wall, cpu, marks, _ = group.run(kind)
                    taken[kind].append((wall, cpu or 0, marks if kind != "stock, each" else None))
            if len({str(marks) for runs in taken.values() for *_, marks in runs if marks}) != 1:
                raise SystemExit(f"{name}: the marks differ")
            for kind, runs in taken.items():
                if runs:
                    ratio = median(
                        stock[0] / mine[0] for stock, mine in zip(taken["stock"], runs, strict=True)
                    )
                    cpu, wall = (median(run[which] for run in runs) / group.n for which in (1, 0))
                    rows.append((f"{name}, {group.n}", kind, f"{cpu:.2f}", f"{wall:.2f}", f"{ratio:.1f}"))
                    print(rows[-1], flush=True)
    (stock, stock_all), (ours, ours_all) = first_result(rounds * 5)
    head = ("lab, submissions", "way", "CPU s a submission", "wall s a submission", "times as fast as stock")
    return f"""{table(head, rows)}

First result of a kernel: stock {stock * 1e3:.0f} ms, ours in its sandbox {ours * 1e3:.0f} ms,
{stock / ours:.0f} times as fast; with three imports: {stock_all * 1e3:.0f} and {ours_all * 1e3:.0f} ms.

Median of {rounds} rounds, two workers, marks equal cell by cell in all of them. Ours: each submission in its
own sandbox, its test cells in an examiner's kernel; with pages: and its feedback page written. Stock: one
`nbgrader autograde` for the class; each: one for each student (five of them, scaled)."""


def growth(sizes):
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _, group = next(classes(Path(folder), n))
            wall, cpu, _, peak = group.run("ours")
            rows.append((n, f"{wall:.1f}", f"{wall / n:.3f}", f"{(cpu or 0) / n:.3f}", peak >> 20))
            print(rows[-1], flush=True)
    head = ("submissions", "s", "s a submission", "CPU s a submission", "most memory, MB")
    return f"""{table(head, rows)}

The lab whose cells cost nothing, two workers; memory of all processes, without what they share."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--submissions", type=int, default=40)
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    if options.growth:
        report("marking-growth", "Marking: growth", growth((10, 100, 1000)), "nbgrader")
    else:
        report(
            "marking",
            "Marking a class",
            compare(options.rounds, options.submissions),
            "nbgrader",
            "ipykernel",
        )

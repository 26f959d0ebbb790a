"""Labs on the workers of a real Dask cluster: the same marks, also when one of them is killed half-way."""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest
import tiny
from test_never_lost import hand_in, written

from coursework.layout import Course
from coursework.marking.gradebook import CannotGoOn
from coursework.marking.run import mark_class

MODULE = "import sys; from distributed.cli.dask_{0} import main; sys.exit(main())"
SLOW = "import time; time.sleep(2)\ndef double(x):\n    return 2 * x"
ENDLESS = "def double(x):\n    import os\n    os._exit(1)"


@contextlib.contextmanager
def process(kind, *arguments, folder, **environment):
    log = (folder / f"{kind}-{time.monotonic_ns()}.log").open("w")
    running = subprocess.Popen(
        [sys.executable, "-c", MODULE.format(kind), *arguments, "--no-dashboard"],
        cwd=folder, stdout=log, stderr=log, env=os.environ | environment,
    )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        log.close()


@pytest.fixture
def scheduler(tmp_path):
    """The address of a scheduler on loopback."""
    file = tmp_path / "scheduler.json"
    with process(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), folder=tmp_path
    ):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(OSError, ValueError):
                yield json.loads(file.read_text())["address"]
                return
            time.sleep(0.2)
        raise AssertionError("no scheduler")


def worker(address, folder, *more, **environment):
    """A worker that knows nothing of the course directory: no folder, no settings of the class."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    alone = {"COURSE_SALT": "another", "COURSE_DB_URL": "postgresql://nowhere", **environment}
    how = more or ("--nthreads", "1")
    return process("worker", address, "--no-nanny", *how, folder=folder / "elsewhere", **alone)


def marked(results):
    return {(r.student, r.what.name): (r.marks, r.problems) for r in results}


@pytest.mark.slow
@pytest.mark.servers
def test_two_workers_one_of_them_killed_half_way(course, scheduler, tmp_path):
    for student in ("ada", "bob", "eve", "kim"):
        hand_in(course, student, {"bob": "def double(x): return 6", "eve": ENDLESS}.get(student, SLOW))
    wanted = marked(mark_class(course, tiny.LAB)), written(course)
    with worker(scheduler, tmp_path) as first, worker(scheduler, tmp_path):
        wait_for(scheduler, 2)
        run = mark_class(course, tiny.LAB, again=True, scheduler=scheduler)  # it knows of two workers
        results = [next(run)]
        first.kill()
        results += run
    assert (marked(results), written(course)) == wanted  # the pages show the class's hidden inputs


def wait_for(scheduler, workers):
    """In a process of its own, as Dask starts threads and what marks is forked."""
    code = (
        "import sys, distributed as d; d.Client(sys.argv[1]).wait_for_workers(int(sys.argv[2]), timeout=120)"
    )
    subprocess.run([sys.executable, "-c", code, scheduler, str(workers)], check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.servers
def test_a_worker_that_will_not_do_is_told(course, scheduler, tmp_path, monkeypatch):
    hand_in(course, "ada")
    two = worker(scheduler, tmp_path, "--nthreads", "2")
    with two, pytest.raises(CannotGoOn, match="has 2 threads: start it with --nthreads 1"):
        list(mark_class(course, tiny.LAB, scheduler=scheduler))
    with worker(scheduler, tmp_path):
        with pytest.raises(CannotGoOn, match="runs in a sandbox or not at all"):
            list(mark_class(course, tiny.LAB, scheduler=scheduler, sandbox="none"))
        monkeypatch.setattr("coursework.marking.cluster.fingerprint", lambda: "older")
        with pytest.raises(CannotGoOn, match="has another release of the course"):
            list(mark_class(course, tiny.LAB, scheduler=scheduler))


@pytest.mark.slow
@pytest.mark.servers
def test_a_cluster_without_workers_and_no_cluster_at_all_are_told(course, scheduler, monkeypatch):
    hand_in(course, "ada")
    monkeypatch.setattr("coursework.marking.cluster.PATIENCE", 1)
    with pytest.raises(CannotGoOn, match="has no worker"):
        list(mark_class(course, tiny.LAB, scheduler=scheduler))
    monkeypatch.setattr("coursework.marking.cluster.CONNECT", 1)
    with pytest.raises(CannotGoOn, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        list(mark_class(course, tiny.LAB, scheduler="tcp://127.0.0.1:9"))
    assert not (Course(course.root).solutions / "autograded").exists()

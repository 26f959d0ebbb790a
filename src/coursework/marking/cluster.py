"""Runs learners' notebooks on a Dask cluster; all else of marking stays on the machine with the gradebook.

A notebook goes to a worker as text, with the files handed in beside it, and comes back with its outputs. So
a worker needs this package and a sandbox: no shared folder, no gradebook, no password. When a worker is
lost, Dask gives its notebook to another one.
"""

import functools
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from coursework.marking.apart import Apart
from coursework.marking.gradebook import CannotGoOn
from coursework.marking.process import prove
from coursework.marking.sandbox import NoSandbox, require
from coursework.marking.warm import zygote

PATIENCE = int(os.environ.get("COURSE_CLUSTER_PATIENCE", "120"))
"""Seconds without a single worker before marking stops."""
CONNECT = 30
"""Seconds to find the scheduler."""
MISSING = "Marking on a cluster needs Dask: pip install 'distributed>=2025.1' (here and on the workers)."


@dataclass(frozen=True)
class Task:
    """One notebook to run: plain data, so that it can go anywhere."""

    notebook: str
    handed_in: dict[str, str]
    given: dict[str, str]
    sandbox: str
    hide: str
    timeout: float
    salt: str
    too_long: dict[str, Any]
    release: str
    """The fingerprint of the code that marks: a worker with another one must not."""


def run(task: Task) -> str:
    """On a worker: the notebook with its outputs. Raises CannotGoOn where this worker cannot do it."""
    from distributed import get_worker

    where, threads = get_worker().address, get_worker().state.nthreads
    if threads != 1:
        raise CannotGoOn(f"The worker {where} has {threads} threads: start it with --nthreads 1.")
    if task.release != fingerprint():
        raise CannotGoOn(f"The worker {where} has another release of the course: install the same there.")
    try:
        require(task.sandbox)
        if task.sandbox == "none":
            raise NoSandbox("On a cluster, learners' code runs in a sandbox or not at all.")
        warm = zygote(task.sandbox, Path(task.hide))
        prove(warm)
    except NoSandbox as error:
        raise CannotGoOn(f"On the worker {where}: {error}") from None
    notebook = nbformat.reads(task.notebook, as_version=4)
    with Apart(warm, task.timeout, task.salt, task.too_long) as kernels:
        kernels.run(notebook, task.handed_in, task.given)
    return nbformat.writes(notebook)


def run_there(address: str, task: Task) -> str:
    """Have one of the cluster's workers run the task. Raises CannotGoOn where there is none."""
    client = _client(address)
    from distributed import CancelledError, KilledWorker

    future, waited = client.submit(run, task, pure=False), 0
    while True:
        try:
            return future.result(timeout=5)
        except KilledWorker:
            raise RuntimeError("every worker that ran it was lost: it may be what ends them") from None
        except (CancelledError, OSError) as error:
            if not isinstance(error, TimeoutError):
                raise CannotGoOn(f"The Dask scheduler at {address} is gone.") from None
            waited = 0 if client.scheduler_info(n_workers=1)["n_workers"] else waited + 5
            if waited >= PATIENCE:
                raise CannotGoOn(f"The cluster at {address} has had no worker for {waited} s.") from None


def size(address: str) -> int:
    """How many notebooks the cluster runs at a time."""
    client = _client(address)
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise CannotGoOn(f"The cluster at {address} has no worker.") from None
    return sum(client.nthreads().values())


@functools.cache
def _client(address: str) -> Any:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is told in other words
    try:
        from distributed import Client
    except ImportError:
        raise CannotGoOn(MISSING) from None
    try:
        return Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CannotGoOn(f"No Dask scheduler answers at {address}: {error}") from None


@functools.cache
def fingerprint() -> str:
    """Of the code of this package and the simulator: with another, marks might be others."""
    digest = hashlib.sha256()
    here = Path(__file__).resolve().parents[2]
    for path in sorted(p for name in ("coursework", "interplay") for p in (here / name).rglob("*.py")):
        digest.update(str(path.relative_to(here)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

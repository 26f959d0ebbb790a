"""Worker processes that take one job after the other; the death of one costs its own job at most.

Dask's clusters take the same function and jobs. Here it is a few lines because a worker must be a process
that runs one job at a time in its main thread: nbgrader changes the process's directory and environment.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

TRIES = 2
"""How often a job is given to a worker before its death is taken to be the job's doing."""


def spread(function: Callable[[Any], Any], jobs: Iterable[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    """Yield (job, its result) as they come; None for a job that ended its worker. An exception is raised."""
    waiting = [(job, TRIES) for job in reversed(list(jobs))]
    busy: dict[Connection, tuple[Any, Any, int]] = {}
    try:
        idle = [_start(function, busy) for _ in range(min(workers, len(waiting)))]
        while waiting or busy:
            while waiting and idle:
                line, process = idle.pop()
                job, tries = waiting.pop()
                line.send(job)
                busy[line] = process, job, tries - 1
            ready = wait(list(busy))
            for line in [line for line in busy if line in ready]:
                process, job, tries = busy.pop(line)
                try:
                    good, result = line.recv()
                except (EOFError, OSError):
                    process.join()
                    idle.append(_start(function, busy))
                    if tries:
                        waiting.append((job, tries))
                    else:
                        yield job, None
                    continue
                idle.append((line, process))
                if not good:
                    raise result
                yield job, result
    finally:
        for line, process in [*idle, *((line, process) for line, (process, *_) in busy.items())]:
            process.kill()  # and with it its sandbox, and all that runs in there
            process.join()
            line.close()


def _start(function: Callable[[Any], Any], busy: Iterable[Connection]) -> tuple[Connection, Any]:
    """A new worker, with what this process has imported where the system can fork."""
    context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(function, theirs, mine), daemon=True)
    process.start()
    theirs.close()
    return mine, process


def _work(function: Callable[[Any], Any], line: Connection, other: Connection) -> None:
    other.close()
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            job = line.recv()
            try:
                answer = True, function(job)
            except Exception as error:
                answer = False, error
            line.send(answer)

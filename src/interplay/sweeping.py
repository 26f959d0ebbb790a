"""Many runs: on all cores of this machine or on a Dask cluster, kept in a file, to be taken up again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .arguments import refuse, whole

Task = tuple[int, int]  # index of the value, seed
WORTH_A_POOL = 3.0  # seconds: less than that is done before new processes have started


class Results:
    """What each value and seed gave, as lines of a file; without a `path`, only in memory.

    A run that was interrupted in the middle of a line costs that line.
    """

    def __init__(self, path: str | Path | None, measure: Callable[..., float], values: Sequence[Any]) -> None:
        self.path = None if path is None else Path(path)
        self.known: dict[Task, float] = {}
        if self.path is None:
            return
        self.names = [f"{getattr(measure, '__qualname__', measure)}: {value!r}" for value in values]
        for name in self.names:
            if " at 0x" in name:
                refuse("values", name, "values that repr() tells apart, as a file has to")
        if self.path.exists():
            self._read(self.path.read_text(encoding="utf-8"))

    def _read(self, text: str) -> None:
        for line in text.splitlines():
            try:
                name, seed, result = json.loads(line)
            except ValueError:
                continue
            self.known |= {(i, seed): result for i, known in enumerate(self.names) if known == name}

    def add(self, task: Task, result: float) -> None:
        """Keep one."""
        self.known[task] = result
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([self.names[task[0]], task[1], result]) + "\n")


@contextmanager
def pool(processes: int | None, scheduler: str | None) -> Iterator[Executor]:
    """Where tasks can be submitted; when something goes wrong, whatever still runs there is given up."""
    if scheduler is None:
        from loky import get_reusable_executor

        # takes functions that were written in a notebook, which multiprocessing does not
        executor = get_reusable_executor(max_workers=processes)
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, kill_workers=True)
            raise
        return
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        executor = client.get_executor()
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)
            raise


def run_all(
    measure: Callable[[Any, int], float],
    values: Sequence[Any],
    seeds: Sequence[int],
    *,
    file: str | Path | None = None,
    processes: int | None = None,
    scheduler: str | None = None,
    progress: bool = True,
) -> list[list[float]]:
    """`measure(value, seed)` for each; see experiment.sweep."""
    from tqdm.auto import tqdm

    if processes is not None:
        whole("processes", processes, least=1)
    results = Results(file, measure, values)
    tasks = [(i, seed) for i in range(len(values)) for seed in seeds]
    missing = [task for task in dict.fromkeys(tasks) if task not in results.known]
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(missing), unit="run", delay=1, disable=not progress)

    def keep(task: Task, result: float) -> None:
        results.add(task, float(result))
        bar.update()

    with bar:
        while missing and scheduler is None and processes in (None, 1):
            start = time.perf_counter()
            (i, seed), *missing = missing
            keep((i, seed), measure(values[i], seed))
            if processes is None and len(missing) * (time.perf_counter() - start) > WORTH_A_POOL:
                break
        if missing:
            with pool(processes, scheduler) as executor:
                futures = {executor.submit(measure, values[i], seed): (i, seed) for i, seed in missing}
                for future in as_completed(futures):
                    keep(futures[future], future.result())
    return [[results.known[i, seed] for seed in seeds] for i in range(len(values))]

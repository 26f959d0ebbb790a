"""Times programs side by side in one run, so that a busy machine slows all of them alike.

What counts is CPU time, and each program's ratio to the first one in the same round.
"""

from __future__ import annotations

import argparse
import gc
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).parent
HEAD = """# Benchmarks

Written by the scripts here; each runs its programs side by side: a busy machine slows all of them alike.
"""
Measured = tuple[float, Any]  # CPU seconds, and what the program returned


class Ratio(NamedTuple):
    """CPU time as a multiple of the first program's: the median over rounds, and the middle half."""

    median: float
    low: float
    high: float
    seconds: float

    def __str__(self) -> str:
        digits = 2 if self.median < 10 else 0
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def cpu(program: Callable[[int], Any], n: int) -> Measured:
    """The CPU seconds that `program(n)` took, and what it returned."""
    gc.collect()
    start = time.process_time()
    result = program(n)
    return time.process_time() - start, result


def race(
    programs: Mapping[str, Callable[[int], Any]],
    rounds: int = 7,
    measure: Callable[[Callable[[int], Any], int], Measured] = cpu,
) -> tuple[dict[str, Ratio], dict[str, list[Any]]]:
    """Run `program(round)` of each in turn; the ratios to the first, and what each one came to."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    results: dict[str, list[Any]] = {name: [] for name in programs}
    for n in range(1, rounds + 1):
        for name in list(programs)[:: 1 if n % 2 else -1]:
            took, result = measure(programs[name], n)
            seconds[name].append(took)
            results[name].append(result)
    first = next(iter(programs))
    ratios = {}
    for name, times in seconds.items():
        each = sorted(took / base for took, base in zip(times, seconds[first], strict=True))
        ratios[name] = Ratio(median(each), each[len(each) // 4], each[-1 - len(each) // 4], median(times))
    return ratios, results


def equal(results: Mapping[str, list[Any]]) -> None:
    """All programs came to the same, to the last digit."""
    first, *others = results.items()
    for name, values in others:
        if values != first[1]:
            raise SystemExit(f"{name} came to {values}, but {first[0]} to {first[1]}")


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A markdown table."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def report(name: str, title: str, text: str, *packages: str) -> None:
    """Print a result and keep it in results/, where README.md is put together."""
    where = f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in packages)
    (HERE / "results").mkdir(exist_ok=True)
    whole = f"## {title}\n\n{text}\n\n{where}.\n"
    (HERE / "results" / f"{name}.md").write_text(whole, encoding="utf-8")
    parts = [path.read_text(encoding="utf-8") for path in sorted((HERE / "results").glob("*.md"))]
    (HERE / "README.md").write_text("\n".join([HEAD, *parts]), encoding="utf-8")
    print(whole)


def arguments(rounds: int = 7) -> argparse.Namespace:
    """What may be given on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser.parse_args()

"""Worker processes that one may kill: each writes down what it does, in a file that outlives it.

The worker's side is `Diary`; it can also end itself, as `kill -9` would, at an exact point of its n-th
message. The notebook's side is `Worker`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..arguments import one_of, whole
from .process import Server

Dies = tuple[str, int] | None


@dataclass(frozen=True)
class Report:
    """What a worker has written down, over all of its processes, in order.

    Each row is a dict with "what" happened, to which "message", and "at" which time (s since the epoch).
    """

    rows: list[dict[str, Any]]

    def of(self, what: str) -> list[Any]:
        """The messages to which that happened, such as of("got")."""
        return [row["message"] for row in self.rows if row["what"] == what]

    @property
    def got(self) -> list[Any]:
        """The messages that were delivered to it."""
        return self.of("got")

    @property
    def done(self) -> list[Any]:
        """The messages whose work was done: the effects."""
        return self.of("done")


class Worker(Server):
    """A process that runs a module of this package, with `settings` for it.

    It is ready when it says so. `dies`, such as ("after work", 6), is for its first process only: the next
    `start` brings up one that lives.
    """

    def __init__(
        self, module: str, name: str, settings: dict[str, Any], dies: Dies, points: list[str]
    ) -> None:
        # -P: the notebook's folder is not searched for modules
        super().__init__([sys.executable, "-P", "-m", f"{__package__}.{module}"], name=name)
        if dies is not None:
            dies = one_of("dies", dies[0], points), whole("dies", dies[1], least=1)
        self.settings = settings
        self.dies = dies
        self._told = 0  # how often it had said that it was ready, before this start

    def start(self) -> Worker:
        """Start a process, and wait until it is ready; raises ServerError when it cannot."""
        if not self.alive:
            report = self.report()
            self._told = len(report.of("ready"))
            told = {**self.settings, "dies": self.dies, "before": len(report.got)}
            self.command = [*self.command[:4], json.dumps(told)]
            self.dies = None
            super().start()
        return self

    def _listens(self) -> bool:
        return len(self.report().of("ready")) > self._told

    def report(self) -> Report:
        """What it has written down so far; also when it is dead."""
        lines = self._written().split(b"\n")[:-1]  # the last line may be half written
        return Report([json.loads(line) for line in lines if line.startswith(b'{"what": ')])

    def wait(self, seconds: float = 10.0) -> bool:
        """Wait until its process has ended; False when it still runs after so long."""
        return wait_for(lambda: not self.alive, seconds)


class Diary:
    """The worker's side: writes rows to its output, and dies when it is told to."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = json.loads(sys.argv[1])
        dies: Dies = self.settings.pop("dies")
        self._point, self._left = dies or ("", 0)
        self.before: int = self.settings.pop("before")  # messages that its processes before this one got

    def write(self, what: str, message: Any = None, **more: Any) -> None:
        """Write a row down, at once."""
        row = {"what": what, "message": message, "at": time.time(), **more}
        os.write(1, json.dumps(row).encode() + b"\n")

    def point(self, name: str) -> None:
        """The worker is at this point; if it is the one where it is to die, it does (SIGKILL)."""
        if name == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until the condition holds, looking every 20 ms; False when it does not after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def settled(workers: Iterable[Worker], count: int, seconds: float = 10.0) -> bool:
    """Wait until so many different messages are done by these workers together; False when they are not."""
    all_of_them = list(workers)
    return wait_for(lambda: len({m for w in all_of_them for m in w.report().done}) >= count, seconds)

"""Brokers and databases: servers with data in a folder that goes with them, or ones whose address is given.

A learner who has a RabbitMQ, a Kafka or a PostgreSQL of their own puts its address into the environment:
then nothing is started and nothing is stopped.
"""

from __future__ import annotations

import atexit
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from .process import Server, ServerError, data_folder


class Broker(Server):
    """A broker: a server with a data folder of its own, or (`given`) one that somebody else runs.

    `variable` names the environment variable that may hold an address; `reach`, if there is one, is called
    with a given broker and raises when it does not answer. `quiet=True` starts without a word.
    After `kill`, `start` brings it back with the data that it had on disk; after `stop` it begins anew.
    """

    def __init__(
        self,
        name: str,
        variable: str,
        *,
        quiet: bool = False,
        ready: Callable[[Server], bool] | None = None,
        reach: Callable[[], object] | None = None,
        timeout: float = 60.0,
    ) -> None:
        super().__init__([], name=name, ready=ready, timeout=timeout)
        self.given_url = os.environ.get(variable, "")
        self.variable = variable
        self.quiet = quiet
        self.reach = reach
        self.folder: Path | None = None

    @property
    def given(self) -> bool:
        """Whether its address came from the environment: it is not a process of this course."""
        return bool(self.given_url)

    @property
    def alive(self) -> bool:
        """Whether the process is running now; a given broker is taken to be."""
        return self.given or super().alive

    @property
    def pid(self) -> int:
        """The id of the server's process; raises ServerError before the first start, and for a given one."""
        self._ours("has no process here")
        return super().pid

    @property
    def address(self) -> str:
        """Where it listens, such as "127.0.0.1:5672"."""
        if not self.given:
            return super().address
        return (urlsplit(self.given_url).netloc or self.given_url).rpartition("@")[2]  # no password

    def prepare(self, folder: Path) -> Sequence[str | Path]:
        """Write what it needs into its empty data folder; returns the command that starts it."""
        raise NotImplementedError

    def start(self) -> Broker:
        """Start it and wait until it is ready; raises ServerError when it cannot be."""
        if self.given:
            try:
                if self.reach:
                    self.reach()
            except Exception as error:
                raise ServerError(
                    f"{self.variable} is set, but {self.address} does not answer: {error}"
                ) from None
            atexit.register(self.stop)  # it may have something to put back
            self._say(f"{self.name}: the one at {self.address}, as {self.variable} says.\n")
        elif not super().alive:
            self._say(f"{self.name} starts … ")
            began = time.monotonic()
            try:
                if self.folder is None:
                    self.folder = data_folder()
                    self.command = [str(word) for word in self.prepare(self.folder)]
                super().start()
                self.seconds_to_start = time.monotonic() - began  # with what was prepared
            except BaseException:
                self._say("\n")
                self.stop()
                raise
            self._say(f"ready in {self.seconds_to_start:.1f} s at {self.address}\n")
        return self

    def kill(self) -> None:
        """End it at once, with no chance to tidy up; its data folder stays for the next start."""
        self._ours("cannot be killed from here")
        super().kill()

    def stop(self, patience: float = 5.0) -> None:
        """End it, and remove its data; a given one is left as it is."""
        if not self.given:
            super().stop(patience)
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder = None

    def _ours(self, what: str) -> None:
        if self.given:
            raise ServerError(f"{self.name} {what}: it is the one that {self.variable} names.")

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, end="", flush=True)

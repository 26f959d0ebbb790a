"""One kernel, seen from the marker: started, asked with a time limit, watched, and ended without fail."""

import contextlib
import functools
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from typing import Any

import psutil

from coursework.marking import wire
from coursework.marking.sandbox import OTHERWISE, NoSandbox
from coursework.marking.warm import Zygote

MEMORY, DISK, PROCESSES, LOOK = 2 << 30, 64 << 20, 64, 0.25
"""What a kernel may have with all its processes, in bytes and in number; looked at every LOOK seconds."""


class Ended(Exception):
    """The kernel has ended and runs nothing any more; the message says why."""


class Kernel:
    """A kernel in a sandbox. `peer` is its end of the line between learner's kernel and examiner's."""

    def __init__(self, zygote: Zygote, role: str, peer: socket.socket, **environment: str):
        self._zygote, self.ended = zygote, ""
        self._folder = tempfile.mkdtemp(prefix="marking-") if zygote.kind == "landlock" else ""
        self._socket, theirs = socket.socketpair()
        with theirs, peer:
            ends = [theirs.fileno(), peer.fileno()]
            self._process = zygote.fork(role, ends, environment, self._folder)
        self._reader = wire.Reader(self._socket)
        self.pid = _number(self._process)
        zygote.kernels.add(self.pid)
        self._expect_ready()

    def _expect_ready(self) -> None:
        failed = ""
        try:
            failed = self._reader.receive(60).get("failed", "")
        except (wire.Gone, wire.NotInTime) as error:
            failed = str(error) or "it did not answer"
        if failed:
            self.end(failed)
            raise NoSandbox(f"No kernel could be started in the sandbox: {failed}\n{OTHERWISE}")

    def ask(self, request: dict[str, Any], timeout: float, watch: "Kernel | None" = None) -> dict[str, Any]:
        """Send a request, and return the reply. Raises NotInTime and, for this kernel or `watch`, Ended."""
        if self.ended:
            raise Ended(self.ended)
        end = time.monotonic() + timeout
        try:
            wire.send(self._socket, request)
            return self.wait(end - time.monotonic(), watch)
        except wire.Gone as gone:
            self.end(str(gone))
        raise Ended(self.ended)

    def wait(self, timeout: float, watch: "Kernel | None" = None) -> dict[str, Any]:
        """The reply to what was asked before."""
        if self.ended:
            raise Ended(self.ended)
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                reply = self._reader.receive(min(left, LOOK))
                if "failed" not in reply:
                    return reply
                self.end(f"its kernel failed with {reply['failed']}"[:500])
            except wire.Gone as gone:
                self.end(str(gone))
            except wire.NotInTime:
                pass
            for kernel in (self, watch) if watch else (self,):
                kernel.look()
            if self.ended:
                raise Ended(self.ended)
        raise wire.NotInTime

    def look(self) -> None:
        """End the kernel where it has died, or has grown too big."""
        if self.ended:
            return
        if select.select([self._process], [], [], 0)[0]:
            self.end(wire.ENDED)
            return
        with contextlib.suppress(psutil.Error):
            kernel = psutil.Process(
                self.pid if self._zygote.kind == "bubblewrap" else self._zygote.process.pid
            )
            family = [kernel, *kernel.children(recursive=True)]
            if len(family) > PROCESSES:
                self.end(f"your code started {len(family)} processes")
            memory = 0
            for process in family:
                with contextlib.suppress(psutil.Error):
                    usage = process.memory_info()
                    memory += usage.rss - usage.shared
            if memory > MEMORY:
                self.end(f"your code took {memory >> 20} MB of memory; {MEMORY >> 20} MB are allowed")
        if self._folder and _size(self._folder) > DISK:
            self.end(f"your code wrote more than {DISK >> 20} MB of files")

    def interrupt(self) -> None:
        """As the stop button of a notebook."""
        if self.ended:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGINT)

    def end(self, why: str = "it was ended") -> None:
        """End the kernel and everything that it has started."""
        if self.ended:
            return
        self.ended = why
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        select.select([self._process], [], [], 10)
        self._zygote.sweep(self.pid)
        self._socket.close()
        os.close(self._process)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def prove(zygote: Zygote) -> None:
    """Raise NoSandbox where a kernel cannot be started."""
    ours, theirs = socket.socketpair()
    with ours:
        Kernel(zygote, "learner", theirs).end()


def _size(folder: str) -> int:
    total = 0
    for above, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_size  # noqa: PTH118
    return total


def _number(process: int) -> int:
    """The process identifier behind a descriptor, as this process sees it."""
    with open(f"/proc/self/fdinfo/{process}") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))

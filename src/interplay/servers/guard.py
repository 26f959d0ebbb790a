"""The guard: ends the servers of a notebook's kernel, when the kernel ends without having done so itself.

It runs as a script, in its own session, with a pipe from the kernel as its input: a line "+ pid start-time"
names a server to watch, "- pid" one to forget. The kernel is gone when the pipe is closed (this also works
for `kill -9`, on every system), or when the guard has got another parent (a forked copy of the kernel may
hold the pipe open). Then the data folders of the kernel are removed, too.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil


def main(kernel: int) -> None:
    """Watch until process `kernel` is gone, then end what it has left running."""
    watched: dict[int, float] = {}
    closed = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            sign, pid, *started = line.split()
            if sign == "+":
                watched[int(pid)] = float(started[0])
            else:
                watched.pop(int(pid), None)
        closed.set()

    threading.Thread(target=listen, daemon=True).start()
    while not closed.wait(0.3) and os.getppid() == kernel:
        pass
    for pid, started in list(watched.items()):
        with contextlib.suppress(psutil.Error):
            server = psutil.Process(pid)
            if abs(server.create_time() - started) < 1.0:
                family = [server, *server.children(recursive=True)]
                for process in family:
                    with contextlib.suppress(psutil.Error):
                        process.terminate()
                deadline = time.monotonic() + 1.0
                while any(map(runs, family)) and time.monotonic() < deadline:
                    time.sleep(0.02)
                for process in family:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
    for _ in range(30):  # what has just been killed may be writing for a moment
        data = list(Path(tempfile.gettempdir()).glob(f"interplay-data-{kernel}-*"))
        for folder in data:
            shutil.rmtree(folder, ignore_errors=True)
        if not data:
            break
        time.sleep(0.1)
    os._exit(0)  # the listening thread may still wait for its line


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


if __name__ == "__main__":
    main(int(sys.argv[1]))

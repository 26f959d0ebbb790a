"""Start a real server on a free port of 127.0.0.1, wait until it is ready, stop it again, whatever happens.

Nothing is left behind, in three steps. `stop` (and leaving a `with` block, and the end of Python) ends the
process by its id: SIGTERM, then SIGKILL. When the notebook's kernel is killed, a small guard process
(`guard.py`) notices and ends its servers. And what outlives even that (the guard was killed too) is reaped
when the next server starts. Each server has a record with its id and its start time, so that an id that is
in use again by another program is never killed. Data folders (`data_folder`) go the same three ways.
"""

from __future__ import annotations

import atexit
import contextlib
import getpass
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import psutil

HOST = "127.0.0.1"
DATA = (
    "interplay-data-"  # the names of data folders begin so; the id of the process that they belong to follows
)
SAME_START = 1.0  # seconds by which two readings of one process's start time may differ
_running: list[Server] = []
_guard: subprocess.Popen[bytes] | None = None
_guarded_by_pid: int | None = None  # the process that started the guard: a fork of it must not use its pipe


class ServerError(RuntimeError):
    """A server did not start, or is not running; the message shows the end of its log."""


class Server:
    """A server process on a free port of 127.0.0.1.

    `command` is a list of words, in which "{port}" stands for the port. `start` waits until the process
    listens on it, and then until `ready(server)`, if given, says yes; after `timeout` seconds it gives up.
    As a context manager it stops at the end of the block. After `kill` or `stop`, `start` brings it back on
    the same port.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        ready: Callable[[Server], bool] | None = None,
        timeout: float = 15.0,
        env: dict[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        self.command = [str(word) for word in command]
        self.name = name
        self.ready = ready
        self.timeout = timeout
        self.env = env or {}
        self.cwd = cwd
        self.port = 0
        self.seconds_to_start = 0.0
        self.stop_signal = signal.SIGTERM  # what asks it to end in good order
        self.user: int | None = None  # the id of the user that it runs as; None: the one who starts it
        self._process: subprocess.Popen[bytes] | None = None
        self._log, self._log_reader = _append_and_read()

    @property
    def pid(self) -> int:
        """The id of the server's process; raises ServerError before the first start."""
        if self._process is None:
            raise ServerError(f"{self.name} has not been started: call start() first.")
        return self._process.pid

    @property
    def address(self) -> str:
        """Where the server listens, such as "127.0.0.1:50051"."""
        return f"{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process is running now."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Server:
        """Start the process and wait until it is ready; returns the server itself.

        Raises ServerError, with the end of the server's log, when it ends early or is not ready in time.
        """
        if self.alive:
            return self
        self._end(signal.SIGTERM, 3.0)  # tidies up after a process that ended on its own
        reap()
        self.port = self.port or free_port()
        began = time.monotonic()
        words = [word.replace("{port}", str(self.port)) for word in self.command]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.env},
                cwd=self.cwd,
                user=self.user,
                extra_groups=None if self.user is None else [],
                start_new_session=True,  # the kernel's interrupt (Ctrl-C) is not meant for the server
            )
        except OSError as error:
            raise ServerError(f"{self.name} cannot be started: {words[0]}: {error.strerror}.") from None
        try:
            _remember(self)
            self._wait_until_ready(began + self.timeout)
        except BaseException:  # an interrupted wait must not leave the process behind either
            self.stop()
            raise
        self.seconds_to_start = time.monotonic() - began
        return self

    def _wait_until_ready(self, deadline: float) -> None:
        while True:
            alive = self.alive  # before it is asked: it may say that it is ready, do its work and end
            if self._listens() and (self.ready is None or self.ready(self)):
                return
            if not alive:
                raise ServerError(
                    f"{self.name} ended before it was ready ({self._ending()}).{self._log_end()}"
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} was not ready within {self.timeout:g} seconds "
                    f"(nothing to use on {self.address}).{self._log_end()}"
                )
            time.sleep(0.02)

    def _listens(self) -> bool:  # the process itself: another program may have taken the port
        return any(address.endswith(f":{self.port}") for address in listening(self.pid))

    def stop(self, patience: float = 3.0) -> None:
        """End the process and its children: `stop_signal` (SIGTERM), and SIGKILL after `patience` seconds."""
        self._end(self.stop_signal, patience)

    def kill(self) -> None:
        """End the process at once, with no chance to tidy up: what `kill -9` does."""
        self._end(getattr(signal, "SIGKILL", signal.SIGTERM), 3.0)

    def _end(self, how: int, patience: float) -> None:
        if self._process is None:
            return
        family = _family(self._process.pid) if self.alive else []
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.send_signal(how)
        deadline = time.monotonic() + patience
        while any(_runs(process) for process in family) and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in family:
            with contextlib.suppress(psutil.Error):  # gone already, as it should be
                process.kill()
        self._process.wait()
        _forget(self)

    def log(self, lines: int = 20) -> str:
        """The last lines that the server has written, to its output and its errors."""
        return "\n".join(self._written().decode(errors="replace").splitlines()[-lines:])

    def _written(self) -> bytes:
        self._log_reader.seek(0)
        return self._log_reader.read()

    def _log_end(self) -> str:
        text = self.log()
        return f"\nThe end of its log:\n{text}" if text else " It wrote no log."

    def _ending(self) -> str:
        code = self._process.poll() if self._process else None
        if code is not None and code < 0:
            return f"by signal {-code}"
        return f"exit code {code}"

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"at {self.address}, process {self.pid}" if self.alive else "not running"
        return f"<{self.name} {state}>"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listening(pid: int) -> list[str]:
    """Where a process and its children listen, such as ["127.0.0.1:50051"]; [] when it is gone."""
    found = set()
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    # an IPv4 address, as an IPv6 socket sees it
                    ip = connection.laddr.ip.removeprefix("::ffff:")
                    found.add(f"{ip}:{connection.laddr.port}")
    return sorted(found)


def executable(pid: int) -> Path:
    """The program that a process is running (what /proc/<pid>/exe points to); ServerError when it is gone."""
    try:
        return Path(psutil.Process(pid).exe())
    except psutil.Error as error:
        raise ServerError(f"No process {pid} to ask: {error}.") from None


def missing(module: str, package: str = "") -> str:
    """ "" when `module` can be imported; else one sentence: which package is missing, and how to get it."""
    package = package or module
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or module).split(".")[0] != module.split(".")[0]:
            package = f"{package} (its part {error.name})"
        return (
            f"This section is skipped, because {package} is not installed here: run `make course` again, "
            f"or `python -m pip install {package.split()[0]}`, and restart the kernel."
        )
    except ImportError as error:
        reason = " ".join(str(error).split())
        return (
            f"This section is skipped, because {package} is installed but cannot be loaded here ({reason})."
        )
    return ""


def require(module: str, package: str = "") -> bool:
    """Whether `module` can be imported; if not, prints the sentence of `missing`."""
    sentence = missing(module, package)
    if sentence:
        print(sentence)
    return not sentence


def data_folder() -> Path:
    """A new empty folder for what a server keeps on disk; it is gone when this Python is.

    Others may pass through it, but not look into it: a database may have to run as another user.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{DATA}{os.getpid()}-"))
    folder.chmod(0o711)
    return folder


def _append_and_read() -> tuple[BinaryIO, BinaryIO]:
    """A new file, opened twice, and gone when both are closed: a process writes, and this one reads.

    With one descriptor for both, reading would move the writer's position: rows would be written over.
    """
    descriptor, name = tempfile.mkstemp()
    os.close(descriptor)
    path = Path(name)
    opened = path.open("ab"), path.open("rb")
    with contextlib.suppress(PermissionError):  # Windows keeps a file that is open
        path.unlink()
    return opened


def _remove_data(owner: int) -> None:
    """Remove the data folders of the process with this id (`guard.py` does the same)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{DATA}{owner}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def reap() -> list[int]:
    """End the servers whose kernel is gone and that are still running; returns their process ids."""
    ended = []
    for record in _records().glob("*.json"):
        try:
            entry = json.loads(record.read_text())
            owner, server = entry["owner"], entry["server"]
            if _find(*owner):
                continue
            orphan = _find(*server)
        except (OSError, ValueError, KeyError, TypeError):
            orphan = None  # half-written or not ours to read: nothing to kill
            if _age(record) < 5:  # its writer may be at it
                continue
        if orphan:
            for process in _family(orphan.pid):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            ended.append(orphan.pid)
        record.unlink(missing_ok=True)
    for folder in Path(tempfile.gettempdir()).glob(f"{DATA}*-*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            owner_pid = int(folder.name.removeprefix(DATA).split("-")[0])
            if not psutil.pid_exists(owner_pid) and (os.name == "nt" or folder.stat().st_uid == os.getuid()):
                _remove_data(owner_pid)
    return ended


def _records() -> Path:
    """The folder of this user's records, one for each server that runs."""
    user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"interplay-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise ServerError(f"{folder} belongs to somebody else; set TMPDIR to a folder of your own.")
    return folder


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _find(pid: int, started: float) -> psutil.Process | None:
    """The process with this id, if it is still the one that started then."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < SAME_START and _runs(process):
            return process
    return None


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that has ended, and waits for its parent to notice, has."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _family(pid: int) -> list[psutil.Process]:
    """A process and all its children."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _identity(pid: int) -> tuple[int, float]:
    try:
        return pid, psutil.Process(pid).create_time()
    except psutil.Error:
        return pid, 0.0  # gone already: matches no process


def _remember(server: Server) -> None:
    """Write the server's record, and have the guard watch it."""
    record = _records() / f"{server.pid}.json"
    entry = {"name": server.name, "server": _identity(server.pid), "owner": _identity(os.getpid())}
    record.write_text(json.dumps(entry))
    _running.append(server)
    _tell_guard("+", server.pid)


def _forget(server: Server) -> None:
    (_records() / f"{server.pid}.json").unlink(missing_ok=True)
    if server in _running:
        _running.remove(server)
        _tell_guard("-", server.pid)


def _tell_guard(sign: str, pid: int) -> None:
    """Tell the guard of a server that started (+) or ended (-); start the guard, when there is none."""
    global _guard, _guarded_by_pid
    lines = [(sign, pid)]
    if _guard is None or _guard.poll() is not None or _guarded_by_pid != os.getpid():
        script = Path(__file__).with_name("guard.py")
        _guard = subprocess.Popen(
            # -P: the folder of the script is not searched for modules
            [sys.executable, "-P", str(script), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _guarded_by_pid = os.getpid()
        lines = [("+", server.pid) for server in _running]
    assert _guard.stdin is not None
    for mark, number in lines:
        started = _identity(number)[1] if mark == "+" else 0.0
        with contextlib.suppress(OSError):  # the guard has just died: the records are still there
            _guard.stdin.write(f"{mark} {number} {started!r}\n".encode())
            _guard.stdin.flush()


@atexit.register
def _stop_all() -> None:
    if _guarded_by_pid == os.getpid():  # not in a forked copy of the kernel
        for server in list(_running):
            server.stop()
        _remove_data(os.getpid())
        if _guard and _guard.stdin:
            with contextlib.suppress(OSError):
                _guard.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                _guard.wait(2)

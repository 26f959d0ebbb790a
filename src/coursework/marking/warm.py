"""The marker's side of the zygote: it starts one in a sandbox, and has it fork kernels."""

import contextlib
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from coursework.marking import sandbox

ENVIRONMENT = {
    "PATH": f"{sys.prefix}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OPENBLAS_NUM_THREADS": "1",  # more threads would make it unsafe to fork
    "OMP_NUM_THREADS": "1",
}
"""All that a kernel knows of the marker's environment."""
START = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from coursework.marking.zygote import main
main()
"""


class Zygote:
    """A process in a sandbox of `kind` that has imported everything; ready when it is first asked."""

    def __init__(self, kind: str, hide: Path):
        self.kind = kind
        self._users = itertools.count(200_000 + 8 * os.getpid())
        self._ready = False
        self.kernels: set[int] = set()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = dict(ENVIRONMENT)
        command = [sys.executable, "-I", "-c", START, sandbox.PACKAGES, str(theirs.fileno()), kind]
        if kind == "bubblewrap":
            environment |= {"HOME": "/tmp", "MPLCONFIGDIR": "/tmp/matplotlib"}
            command = [*sandbox.bubblewrap(hide), "--", *command]
        else:
            environment["HOME"] = str(Path.home())
        with theirs, tempfile.TemporaryFile() as errors:
            self.process = subprocess.Popen(
                command, env=environment, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
            self._errors = os.dup(errors.fileno())

    def fork(self, role: str, descriptors: list[int], environment: dict[str, str], folder: str = "") -> int:
        """Start a kernel, and return a descriptor of its process. Raises NoSandbox where that fails."""
        root = os.geteuid() == 0 and (self.kind == "bubblewrap" or sandbox.open_to_all())
        user = next(self._users) if root else 0
        if folder and user:
            os.chown(folder, user, user)
        request = {
            "role": role,
            "user": user,
            "environment": ENVIRONMENT | environment,
            "folder": folder,
            "read": sandbox.readable(),
        }
        self._expect(b"ready", once=True)
        with contextlib.suppress(OSError):  # then it says nothing, either
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
        return self._expect(b"ok")[0]

    def sweep(self, ended: int) -> None:
        """Let go of a kernel by its number; where no namespace does it, end what it has left behind."""
        self.kernels.discard(ended)
        if self.kind == "landlock":
            self._socket.send(json.dumps({"sweep": True, "keep": sorted(self.kernels)}).encode())
            self._expect(b"swept")

    def close(self) -> None:
        """End it, and with it all its kernels."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        os.close(self._errors)

    def _expect(self, word: bytes, once: bool = False) -> list[int]:
        if once and self._ready:
            return []
        said, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 1)
        if said != word:
            why = (
                said.decode() or os.pread(self._errors, 2000, 0).decode().strip() or "it ended without a word"
            )
            raise sandbox.NoSandbox(f"No kernel could be started in the sandbox: {why}\n{sandbox.OTHERWISE}")
        self._ready = True
        return descriptors


@functools.cache
def _zygote(kind: str, hide: Path, process: int) -> Zygote:
    return Zygote(kind, hide)


def zygote(kind: str, hide: Path) -> Zygote:
    """This process's zygote, started by the first call; it ends with the process."""
    return _zygote(kind, hide, os.getpid())

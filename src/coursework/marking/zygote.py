"""A warm Python that forks kernels: everything slow is imported once, in one thread, inside the sandbox.

Each request on the socket is one JSON object with the descriptors that the new kernel is to use; the answer
is a descriptor of the new process. The end of the socket is the end of the zygote.
"""

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from coursework.marking import jail, landlock, wire

PRELOAD = """
    numpy.random simpy matplotlib.pyplot matplotlib.backends.backend_agg PIL.PngImagePlugin
    interplay interplay.figures hypothesis coursework.checks coursework.steps
"""
PR_SET_CHILD_SUBREAPER = 36
FAMILIES = {"bubblewrap": (1, 2, 10), "landlock": (1,)}
"""The sockets that a kernel may have: Unix, and where the network leads nowhere, internet."""


def main() -> None:
    """Import, then serve."""
    server, sandbox = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    cache = Path("/matplotlib")  # fonts that were found before
    if cache.exists():
        shutil.copytree(cache, os.environ["MPLCONFIGDIR"], dirs_exist_ok=True)
    from coursework.marking import kernel

    for name in PRELOAD.split():
        importlib.import_module(name)
    shell = kernel.new_shell()
    seccomp = jail.forbidden_calls(FAMILIES[sandbox])
    jail.call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.collect()
    gc.freeze()
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise SystemExit(f"the zygote has {threads} threads: a fork of it would not be safe")
    server.send(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(server, 1 << 16, 8)
        if not data:
            sweep(keep=[])
            return
        request = json.loads(data)
        if request.get("sweep"):
            sweep(request["keep"])
            server.send(b"swept")
        elif os.fork() == 0:
            try:
                become_kernel(server, request, descriptors, seccomp, shell)
            except BaseException as error:
                marker = socket.socket(fileno=descriptors[0])
                wire.send(marker, {"failed": f"{type(error).__name__}: {error}"})
            finally:
                os._exit(70)
        for descriptor in descriptors:
            os.close(descriptor)
        reap()


def become_kernel(
    server: socket.socket, request: dict[str, Any], descriptors: list[int], seccomp: Any, shell: Any
) -> None:
    """Enter the jail, then serve cells until the marker has gone."""
    from coursework.marking import kernel

    if not request["folder"]:
        jail.leave_company()
        child = os.fork()  # the first of the new process namespace: when it ends, all in it ends
        if child:
            socket.send_fds(server, [b"ok"], [os.pidfd_open(child)])
            os._exit(0)
        os.setsid()
        jail.furnish(request["read"])
        jail.give_up_privileges(request["user"], alone=True)
        home = "/tmp"
    else:
        socket.send_fds(server, [b"ok"], [os.pidfd_open(os.getpid())])
        os.setsid()
        jail.give_up_privileges(request["user"], alone=False)
        home = request["folder"]
        landlock.restrict(request["read"], [home, "/dev/null", "/dev/zero", "/dev/urandom"])
    seccomp.load()
    server.close()
    os.environ.clear()
    os.environ.update(request["environment"], HOME=home, TMPDIR=home, MPLCONFIGDIR=home, IPYTHONDIR=home)
    os.umask(0o077)
    folder = Path(home) / "submission"
    folder.mkdir()
    os.chdir(folder)
    kernel.serve(shell, [socket.socket(fileno=number) for number in descriptors], request["role"])


def reap() -> None:
    """Take leave of children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def sweep(keep: list[int]) -> None:
    """End every child but those of `keep`: what ended kernels have left behind comes to the zygote."""
    children = Path("/proc/thread-self/children")
    end = time.monotonic() + 5
    while time.monotonic() < end and (left := {int(n) for n in children.read_text().split()} - {*keep}):
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
        reap()

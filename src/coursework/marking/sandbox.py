"""The sandbox round the kernels: bubblewrap's, or landlock's; where there is none, the reason and the way.

bubblewrap gives the kernels' world: the system and this environment to read, nothing else of the machine, no
network. The kernels in it are kept from one another by `jail`.
"""

import functools
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

KINDS = ("bubblewrap", "landlock", "none")
NONE = (
    "No sandbox: what learners wrote runs with your rights. It can read and change your files and every "
    "other submission, use the network, and forge its own mark. Do this only with work that you trust."
)
OTHERWISE = """Ways on:
  - on Debian or Ubuntu: sudo apt-get install bubblewrap libseccomp2
  - --sandbox landlock, on Linux 6.12 or later: needs no installation; a little less strict
  - a machine or container of its own that you can lose, with --sandbox none: no protection at all"""
PACKAGES = str(Path(__file__).resolve().parents[2])
"""Where the course's own packages are, the ones that this process uses."""
SYSTEM = """
    /usr /bin /sbin /lib /lib32 /lib64 /etc/alternatives /etc/fonts /etc/ld.so.cache /etc/localtime
"""


class NoSandbox(Exception):
    """Learners' code cannot be run safely here; the message says why, and what can be done."""


def readable() -> list[str]:
    """What a kernel may read: the system, this Python, its environment, and the course's packages."""
    ours = Path(PACKAGES)
    packages = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    places = {sys.prefix, sys.base_prefix, *packages, str(ours / "coursework"), str(ours / "interplay")}
    return [*SYSTEM.split(), *sorted({str(Path(place).resolve()) for place in places})]


def open_to_all() -> bool:
    """Whether any user of this machine may read this Python: root's may stand where only root may go."""
    above = {folder for place in readable() for folder in (Path(place), *Path(place).parents)}
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in above if folder.exists())


def bubblewrap(hide: Path | None = None) -> list[str]:
    """The command that builds the sandbox; `hide` is a folder that must not be seen in it."""
    program = shutil.which("bwrap")
    if program is None:
        raise NoSandbox(
            f"Learners' code is not run without a sandbox, and bubblewrap is missing.\n{OTHERWISE}"
        )
    command = [
        program,
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--die-with-parent",
    ]
    if os.geteuid():
        command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    command += ["--cap-add", "ALL", "--hostname", "marking", "--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm"):
        command += ["--perms", "1777", "--size", str(64 << 20), "--tmpfs", folder]
    paths = [Path(path) for path in readable() if Path(path).exists()]
    for folder in sorted({str(above) for path in paths for above in path.parents} - {"/", "/tmp"}):
        command += ["--perms", "0755", "--dir", folder]
    for path in paths:
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        else:
            command += ["--ro-bind", str(path), str(path)]
    if hide and any(path in hide.resolve().parents for path in paths):
        command += ["--tmpfs", str(hide.resolve())]
    cache = Path(os.environ.get("MPLCONFIGDIR") or Path.home() / ".cache" / "matplotlib")
    command += ["--ro-bind-try", str(cache), "/matplotlib", "--remount-ro", "/dev", "--remount-ro", "/"]
    return command


def require(kind: str) -> None:
    """Raise NoSandbox where this kind of sandbox does not work here."""
    if kind not in KINDS:
        raise NoSandbox(f"There is no sandbox called {kind!r}; there are {', '.join(KINDS)}.")
    if kind != "none" and (reason := why_not(kind)):
        raise NoSandbox(f"Learners' code is not run without a sandbox, and {reason}.\n{OTHERWISE}")


def best() -> str:
    """The sandbox for work that is trusted anyway: the first that there is."""
    return next(kind for kind in KINDS if kind == "none" or not why_not(kind))


@functools.cache
def why_not(kind: str) -> str:
    """Why this kind of sandbox does not work here; empty where it does."""
    if platform.system() != "Linux":
        return f"{kind} needs Linux; this is {platform.system()}"
    try:
        import pyseccomp  # noqa: F401
    except (ImportError, RuntimeError) as error:
        return f"system calls cannot be filtered: {error}"
    if kind == "landlock":
        from coursework.marking import landlock

        found = landlock.version()
        old = f"version {found} of" if found > 0 else "no"
        return "" if found >= landlock.NEEDED else f"this kernel has {old} landlock (Linux 6.12 has it)"
    if not shutil.which("bwrap"):
        return "bubblewrap is missing"
    if covered := [place for place in readable() if place.startswith(("/dev/", "/proc/"))]:
        return f"bubblewrap gives each learner a /dev and /proc of its own, which would hide {covered[0]}"
    done = subprocess.run([*bubblewrap(), "/bin/true"], capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    forbidden = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    hint = ""
    if forbidden.exists() and forbidden.read_text().strip() == "1":
        hint = " (this Ubuntu forbids it: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
    return f"bubblewrap cannot build one: {done.stderr.strip() or done.returncode}{hint}"

"""What a freshly forked kernel does to itself before anybody's code runs in it (Linux only).

The zygote stands in a sandbox already, which bubblewrap has built: no network, no other processes, no files
but the system's and this environment's. Each kernel then gets its own of everything that two kernels could
meet in, has limits set, and gives all privileges back, for good.
"""

import ctypes
import fcntl
import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MB = 1 << 20
DISK = 64 * MB
LIMITS = {
    "AS": 4096 * MB,
    "DATA": 1024 * MB,
    "CPU": 600,
    "FSIZE": 32 * MB,
    "NPROC": 48,
    "NOFILE": 256,
    "MSGQUEUE": 0,
    "CORE": 0,
}
"""The kernel's resource limits, for each of its processes; CPU in seconds, the rest in bytes or pieces."""

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
FLAGS = (0x80, 0x2000000, NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET)
"""Each makes a new namespace in clone(2)."""

LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library; OSError where it fails."""
    result: int = getattr(LIBC, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def leave_company() -> None:
    """New namespaces of every kind; the process identifiers are new for the next child only."""
    call("unshare", NEWNS | NEWUTS | NEWIPC | NEWNET | NEWPID)


def furnish(readable: list[str]) -> None:
    """Private /proc, /tmp and /dev/shm, and a loopback interface that leads nowhere else.

    What is `readable` and stands in /tmp, as a course may that was cloned there, is put back.
    """
    nosuid_nodev, bind = 0x2 | 0x4, 0x1000
    os.umask(0o022)
    places = [Path(place) for place in readable if place.startswith("/tmp/")]
    kept = [(place, os.open(place, os.O_PATH)) for place in places if place.exists()]
    call("mount", b"proc", b"/proc", b"proc", nosuid_nodev | 0x8, None)
    for folder in (b"/tmp", b"/dev/shm"):
        call("mount", b"tmpfs", folder, b"tmpfs", nosuid_nodev, f"size={DISK},mode=1777".encode())
    for place, descriptor in kept:
        place.mkdir(parents=True, exist_ok=True)
        call("mount", f"/proc/self/fd/{descriptor}".encode(), str(place).encode(), None, bind, None)
        os.close(descriptor)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sH14x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS


def give_up_privileges(user: int, alone: bool) -> None:
    """Become `user` (0: stay who we are), take the limits, drop capabilities; `alone` in its namespaces."""
    Path("/proc/self/oom_score_adj").write_text("1000")  # where the machine's memory ends, this ends first
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
    for name, most in LIMITS.items():
        if name != "NPROC" or user or alone:  # which counts all of a user's processes
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    if user:
        os.setresuid(user, user, user)
    elif alone:
        call("unshare", NEWUSER)  # processes are counted anew in it, and it owns nothing
    call("capset", struct.pack("Ii", 0x20080522, 0), bytes(24))
    call("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


FORBIDDEN = """
    acct add_key bpf chroot delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
    init_module io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load
    keyctl mount mount_setattr move_mount name_to_handle_at open_by_handle_at open_tree
    perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace
    quotactl reboot request_key setns swapoff swapon syslog umount2 unshare userfaultfd vhangup
"""


def forbidden_calls(sockets: tuple[int, ...]) -> Any:
    """A filter that refuses what a learner's code has no need of, and sockets of other families."""
    import pyseccomp as s

    filter_ = s.SyscallFilter(s.ALLOW)
    for name in FORBIDDEN.split():
        filter_.add_rule(s.ERRNO(1), name)
    for flag in FLAGS:
        filter_.add_rule(s.ERRNO(1), "clone", s.Arg(0, s.MASKED_EQ, flag, flag))
    filter_.add_rule(s.ERRNO(38), "clone3")  # its flags cannot be seen: the C library then uses clone
    for argument in _all_but(sockets):
        filter_.add_rule(s.ERRNO(97), "socket", s.Arg(0, *argument))
    return filter_


def _all_but(families: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    import pyseccomp as s

    highest = max(families)
    yield s.GT, highest
    yield from ((s.EQ, family) for family in range(highest) if family not in families)

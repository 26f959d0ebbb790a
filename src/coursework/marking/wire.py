"""Messages between marker, kernels and examiner: JSON in frames of bounded size, over a socket.

Only plain data crosses. What comes from a learner's side may be any bytes at all: `parse` refuses what is
not a JSON object, and nothing else is ever done with them.
"""

import contextlib
import json
import select
import socket
import struct
import time
from typing import Any

HEAD = struct.Struct("!I")
MOST = 16 << 20
"""The largest frame, in bytes."""
ENDED = "the process that ran your code has ended"


class Gone(Exception):
    """The other side has ended, or does not keep to the protocol."""


class NotInTime(Exception):
    """No whole message came before the deadline."""


def send(to: socket.socket, message: dict[str, Any]) -> None:
    """Send one message. Raises Gone where nobody listens any more."""
    data = json.dumps(message).encode()
    if len(data) > MOST:
        raise ValueError(f"a message of {len(data)} bytes; {MOST} are allowed")
    try:
        to.sendall(HEAD.pack(len(data)) + data)
    except OSError as error:
        raise Gone(ENDED) from error


class Reader:
    """Reads messages from a socket, keeping what has come of an unfinished one."""

    def __init__(self, source: socket.socket):
        self.source, self._had = source, b""

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """The next message. Raises NotInTime after `timeout` seconds, and Gone."""
        end = None if timeout is None else time.monotonic() + timeout
        size = HEAD.unpack(self._take(HEAD.size, end, keep=True))[0]
        if size > MOST:
            raise Gone(f"your code sent {size} bytes at once")
        return parse(self._take(HEAD.size + size, end)[HEAD.size :])

    def _take(self, size: int, end: float | None, keep: bool = False) -> bytes:
        while len(self._had) < size:
            left = None if end is None else end - time.monotonic()
            if left is not None and (left < 0 or not select.select([self.source], [], [], left)[0]):
                raise NotInTime
            try:
                more = self.source.recv(min(1 << 20, size - len(self._had)))
            except OSError as error:
                raise Gone(ENDED) from error
            if not more:
                raise Gone(ENDED)
            self._had += more
        taken = self._had[:size]
        if not keep:
            self._had = self._had[size:]
        return taken


def parse(data: bytes) -> dict[str, Any]:
    """A message's content, with text that can be written to a file. Raises Gone for anything else."""
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(data)
        if b"\\ud" in data.lower():  # half of a surrogate pair can be sent, and cannot be written
            message = json.loads(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))
        if isinstance(message, dict):
            return message
    raise Gone("your code meddled with its kernel")

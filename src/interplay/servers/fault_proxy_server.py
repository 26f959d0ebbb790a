"""The TCP proxy that fails on purpose; `fault_proxy.py` says what each mode does, starts it and talks to it.

`python -m interplay.servers.fault_proxy_server PORT CONTROL_PORT TARGET_PORT`. No root, no packet filter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

from . import control
from .fault_proxy_connection import Connection
from .process import HOST

HOLDS = {"requests": {"black hole"}, "answers": {"black hole", "lost answers"}}
CUTS = {"reset", "refuse", "backlog full"}  # open connections are reset
TAPPED = 4096  # bytes kept in each direction
DEAF = {"refuse", "backlog full"}  # nobody accepts new ones


class Proxy:
    """One listening port, and the connections that came through it."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.mode, self.seconds = "pass", 0.0
        self.changed = asyncio.Event()
        self.connections: set[Connection] = set()
        self.door: asyncio.Server | None = None
        self.fillers: list[socket.socket] = []  # what fills the queue of new connections
        self.reset()

    def reset(self) -> None:
        """Set the counters to zero."""
        self.accepted = self.up = self.down = 0
        self.tapped = [bytearray(), bytearray()]  # the first bytes up, and down

    def report(self) -> dict[str, int]:
        """The counters."""
        return {
            "connections": self.accepted,
            "open": len(self.connections),
            "up": self.up,
            "down": self.down,
        }

    def count(self, up: bytes = b"", down: bytes = b"") -> None:
        """Note what passes."""
        self.up += len(up)
        self.down += len(down)
        for kept, piece in zip(self.tapped, (up, down), strict=True):
            kept += piece[: TAPPED - len(kept)]

    def tap(self) -> list[str]:
        """The first bytes in each direction."""
        return [bytes(kept).decode("latin-1") for kept in self.tapped]

    async def behave(self, mode: str, seconds: float = 0.0) -> None:
        """Change the mode."""
        self.mode, self.seconds = mode, seconds
        self.changed.set()  # wakes what is held; it looks again at the mode
        self.changed = asyncio.Event()
        if mode in CUTS:
            for connection in list(self.connections):
                connection.abort()
        if self.door and mode in DEAF:
            self.door.close()
            self.door = None
        while self.fillers:
            self.fillers.pop().close()
        if mode == "backlog full":
            await self.fill()
        elif mode != "refuse" and self.door is None:
            self.door = await asyncio.start_server(self.accept, sock=self.listen())

    def listen(self) -> socket.socket:
        """A socket at the port, as yet without a queue."""
        # named TCP, or asyncio does not switch Nagle's delay off: 40 ms, here and there
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # the port may still be in use by connections that have ended
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((HOST, self.port))
        return door

    async def fill(self) -> None:
        """Listen with the shortest queue there is, and connect until the kernel no longer answers."""
        door = self.listen()
        door.listen(0)
        self.fillers.append(door)
        for _ in range(16):
            filler = socket.socket()
            filler.setblocking(False)
            self.fillers.append(filler)
            try:
                connecting = asyncio.get_running_loop().sock_connect(filler, (HOST, self.port))
                await asyncio.wait_for(connecting, 0.2)
            except TimeoutError:
                return
            except ConnectionRefusedError:
                break
        raise OSError("this system does not leave a client without an answer when the queue is full")

    async def held(self, way: str) -> None:
        """Wait as long as the mode holds what goes this way."""
        while self.mode in HOLDS[way]:
            await self.changed.wait()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends."""
        self.accepted += 1
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # one side has gone, or it was cut
            await connection.carry()
        connection.abort()
        self.connections.discard(connection)


async def main(port: int, control_port: int, target: int) -> None:
    """Serve until the process is ended."""
    proxy = Proxy(port, target)
    methods = {"behave": proxy.behave, "report": proxy.report, "tap": proxy.tap, "reset": proxy.reset}
    async with await control.serve(control_port, methods):
        await proxy.behave("pass")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))

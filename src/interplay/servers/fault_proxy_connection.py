"""One connection through the fault proxy: a side each to client and server, and what is held in between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from .process import HOST

if TYPE_CHECKING:
    from .fault_proxy_server import Proxy

LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # closing sends RST, not FIN


class Connection:
    """A connection from a client, and the one to the target, which is opened with the first bytes."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.proxy, self.client, self.to_client = proxy, client, to_client
        self.to_target: asyncio.StreamWriter | None = None
        self.answering: list[asyncio.Task[None]] = []

    async def carry(self) -> None:
        """Pass requests on until the client has no more, and then what is left of the answers."""
        while piece := await self.client.read(65536):
            self.proxy.count(up=piece)
            if self.proxy.mode == "reset":
                return
            await self.proxy.held("requests")
            if self.to_target is None:
                target, self.to_target = await asyncio.open_connection(HOST, self.proxy.target)
                line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
                work = self.collect(target, line), self.deliver(line)
                self.answering = [asyncio.create_task(w) for w in work]
            self.to_target.write(piece)
            await self.to_target.drain()
        await self.proxy.held("requests")
        if self.to_target:
            self.to_target.write_eof()
            await asyncio.gather(*self.answering)

    async def collect(self, target: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Note when each piece of an answer may go on: the delay must not add up from piece to piece."""
        piece = b"-"
        while piece:
            try:
                piece = await target.read(65536)
            except OSError:
                piece = b""
            late = self.proxy.seconds if self.proxy.mode == "delay" else 0.0
            line.put_nowait((time.monotonic() + late, piece))

    async def deliver(self, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Send the answers to the client, whole or drop by drop; an empty piece is the end."""
        proxy, piece = self.proxy, b"-"
        while piece:
            due, piece = await line.get()
            await asyncio.sleep(due - time.monotonic())
            rest = piece
            while rest:
                await proxy.held("answers")
                size = len(rest)
                if proxy.mode == "drip":
                    size = 1
                    await asyncio.sleep(proxy.seconds)
                proxy.count(down=rest[:size])
                self.to_client.write(rest[:size])
                await self.to_client.drain()
                rest = rest[size:]
        await proxy.held("answers")
        self.to_client.close()

    def abort(self) -> None:
        """End both sides at once; a client whose connection is open gets a RST."""
        for writer in (self.to_client, self.to_target):
            if writer and not writer.is_closing():
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                writer.transport.abort()
        for task in self.answering:
            task.cancel()

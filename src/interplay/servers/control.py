"""The controls of the course's own servers: a second port of 127.0.0.1; a JSON line asks, another answers.

The business port stays as it is in real life: nothing on it is counted, delayed or measured that a client of
the shop did not send.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import sys
from typing import Any

from .process import HOST, Server, ServerError, free_port


class Controlled(Server):
    """A server that runs a module of this package, as a process of its own, with controls beside its port.

    The module is given the port, the port of the controls, and `words`.
    """

    def __init__(self, module: str, *words: str, name: str) -> None:
        self.control_port = free_port()
        # -P: the notebook's folder is not searched for modules
        command = [sys.executable, "-P", "-m", f"{__package__}.{module}", "{port}", str(self.control_port)]
        super().__init__([*command, *words], name=name)
        while self.port in (0, self.control_port):
            self.port = free_port()

    @property
    def url(self) -> str:
        """Where an HTTP client finds it, such as "http://127.0.0.1:8000"."""
        return f"http://{self.address}"

    def reset(self) -> None:
        """Set the counters to zero; the behaviour stays."""
        self.ask("reset")

    def ask(self, what: str, **arguments: Any) -> Any:
        """Call a control of the server; raises ServerError when it does not answer or refuses."""
        return ask(self, self.control_port, what, **arguments)


def ask(server: Server, port: int, what: str, **arguments: Any) -> Any:
    """Call a control of a server; raises ServerError when it does not answer or refuses."""
    try:
        with socket.create_connection((HOST, port), timeout=10) as line:
            line.sendall(json.dumps([what, arguments]).encode() + b"\n")
            answer = json.loads(line.makefile().readline())
    except (OSError, ValueError):
        state = "does not answer" if server.alive else f"is not running ({server._ending()})"
        raise ServerError(f"{server.name} {state}.{server._log_end()}") from None
    if "error" in answer:
        raise ServerError(f"{server.name}: {answer['error']}")
    return answer["result"]


async def serve(port: int, methods: dict[str, Any]) -> asyncio.Server:
    """Answer on 127.0.0.1:port, in the process of the server; what a method raises is told to the asker."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            what, arguments = json.loads(await reader.readline())
            result = methods[what](**arguments)
            said = {"result": await result if inspect.isawaitable(result) else result}
        except Exception as error:
            said = {"error": str(error) or type(error).__name__}
        writer.write(json.dumps(said).encode() + b"\n")
        writer.close()

    return await asyncio.start_server(answer, HOST, port)

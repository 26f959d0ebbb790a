"""A real TCP proxy that can be told to fail: put it before any server, on 127.0.0.1, and call the proxy.

It knows nothing of HTTP or gRPC: it passes bytes on, counts them, holds them back. What each mode does:

* "pass"          passes everything on.
* "delay"         an answer is `seconds` late (each piece of it, and not one after the other): a round trip
                  costs that much more. Requests are not late.
* "black hole"    connections are accepted and nothing is passed on, as behind a cut cable. What was held goes
                  on when the mode changes: TCP would have sent it again.
* "lost answers"  requests arrive and are worked on; their answers are held.
* "reset"         open connections are reset at once (TCP RST), new ones at the first byte of a request.
* "refuse"        nobody listens, so the kernel says no to each connection; open ones are reset.
* "drip"          an answer comes a byte at a time, `seconds` apart.
* "backlog full"  it listens and does not accept, and the kernel's queue of new connections is full, for the
                  proxy fills it. Linux then leaves a client that wants to connect without an answer, as if
                  there were no host (listen(2)); elsewhere the proxy says so when it is not so. Open
                  connections are reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arguments import number, one_of
from .control import Controlled
from .process import Server, ServerError

MODES = ["pass", "delay", "black hole", "lost answers", "reset", "refuse", "drip", "backlog full"]


@dataclass(frozen=True)
class Report:
    """What the proxy has counted since its start or last reset."""

    connections: int  # that clients opened
    open: int  # now
    up: int  # bytes that came from clients
    down: int  # bytes that went to clients


class FaultProxy(Controlled):
    """A running proxy with its controls. To a client it looks like the server behind it."""

    def behave(self, mode: str = "pass", seconds: float = 0.1) -> None:
        """Do this to connections from now on; `seconds` are those of "delay" and "drip"."""
        checked: dict[str, Any] = {"mode": one_of("mode", mode, MODES)}
        self.ask("behave", **checked, seconds=number("seconds", seconds, least=0))

    def report(self) -> Report:
        """The proxy's counters."""
        return Report(**self.ask("report"))

    def tap(self) -> tuple[bytes, bytes]:
        """The first 4096 bytes that came from clients, and that went to them, since the last reset."""
        up, down = self.ask("tap")
        return up.encode("latin-1"), down.encode("latin-1")

    def can(self, mode: str) -> bool:
        """Whether a mode can be had on this system; "pass" is the mode afterwards."""
        try:
            self.behave(mode)
        except ServerError:
            return False
        finally:
            self.behave()
        return True


def start(server: Server) -> FaultProxy:
    """Start a proxy before a server, in mode "pass"; raises ServerError if it cannot."""
    proxy = FaultProxy("fault_proxy_server", str(server.port), name=f"proxy before {server.name}")
    proxy.start()
    return proxy

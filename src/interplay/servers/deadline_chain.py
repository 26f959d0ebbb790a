"""Services on real gRPC that call each other, web → gateway → orders → inventory, with a deadline.

On the wire a deadline is relative: the header grpc-timeout says what is left (gRPC's PROTOCOL-HTTP2.md), and
each process adds it to its own clock. Python's gRPC hands nothing on by itself, neither the deadline nor the
cancellation: a service has to do both, and here each can be switched off.
The client rounds what is left up, never down: to 10 ms above a second, to 100 ms above ten (gRPC's
timeout_encoding.cc; measured), so a service may see a little more than its caller has. What grpcio's server
does (measured with 1.85.1):

* `context.time_remaining()` is what is left;
* `context.add_callback(f)` calls f when the call has ended: also when the caller has left;
* a call whose deadline passes while it waits for a thread of the server is dropped: its handler never runs;
* a handler that runs is not stopped. Python cannot stop a thread: the handler has to look.

`grpc` is imported when it is used: without grpcio this module loads, and `require` has the sentence to show.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from ..arguments import number, whole
from .control import Controlled
from .grpc_orders import OPTIONS
from .process import Server, ServerError

METHOD = "/shop.Chain/Buy"
FOR_THE_COUNTERS = "for the counters only: the user leaves at"
TIMES = ["began", "left", "worked", "held", "late", "useless", "noticed"]
NORMAL: dict[str, Any] = {
    "work": 0.0,  # seconds in each call, before the next service is called
    "slow": 0.0,  # share of the orders that take `slow_work` instead, drawn from (seed, order)
    "slow_work": 1.0,
    "seed": 1,
    "propagate": True,  # the call onward gets what is left of the deadline
    "reserve": 0.0,  # less so many seconds, for what is to be done with the answer
    "own": math.inf,  # and never more than so many; without `propagate` just these, started afresh
    "stops": True,  # when the caller has left, stop the work and cancel the call onward
}


@dataclass(frozen=True)
class Report:
    """What a service has counted. One entry in each array per call that was begun, in that order."""

    received: (
        int  # calls that reached the process; those that are not in the arrays were dropped in its queue
    )
    order: list[str]
    began: np.ndarray  # seconds since the start or the last reset
    left: np.ndarray  # seconds of the deadline at that moment; inf without one
    worked: np.ndarray  # seconds of its own work
    held: np.ndarray  # seconds that it held a worker, for its own work and for the answer of the next service
    late: np.ndarray  # how many of those came after its caller, the service before it, had left
    useless: np.ndarray  # seconds of its own work after the user's deadline, the one given to `buy`
    noticed: np.ndarray  # seconds after it began that the caller left; nan when it did not
    status: list[str]  # "OK", "CANCELLED" (the caller had left), what the call onward ended in, or "OPEN"


class ChainServer(Controlled):
    """A running service of the chain with its controls."""

    def behave(self, **behaviour: Any) -> None:
        """Do it like this from now on; what is not named goes back to normal.

        work=0.1 (seconds in each call); slow=0.05, slow_work=0.5, seed=1 (this share of the orders takes that
        long); propagate=False (the deadline is not handed on); own=0.3 (seconds for the call onward);
        reserve=0.02 (seconds kept back from the deadline that is handed on); stops=False (works on after the
        caller has left, and does not cancel the call onward).
        """
        self.ask("behave", **_checked(behaviour))

    def report(self) -> Report:
        """The service's counters."""
        answer = self.ask("report")
        rows = answer["rows"]
        order, *times, status = zip(*rows, strict=True) if rows else [()] * 9
        arrays: dict[str, Any] = {name: np.array(t, float) for name, t in zip(TIMES, times, strict=True)}
        return Report(received=answer["received"], order=list(order), status=list(status), **arrays)

    def settle(self, patience: float = 10.0) -> None:
        """Wait until no call is at work; raises ServerError when one still is after `patience` seconds."""
        deadline = time.monotonic() + patience
        while "OPEN" in self.report().status:
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} is still at work after {patience:g} seconds.")
            time.sleep(0.01)


class Chain:
    """A client of the first service of a chain: one gRPC channel."""

    def __init__(self, address: str) -> None:
        import grpc

        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self._buy = self.channel.unary_unary(METHOD, lambda message: json.dumps(message).encode(), json.loads)

    def buy(self, order: str, timeout: float | None = None) -> Any:
        """Buy: {"order": …, "path": [services]}. Raises grpc.RpcError; without `timeout`: no deadline."""
        return self._buy(_request(order, timeout), timeout=timeout)

    def begin(self, order: str, timeout: float | None = None) -> Any:
        """Begin to buy, and go on: gRPC's future, with `cancel()` and `result()`."""
        return self._buy.future(_request(order, timeout), timeout=timeout)

    def __enter__(self) -> Chain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()


def start(name: str, *, calls: Server | None = None, workers: int = 8, **behaviour: Any) -> ChainServer:
    """Start a service that calls the next one, if there is one; see `ChainServer.behave`.

    It has so many `workers` (threads): more calls wait. Raises ServerError if it cannot start.
    """
    words = [name, calls.address if calls else "", str(whole("workers", workers, least=1))]
    server = ChainServer("deadline_chain_server", *words, json.dumps(_checked(behaviour)), name=name)
    server.start()
    return server


def connect(server: Server) -> Chain:
    """A client on a connection of its own."""
    return Chain(server.address)


def _request(order: str, timeout: float | None) -> dict[str, Any]:
    """The user's moment goes along for `Report.useless`: here all processes have one clock, for once."""
    return {"order": order, FOR_THE_COUNTERS: math.inf if timeout is None else time.time() + timeout}


def _checked(behaviour: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(behaviour) - set(NORMAL))
    if unknown:
        raise TypeError(f"no behaviour called {', '.join(unknown)}; there are: {', '.join(NORMAL)}")
    for name, value in behaviour.items():
        if name not in ("propagate", "stops"):
            number(name, value, least=0, most=1 if name == "slow" else math.inf)
    return behaviour

"""One service of the chain; `deadline_chain.py` says what it can do, starts it and talks to it.

`python -m interplay.servers.deadline_chain_server PORT CONTROL_PORT NAME CALLS WORKERS BEHAVIOUR`. A worker
is a thread of gRPC's server, and each call holds one from its beginning to its end.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from . import control
from .deadline_chain import FOR_THE_COUNTERS, METHOD, NORMAL
from .grpc_orders import OPTIONS
from .process import HOST

ENDLESS = 1e9  # seconds: what gRPC says is left when there is no deadline is far more
WORKED, HELD, LATE, USELESS, NOTICED, STATUS = range(3, 9)  # columns, after order, began, left


def pack(message: Any) -> bytes:
    """A message on the wire."""
    return json.dumps(message).encode()


class Caller:
    """Who waits for the answer, and when they left."""

    def __init__(self, context: Any) -> None:
        self.gone = threading.Event()
        self.gone_at = math.inf
        if not context.add_callback(self._leave):  # too late: the call has ended already
            self._leave()

    def _leave(self) -> None:
        self.gone_at = time.monotonic()
        self.gone.set()


class Service(grpc.GenericRpcHandler):
    """Does its own work, calls on, answers, and counts."""

    def __init__(self, name: str, calls: str, behaviour: dict[str, Any]) -> None:
        self.name = name
        self.onward: Any = None
        if calls:
            self.onward = grpc.insecure_channel(calls, options=OPTIONS).unary_unary(METHOD, pack, json.loads)
        self.handler = grpc.unary_unary_rpc_method_handler(self.buy, json.loads, pack)
        self.reset()
        self.behave(**behaviour)

    def reset(self) -> None:
        """Set the counters to zero."""
        self.received = 0
        self.rows: list[list[Any]] = []  # order, began, left, worked, held, late, useless, noticed, status
        self.began = time.monotonic()

    def report(self) -> dict[str, Any]:
        """The counters."""
        return {"received": self.received, "rows": self.rows}

    def behave(self, **behaviour: Any) -> None:
        """Do it like this from now on; what is not named goes back to normal."""
        self.behaviour = {**NORMAL, **behaviour}

    def service(self, handler_call_details: Any) -> Any:
        """gRPC asks who serves a call, when it arrives."""
        if handler_call_details.method != METHOD:
            return None
        self.received += 1
        return self.handler

    def buy(self, request: Any, context: Any) -> Any:
        """Serve one call, in a thread of its own."""
        b, began, caller = self.behaviour, time.monotonic(), Caller(context)
        left = context.time_remaining()
        if left is None or left > ENDLESS:
            left = math.inf
        row = [request["order"], began - self.began, left, 0.0, 0.0, 0.0, 0.0, math.nan, "OPEN"]
        self.rows.append(row)
        path: list[str] = []
        failed: tuple[Any, str] | None = None
        try:
            self.work(self.seconds(request["order"]), caller, b["stops"])
            row[WORKED] = time.monotonic() - began
            row[USELESS] = min(row[WORKED], max(0.0, time.time() - request[FOR_THE_COUNTERS]))
            if self.onward and not (b["stops"] and caller.gone.is_set()):
                path = self.call_on(request, began + left, caller, context)
        except grpc.RpcError as error:
            failed = error.code(), f"{self.name}: {error.details()}"
        except (grpc.FutureCancelledError, NothingLeft):
            failed = grpc.StatusCode.DEADLINE_EXCEEDED, f"{self.name}: no time is left to call on"
        ended = time.monotonic()
        row[HELD] = ended - began
        row[LATE] = max(0.0, ended - caller.gone_at)
        row[STATUS] = failed[0].name if failed else "OK"
        if caller.gone.is_set():
            row[NOTICED] = caller.gone_at - began
            row[STATUS] = "CANCELLED"
        if failed:
            context.abort(*failed)
        return {"order": request["order"], "path": [self.name, *path]}

    def seconds(self, order: str) -> float:
        """How long the work for this order takes, whenever it comes."""
        b = self.behaviour
        slow = random.Random(f"{b['seed']}/{order}").random() < b["slow"]
        return float(b["slow_work"] if slow else b["work"])

    def work(self, seconds: float, caller: Caller, stops: bool) -> None:
        """Work; `stops` looks whether anybody still waits for it."""
        if stops:
            caller.gone.wait(seconds)
        else:
            time.sleep(seconds)

    def call_on(self, request: Any, expires: float, caller: Caller, context: Any) -> list[str]:
        """Call the next service, with the deadline and the cancellation handed on, or without."""
        b, timeout = self.behaviour, self.behaviour["own"]
        if b["propagate"]:
            timeout = min(timeout, expires - time.monotonic() - b["reserve"])
        if timeout <= 0:
            raise NothingLeft
        call = self.onward.future(request, timeout=None if timeout == math.inf else timeout)
        if b["stops"] and not context.add_callback(call.cancel):
            call.cancel()
        return list(call.result()["path"])


class NothingLeft(Exception):
    """There is no time to call on."""


async def main(port: int, control_port: int, service: Service, workers: int) -> None:
    """Serve until the process is ended: calls in threads, the controls in the event loop."""
    methods = {"behave": service.behave, "report": service.report, "reset": service.reset}
    controls = await control.serve(control_port, methods)
    # two servers must not share a port
    server = grpc.server(ThreadPoolExecutor(workers), [service], options=[("grpc.so_reuseport", 0)])
    server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    await controls.serve_forever()


if __name__ == "__main__":
    name, calls, workers, behaviour = sys.argv[3:]
    service = Service(name, calls, json.loads(behaviour))
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), service, int(workers)))

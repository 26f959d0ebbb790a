"""Start the shop's inventory as a real gRPC server, call it, and measure the calls.

The retry policy itself is not here: a notebook writes it out, as the JSON of gRPC's service config, and
gives it to `connect`. What the client then does (grpcio is built on gRPC's C core; files are in its
src/core):

* `maxAttempts` counts the first attempt, and is cut down to 5 (retry_service_config.cc).
* The wait before retry n is min(initialBackoff · multiplierⁿ⁻¹, maxBackoff), times a factor from 0.8 to 1.2
  (gRFC A6 since github.com/grpc/proposal/pull/452 of 2024; before, it asked for full jitter;
  retry_interceptor.cc; measured).
* `retryThrottling` costs a token per attempt that failed with a retryable status (the last one too), gives
  `tokenRatio` back per success, and allows retries above half of `maxTokens` (retry_throttle.cc). gRFC A6
  asks for one bucket per server name; with grpcio 1.85.1 each channel has its own (retry_filter.cc;
  measured).
* A failure after the server has sent headers is never retried (gRFC A6, "committed"); nor a status not
  listed.
* `hedgingPolicy` is accepted and ignored: hedging is not built (retry_filter.cc; measured: one attempt).
* A backoff of 1 ms can make calls hang (github.com/grpc/grpc/issues/41036; measured: 16 of 20), so `connect`
  refuses anything below 10 ms.

`grpc` is imported when it is used: without grpcio this module loads, and `require` has the sentence to show.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .process import Server

# Set before grpc is imported: its C core otherwise writes lines of its own into the notebook, such as
# "clamped retryPolicy.maxAttempts at 5".
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

SERVICE = "shop.Inventory"
SHORTEST_BACKOFF = 0.01  # seconds
_COMMON = [
    ("grpc.enable_http_proxy", 0),  # a proxy of the learner's company has no business here
    ("grpc.use_local_subchannel_pool", 1),  # each connect() is a connection of its own
    ("grpc.initial_reconnect_backoff_ms", 100),  # after a crash, look again soon
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", -1),
]


@dataclass(frozen=True)
class Report:
    """What the server has counted. One entry in each array per attempt, in the order of arrival."""

    seconds: np.ndarray  # arrival, since the server's start or last reset
    order: list[str]
    attempt: np.ndarray  # 1, 2, … for each order
    previous: np.ndarray  # the header grpc-previous-rpc-attempts, 0 where it is absent
    status: list[str]
    effects: dict[str, int]  # reservations made, for each order
    effects_of_keys: dict[str, int]  # reservations made, for each idempotency key

    @property
    def attempts(self) -> Counter[str]:
        """How many attempts each order made; `attempts.total()` is all of them."""
        return Counter(self.order)


class ShopServer(Server):
    """A running inventory (or a service in the middle) with its controls."""

    def behave(self, **behaviour: Any) -> None:
        """Fail like this from now on; what is not named goes back to normal.

        seed=1; share=0.3 (of attempts fails); first=2 (attempts of each order fail); outage=2.5 (seconds from
        now, or math.inf); status="UNAVAILABLE"; after_effect=True (the reply is lost, not the request);
        pushback_ms=50 (sent with a failure; -1: do not retry); work=0.01 (seconds in each attempt).
        """
        _refuse_unknown(behaviour)
        self._control("Behave", behaviour)

    def report(self) -> Report:
        """The server's counters."""
        answer = self._control("Report", {})
        seconds, order, attempt, previous, status = (
            zip(*answer["rows"], strict=True) if answer["rows"] else [()] * 5
        )
        return Report(
            np.array(seconds, float),
            list(order),
            np.array(attempt, int),
            np.array(previous, int),
            list(status),
            answer["effects"],
            answer["effects_of_keys"],
        )

    def reset(self) -> None:
        """Set the counters to zero and forget all orders and keys; the behaviour stays."""
        self._control("Reset", {})

    def _control(self, method: str, request: Any) -> Any:
        with connect(self) as shop:
            return shop.call(method, request, timeout=5, wait=True)


class Shop:
    """A client of the inventory: one gRPC channel."""

    def __init__(self, address: str, service_config: dict[str, Any] | None) -> None:
        import grpc

        _refuse_short_backoff(service_config)
        options: list[tuple[str, Any]] = list(_COMMON)
        if service_config is not None:
            options.append(("grpc.service_config", json.dumps(service_config)))
        self.channel = grpc.insecure_channel(address, options=options)
        self._methods: dict[str, Any] = {}

    def reserve(self, order: str, key: str | None = None, quantity: int = 1, timeout: float = 5.0) -> Any:
        """Reserve stock for an order; returns the reply, raises grpc.RpcError when the call fails for good.

        `timeout` is the deadline in seconds for all attempts together.
        """
        return self.call("Reserve", {"order": order, "key": key, "quantity": quantity}, timeout)

    def call(self, method: str, request: Any, timeout: float, wait: bool = False) -> Any:
        """Call any method of the service; `wait` for a connection instead of failing while there is none."""
        if method not in self._methods:
            self._methods[method] = self.channel.unary_unary(f"/{SERVICE}/{method}", _pack, json.loads)
        return self._methods[method](request, timeout=timeout, wait_for_ready=wait)

    def __enter__(self) -> Shop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()


@dataclass(frozen=True)
class Measured:
    """What the caller saw. One entry in each array per call, in the order of the calls given."""

    ok: np.ndarray  # booleans
    status: list[str]  # "OK", "UNAVAILABLE", …
    started: np.ndarray  # seconds since the first call
    seconds: np.ndarray  # how long the call took, with all its attempts and waits


def start(
    name: str = "inventory",
    *,
    calls: Server | None = None,
    service_config: dict[str, Any] | None = None,
    **behaviour: Any,
) -> ShopServer:
    """Start an inventory that behaves like this (see `ShopServer.behave`); raises ServerError if it cannot.

    With `calls` it is a service in the middle: each attempt that reaches it calls that server, with
    `service_config` for its own retries, and passes the outcome on.
    """
    _refuse_unknown(behaviour)
    _refuse_short_backoff(service_config)
    script = Path(__file__).with_name("grpc_shop_server.py")
    command = [sys.executable, "-P", str(script), "{port}", json.dumps(behaviour)]
    command += [calls.address if calls else "", json.dumps(service_config or {})]
    server = ShopServer(command, name=name)
    server.start()
    return server


def connect(server: Server, service_config: dict[str, Any] | None = None) -> Shop:
    """A client on a connection of its own; without a retry policy in `service_config` nothing is retried."""
    return Shop(server.address, service_config)


def measure(call: Callable[[str], Any], orders: Iterable[str], together: int = 1) -> Measured:
    """Time `call(order)` for each order, `together` at a time; a failed call is recorded, not raised."""
    import grpc

    zero = time.perf_counter()

    def one(order: str) -> tuple[str, float, float]:
        began = time.perf_counter()
        status = "OK"
        try:
            call(order)
        except grpc.RpcError as error:
            status = error.code().name
        return status, began - zero, time.perf_counter() - began

    with ThreadPoolExecutor(together) as pool:
        status, started, seconds = zip(*pool.map(one, orders), strict=True)
    return Measured(np.array([s == "OK" for s in status]), list(status), np.array(started), np.array(seconds))


def fails(seed: int, order: str, attempt: int, share: float) -> bool:
    """Whether the server lets attempt number 1, 2, … of an order fail, when `share` of the attempts does."""
    from .grpc_shop_server import fails

    return fails(seed, order, attempt, share)


def _pack(message: Any) -> bytes:
    return json.dumps(message).encode()


def _refuse_unknown(behaviour: dict[str, Any]) -> None:
    from .grpc_shop_server import NORMAL

    unknown = sorted(set(behaviour) - set(NORMAL))
    if unknown:
        raise TypeError(f"no behaviour called {', '.join(unknown)}; there are: {', '.join(NORMAL)}")


def _refuse_short_backoff(service_config: dict[str, Any] | None) -> None:
    for method in (service_config or {}).get("methodConfig", []):
        policy = method.get("retryPolicy", {})
        for name in ("initialBackoff", "maxBackoff"):
            if name in policy and float(str(policy[name]).removesuffix("s")) < SHORTEST_BACKOFF:
                raise ValueError(
                    f"{name} {policy[name]} is too short: below {SHORTEST_BACKOFF} s gRPC may hang"
                )

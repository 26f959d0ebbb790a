"""Start the shop's orders as a real gRPC server, and call them: one answer to a call, or a stream of them.

The messages are those of shop.proto. `grpc` is imported when it is used: without grpcio this module loads,
and `require` has the sentence to show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from ..arguments import one_of
from . import orders, proto
from .grpc_shop import _COMMON  # also keeps gRPC's C core from writing lines of its own into the notebook
from .orders import OrdersServer, Report
from .process import Server

__all__ = ["GrpcOrders", "OrdersServer", "Report", "connect", "start"]
SERVICE = "shop.Orders"
POLICIES = ["pick_first", "round_robin"]
# 100 ms for connecting, as in unit 03, is not enough when a proxy delays the answers.
OPTIONS = [option for option in _COMMON if option[0] != "grpc.min_reconnect_backoff_ms"]


class GrpcOrders:
    """A client of the orders: one channel, which keeps its connection, or a new one for each call."""

    def __init__(self, address: str, reuse: bool, policy: str = "pick_first") -> None:
        self.address = address
        self.policy = policy
        self.messages = proto.shop()
        self._channel = self._open() if reuse else None

    def _open(self) -> Any:
        import grpc

        balance = json.dumps({"loadBalancingConfig": [{self.policy: {}}]})
        return grpc.insecure_channel(self.address, options=[*OPTIONS, ("grpc.service_config", balance)])

    def get(self, order: str, timeout: float | None = 5.0) -> Any:
        """Ask for an order: an Order. Raises grpc.RpcError when the call fails; `timeout` in seconds."""
        return self._call("Get", self.messages.OrderRequest(order_id=order), timeout)

    def body(self, order: str) -> bytes:
        """The order as it comes, without frames and headers."""
        return self.get(order).SerializeToString()

    def place(self, order: str, lines: int = 20, wait: bool = True, timeout: float | None = 5.0) -> Any:
        """Place an order: answered when its work is done, or (`wait=False`) when it is noted."""
        asked = orders.lines_of_order(lines)
        return self._call(
            "Place", self.messages.PlaceRequest(order_id=order, lines=asked, wait=wait), timeout
        )

    def watch(self, order: str, timeout: float | None = None) -> Iterator[Any]:
        """The status of an order, and each change of it when it happens; leaving the loop ends the stream."""
        channel = self._channel or self._open()
        try:
            method = channel.unary_stream(
                f"/{SERVICE}/Watch",
                self.messages.OrderRequest.SerializeToString,
                self.messages.Update.FromString,
            )
            updates = method(self.messages.OrderRequest(order_id=order), timeout=timeout)
            try:
                yield from updates
            finally:
                updates.cancel()
        finally:
            self._close(channel)

    def _call(self, method: str, request: Any, timeout: float | None) -> Any:
        channel = self._channel or self._open()
        try:
            call = channel.unary_unary(
                f"/{SERVICE}/{method}", type(request).SerializeToString, self.messages.Order.FromString
            )
            return call(request, timeout=timeout)
        finally:
            self._close(channel)

    def _close(self, channel: Any) -> None:
        if channel is not self._channel:
            channel.close()

    def __enter__(self) -> GrpcOrders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel:
            self._channel.close()


def start(**behaviour: Any) -> OrdersServer:
    """Start the orders over gRPC; see `OrdersServer.behave`. Raises ServerError if it cannot."""
    return orders.start("grpc", behaviour)


def connect(server: Server | Iterable[Server], reuse: bool = True, policy: str = "pick_first") -> GrpcOrders:
    """A client of a server, or of a proxy before it; `reuse=False`: a connection of its own for each call.

    With several servers one channel has all their addresses. gRPC's `policy` is then "pick_first" (its
    default: one of them, as long as it lives) or "round_robin" (all that live, in turn).
    """
    one_of("policy", policy, POLICIES)
    servers = [server] if isinstance(server, Server) else list(server)
    addresses = ",".join(one.address for one in servers)
    return GrpcOrders(addresses if len(servers) == 1 else f"ipv4:{addresses}", reuse, policy)

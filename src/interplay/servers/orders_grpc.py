"""The shop's orders over gRPC: the same order in Protocol Buffers, as shop.proto says."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from . import proto
from .orders import Broken, LineIsFull
from .orders_server import Orders
from .process import HOST

SERVICE = "shop.Orders"
CODES = {LineIsFull: grpc.StatusCode.RESOURCE_EXHAUSTED, Broken: grpc.StatusCode.UNAVAILABLE}


def handlers(orders: Orders) -> Any:
    """The methods of the service, as gRPC wants them."""
    shop = proto.shop()

    async def get(request: Any, context: Any) -> Any:
        try:
            await orders.work(request.order_id, _port(context))
        except (LineIsFull, Broken) as error:
            await context.abort(CODES[type(error)], str(error))
        return shop.Order(**orders.show(request.order_id))

    async def place(request: Any, context: Any) -> Any:
        fields = ("sku", "quantity", "price_cents")
        lines = [{name: getattr(line, name) for name in fields} for line in request.lines]
        try:
            placed = await orders.place(request.order_id, lines, _port(context), request.wait)
        except (LineIsFull, Broken) as error:
            await context.abort(CODES[type(error)], str(error))
        return shop.Order(**placed)

    async def watch(request: Any, context: Any) -> AsyncIterator[Any]:
        async for update in orders.updates(request.order_id):
            yield shop.Update(**update)

    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    methods = {
        "Get": unary(get, shop.OrderRequest.FromString, shop.Order.SerializeToString),
        "Place": unary(place, shop.PlaceRequest.FromString, shop.Order.SerializeToString),
        "Watch": stream(watch, shop.OrderRequest.FromString, shop.Update.SerializeToString),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _port(context: Any) -> int:
    return int(context.peer().rsplit(":", 1)[-1])  # "ipv4:127.0.0.1:50051"


async def serve(orders: Orders, port: int) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])  # two servers must not share a port
    server.add_generic_rpc_handlers((handlers(orders),))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()

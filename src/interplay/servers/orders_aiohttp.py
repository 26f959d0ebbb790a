"""The shop's orders over HTTP and JSON, with aiohttp."""

import asyncio
import json
from functools import partial
from typing import Any

from aiohttp import web

from .orders import Broken, LineIsFull
from .orders_server import Orders
from .process import HOST

compact = partial(json.dumps, separators=(",", ":"))  # as FastAPI writes it


@web.middleware
async def refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    """503 when too many are waiting, 500 when the work fails."""
    try:
        answer: web.StreamResponse = await handler(request)
    except LineIsFull as error:
        return web.Response(text=str(error), status=503)
    except Broken as error:
        return web.Response(text=str(error), status=500)
    return answer


def application(orders: Orders) -> web.Application:
    """The paths of the service."""

    async def get(request: web.Request) -> web.Response:
        order = request.match_info["order"]
        await orders.work(order, _port(request))
        return web.json_response(orders.show(order), dumps=compact)

    async def place(request: web.Request) -> web.Response:
        asked = await request.json()
        order = asked["order_id"]
        wait = request.headers.get("Prefer") != "respond-async"
        placed = await orders.place(order, asked["lines"], _port(request), wait)
        where = {"Location": f"/orders/{order}"}
        return web.json_response(placed, status=201 if wait else 202, headers=where, dumps=compact)

    async def events(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        async for update in orders.updates(request.match_info["order"]):
            await stream.write(f"id: {update['seq']}\nevent: status\ndata: {compact(update)}\n\n".encode())
        return stream

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application(middlewares=[refusals])
    app.router.add_get("/healthz", health)
    app.router.add_get("/orders/{order}", get)
    app.router.add_post("/orders", place)
    app.router.add_get("/orders/{order}/events", events)
    return app


def _port(request: web.Request) -> int:
    return int(request.get_extra_info("peername", ("", 0))[1])


async def serve(orders: Orders, port: int) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(application(orders), access_log=None, keepalive_timeout=120)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await asyncio.Event().wait()

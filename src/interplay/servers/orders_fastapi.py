"""The shop's orders over HTTP and JSON, with FastAPI on uvicorn."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse

from .orders import Broken, LineIsFull
from .orders_server import Orders
from .process import HOST


def application(orders: Orders) -> FastAPI:
    """The paths of the service."""
    app = FastAPI()

    @app.exception_handler(LineIsFull)
    async def full(request: Request, error: LineIsFull) -> Response:
        return Response(str(error), status_code=503)

    @app.exception_handler(Broken)
    async def broken(request: Request, error: Broken) -> Response:
        return Response(str(error), status_code=500)

    @app.get("/healthz")
    async def health() -> str:
        return "ok"

    @app.get("/orders/{order}")
    async def get(order: str, request: Request) -> dict[str, Any]:
        await orders.work(order, _port(request))
        return orders.show(order)

    @app.post("/orders", status_code=201)
    async def place(
        request: Request,
        response: Response,
        order_id: Annotated[str, Body()],
        lines: Annotated[list[dict[str, Any]], Body()],
        prefer: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:
        wait = prefer != "respond-async"
        placed = await orders.place(order_id, lines, _port(request), wait)
        response.status_code = 201 if wait else 202
        response.headers["Location"] = f"/orders/{order_id}"
        return placed

    @app.get("/orders/{order}/events")
    async def events(order: str) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for update in orders.updates(order):
                yield f"id: {update['seq']}\nevent: status\ndata: {json.dumps(update)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    return app


def _port(request: Request) -> int:
    return request.client.port if request.client else 0


async def serve(orders: Orders, port: int) -> None:
    """Serve until the process is ended."""
    config = uvicorn.Config(
        application(orders),
        host=HOST,
        port=port,
        http="h11",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve()

"""One service: `python -m interplay.servers.traced_shop_server PORT CONTROL_PORT NAME SETTINGS`.

What is special to tracing stands in `set_up`, and in two lines each of `publish` and `consume`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from typing import Any

import httpx
import nats.js.errors
import uvicorn
from fastapi import FastAPI, Response
from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from . import control
from .process import HOST
from .traced_shop import STREAM, SUBJECT

tracer = trace.get_tracer("shop")


def set_up(name: str, receiver: str) -> None:
    """Send the spans of this process to the receiver, under its name."""
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    exporter = OTLPSpanExporter(endpoint=f"{receiver}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
    trace.set_tracer_provider(provider)
    HTTPXClientInstrumentor().instrument()


class Forgetful(TraceContextTextMapPropagator):
    """W3C trace context; it `forgets` to inject it, where it is told to."""

    forgets = False

    def inject(self, *arguments: Any, **named: Any) -> None:
        """Put the headers into what is sent, or leave it as it is."""
        if not self.forgets:
            super().inject(*arguments, **named)


class Service:
    """The work of one service."""

    def __init__(self, name: str, told: dict[str, Any]) -> None:
        self.name, self.told = name, told
        self.context = Forgetful()
        propagate.set_global_textmap(self.context)
        self.behave(told["seconds"], False, False)
        self.client = httpx.AsyncClient(timeout=10, trust_env=False)

    def behave(self, seconds: float, fails: bool, forgets: bool) -> None:
        """Work so long from now on; fail, or not; pass the context on, or not."""
        self.seconds, self.fails, self.context.forgets = seconds, fails, forgets

    def write(self, order: str, said: str) -> None:
        """A line of the log, with the ids that tie it to others."""
        ids = trace.get_current_span().get_span_context()
        row = {"at": time.time(), "service": self.name, "trace": f"{ids.trace_id:032x}"}
        os.write(1, json.dumps({**row, "order": order, "said": said}).encode() + b"\n")

    async def serve(self, order: str) -> int:
        """Handle a call: work, call the next, leave a message; the status."""
        began = time.monotonic()
        await asyncio.sleep(self.seconds)
        status = 500 if self.fails else 200
        if status == 200 and self.told["next"]:
            answer = await self.client.post(f"{self.told['next']}/orders/{order}")
            status = 200 if answer.status_code == 200 else 502
        if status == 200 and self.name == "orders":
            await self.publish(order)
        took = 1000 * (time.monotonic() - began)
        self.write(order, f"answers {status} after {took:.0f} ms")
        return status

    async def publish(self, order: str) -> None:
        """Leave a message for shipping, with the context of this span in its headers."""
        with tracer.start_as_current_span(f"send {SUBJECT}", kind=SpanKind.PRODUCER):
            headers: dict[str, str] = {}
            propagate.inject(headers)
            await self.stream.publish(SUBJECT, order.encode(), headers=headers or None)

    async def consume(self) -> None:
        """Take what is there, a batch at a time: one span, linked to where each message came from."""
        mine = await self.stream.pull_subscribe(SUBJECT, durable="shipping", stream=STREAM)
        while True:
            with contextlib.suppress(nats.errors.TimeoutError):
                messages = await mine.fetch(self.told["batch"], timeout=5)
                senders = [propagate.extract(m.headers or {}, context.Context()) for m in messages]
                links = [Link(trace.get_current_span(sender).get_span_context()) for sender in senders]
                known = [link for link in links if link.context.is_valid]
                name = f"process {SUBJECT}"
                with tracer.start_as_current_span(name, kind=SpanKind.CONSUMER, links=known) as span:
                    span.set_attribute("messaging.batch.message_count", len(messages))
                    await asyncio.sleep(self.seconds)
                    if self.fails:
                        span.set_status(StatusCode.ERROR, "no label")
                    for message in messages:
                        self.write(message.data.decode(), "no label" if self.fails else "label printed")
                        await message.ack()

    async def connect(self) -> None:
        """Reach the broker; shipping makes the stream, an empty one."""
        line = await nats.connect(self.told["nats"])
        self.stream = line.jetstream()
        if self.name == "shipping":
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await self.stream.delete_stream(STREAM)
            await self.stream.add_stream(name=STREAM, subjects=[SUBJECT])
            self.consuming = asyncio.create_task(self.consume())

    def application(self) -> FastAPI:
        """Its paths; OpenTelemetry extracts the context of each call, and makes a span."""
        app = FastAPI()

        @app.post("/orders/{order}")
        async def post(order: str) -> Response:
            return Response(status_code=await self.serve(order))

        FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
        return app


async def main(port: int, control_port: int, name: str, told: dict[str, Any]) -> None:
    """Serve until the process is ended."""
    os.environ["NO_PROXY"] = HOST  # the receiver is on this machine
    set_up(name, told["otlp"])
    service = Service(name, told)
    if name in ("orders", "shipping"):
        await service.connect()
    config = uvicorn.Config(
        service.application(), host=HOST, port=port, lifespan="off", log_level="warning", access_log=False
    )
    async with await control.serve(control_port, {"behave": service.behave}):
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])))

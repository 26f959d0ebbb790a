"""The receiver as a process: `python -m interplay.servers.otlp_server PORT CONTROL_PORT`."""

import asyncio
import gzip
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

from . import control
from .process import HOST

KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")


class Spans(BaseHTTPRequestHandler):
    """Takes POST /v1/traces, in protobuf."""

    protocol_version = "HTTP/1.1"
    rows: list[list[Any]] = []  # noqa: RUF012 (one list for all connections)

    def do_POST(self) -> None:
        """Keep the spans of one export."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in otlp.ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes(resource.resource.attributes).get("service.name", "?")
            for scope in resource.scope_spans:
                self.rows.extend(row(service, span) for span in scope.spans)
        answer = otlp.ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def row(service: str, span: Any) -> list[Any]:
    """A span as plain data; see `otlp.Span`."""
    ids = [span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()]
    links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
    times = [span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9]
    what = [service, span.name, KINDS[span.kind]]
    return [*ids, links, *what, *times, STATUSES[span.status.code], attributes(span.attributes)]


def attributes(pairs: Any) -> dict[str, Any]:
    """What is of a simple type: texts, numbers, true and false."""
    found = {pair.key: pair.value.WhichOneof("value") for pair in pairs}
    return {pair.key: getattr(pair.value, found[pair.key]) for pair in pairs if _simple(found[pair.key])}


def _simple(kind: str | None) -> bool:
    return kind in ("string_value", "int_value", "double_value", "bool_value")


async def main(port: int, control_port: int) -> None:
    """Serve until the process is ended."""
    http = ThreadingHTTPServer((HOST, port), Spans)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    methods = {"spans": lambda: list(Spans.rows), "reset": Spans.rows.clear}
    async with await control.serve(control_port, methods):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

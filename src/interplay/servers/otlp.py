"""Where OpenTelemetry sends its spans: a receiver of OTLP over HTTP that keeps them in memory.

What a collector does in production, without storage: `otlp_server.py` takes the spans, here they are read.
Source: OpenTelemetry Protocol specification, OTLP/HTTP, https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import process
from .control import Controlled
from .process import ServerError


class Span(NamedTuple):
    """A span as it was received. `parent` is "" at the start of a trace; times are seconds since the epoch.

    `kind` is "server", "client", "producer", "consumer" or "internal"; `status` is "unset", "ok" or "error".
    `links` are the (trace, span) of others that it is connected with and not called by.
    """

    trace: str
    span: str
    parent: str
    links: tuple[tuple[str, str], ...]
    service: str
    name: str
    kind: str
    start: float
    end: float
    status: str
    attributes: dict[str, Any]


class Receiver(Controlled):
    """A running receiver; `url` is what an exporter is given, with /v1/traces behind it."""

    def spans(self) -> list[Span]:
        """All spans received so far, by their start."""
        spans = [Span(*row) for row in self.ask("spans")]
        spans = [span._replace(links=tuple((t, s) for t, s in span.links)) for span in spans]
        return sorted(spans, key=lambda span: span.start)

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Span]:
        """The spans, as soon as there are so many: exporters send theirs late. ServerError if they do not."""
        deadline = time.monotonic() + seconds
        while len(spans := self.spans()) < count:
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} has {len(spans)} spans, not {count}, after {seconds:g} s.")
            time.sleep(0.05)
        return spans


def joined(spans: Iterable[Span], trace: str) -> list[Span]:
    """The spans of this trace and, behind its messages, of the traces that are linked to it."""
    spans = list(spans)
    traces = [trace]
    for known in traces:
        more = [s.trace for s in spans if any(link == known for link, _ in s.links)]
        traces += [name for name in dict.fromkeys(more) if name not in traces]
    return [span for span in spans if span.trace in traces]


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    return process.missing("opentelemetry.proto", "opentelemetry-exporter-otlp-proto-http")


def start() -> Receiver:
    """Start a receiver; raises ServerError if it cannot."""
    if sentence := missing():
        raise ServerError(sentence)
    receiver = Receiver("otlp_server", name="the OTLP receiver")
    receiver.start()
    return receiver

"""A shop of four processes, traced by OpenTelemetry: calls, and behind them a message queue.

gateway → orders → payments are calls (FastAPI, httpx); orders then leaves a message in a NATS JetStream
stream, and answers; shipping takes what is there, in batches. Each process sends its spans to a receiver
(`otlp.py`), and writes its log with the trace's id in each line.

The context goes over a call as the parent, which OpenTelemetry's instrumentation sees to. Over the queue it
is a link, made by hand: a batch comes from several orders, and a span has one parent at most. (So say
OpenTelemetry's semantic conventions for messaging.)
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from ..arguments import number, one_of, whole
from . import process
from .control import Controlled
from .nats_server import Nats
from .otlp import Receiver
from .process import ServerError

SERVICES = ("gateway", "orders", "payments", "shipping")
SUBJECT, STREAM = "parcels", "PARCELS"
WORK = {"gateway": 0.005, "orders": 0.02, "payments": 0.05, "shipping": 0.1}
PACKAGES = {
    "opentelemetry.instrumentation.fastapi": "opentelemetry-instrumentation-fastapi",
    "opentelemetry.instrumentation.httpx": "opentelemetry-instrumentation-httpx",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "httpx": "httpx",
    "nats": "nats-py",
}


class TracedShop:
    """The running shop; `processes` are its four servers, by name."""

    def __init__(self, processes: dict[str, Controlled]) -> None:
        import httpx

        self.processes = processes
        self._client = httpx.Client(timeout=10, trust_env=False)

    def order(self, name: str) -> int:
        """Place an order at the gateway: the status of the answer, such as 200."""
        gateway = self.processes["gateway"]
        try:
            return int(self._client.post(f"{gateway.url}/orders/{name}").status_code)
        except Exception as error:  # httpx has kinds of its own
            raise ServerError(f"the gateway does not answer: {error!r}") from None

    def behave(
        self, service: str, *, seconds: float | None = None, fails: bool = False, forgets: bool = False
    ) -> None:
        """From now on this service works so long (s; None: as in WORK) on each call or batch.

        With `fails` the work ends in an error; with `forgets` the service does not pass the context on.
        """
        told = WORK[one_of("service", service, SERVICES)] if seconds is None else seconds
        number("seconds", told, least=0)
        self.processes[service].ask("behave", seconds=told, fails=bool(fails), forgets=bool(forgets))

    def log(self) -> list[dict[str, Any]]:
        """The lines of all four logs, by time: dicts with at, service, trace, order and said."""
        lines = [line for server in self.processes.values() for line in server.log(10_000).splitlines()]
        rows = [json.loads(line) for line in lines if line.startswith('{"at": ')]
        return sorted(rows, key=lambda row: row["at"])

    def stop(self) -> None:
        """End all four."""
        self._client.close()
        for server in self.processes.values():
            server.stop()

    def __enter__(self) -> TracedShop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    for module, package in PACKAGES.items():
        if sentence := process.missing(module, package):
            return sentence
    return ""


def require() -> bool:
    """Whether it can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(broker: Nats, receiver: Receiver, *, batch: int = 10) -> TracedShop:
    """Start the four processes, with an empty stream (2 to 9 s); raises ServerError if one cannot.

    Shipping takes up to `batch` messages at once.
    """
    if sentence := missing():
        raise ServerError(sentence)
    settings = {"nats": broker.url, "otlp": receiver.url, "batch": whole("batch", batch, least=1)}
    processes: dict[str, Controlled] = {}
    for name in ("payments", "orders", "gateway", "shipping"):
        after = {"gateway": "orders", "orders": "payments"}.get(name)
        told = {**settings, "seconds": WORK[name], "next": processes[after].url if after else ""}
        processes[name] = Controlled("traced_shop_server", name, json.dumps(told), name=name)
    shop = TracedShop({name: processes[name] for name in SERVICES})
    try:
        with ThreadPoolExecutor(len(SERVICES)) as pool:  # most of a start is imports
            list(pool.map(Controlled.start, processes.values()))
    except BaseException:
        shop.stop()
        raise
    return shop

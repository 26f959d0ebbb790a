"""An Envoy before one server, with limits: a token bucket, and thresholds on what is open and what waits.

Envoy calls the thresholds circuit breaking, though nothing opens and closes again: one request more than
they allow is answered with 503 at once (a bulkhead, unit 04). With HTTP/1.1 behind, a connection carries one
request at a time: `max_connections` requests are in service, `max_pending_requests` wait.
Source: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking
"""

from __future__ import annotations

from typing import Any

from ..arguments import whole
from . import envoy_config
from .envoy import Envoy, free_ports
from .orders import OrdersServer

CLUSTER = "orders"


class LimitingEnvoy(Envoy):
    """A running Envoy with limits before a server."""

    @property
    def limit(self) -> dict[str, Any]:
        """The rate limit's filter, as Envoy reads it; {} without one."""
        filters = self._http["http_filters"][:-1]
        return filters[0]["typed_config"] if filters else {}

    @property
    def thresholds(self) -> dict[str, Any]:
        """The circuit breaker's thresholds, as Envoy reads them; {} where its own (1024 of each) hold."""
        breakers = self.config["static_resources"]["clusters"][0].get("circuit_breakers")
        return breakers["thresholds"][0] if breakers else {}

    @property
    def _http(self) -> dict[str, Any]:
        chain = self.config["static_resources"]["listeners"][0]["filter_chains"][0]
        return chain["filters"][0]["typed_config"]

    def limited(self) -> dict[str, int]:
        """Requests the token bucket let pass ("ok"), and those it answered with 429 ("rate_limited")."""
        return {n: self.stat(f"limit.http_local_rate_limit.{n}") for n in ("ok", "rate_limited")}

    def overflow(self) -> dict[str, int]:
        """How often each threshold said no.

        Only "pending" and "requests" cost a request its life: at the limit of "connections" it waits.
        """
        names = {"connections": "cx", "pending": "rq_pending", "requests": "rq_active"}
        return {
            name: self.stat(f"cluster.{CLUSTER}.upstream_{part}_overflow") for name, part in names.items()
        }


def start(
    server: OrdersServer,
    *,
    rate: int | None = None,
    burst: int | None = None,
    max_connections: int | None = None,
    max_pending_requests: int | None = None,
    max_requests: int | None = None,
) -> LimitingEnvoy:
    """Start an Envoy before the server; what is not named is not limited (by Envoy's default: to 1024).

    `rate` is in requests per second, `burst` the size of the bucket (as `rate`, when it is not given).
    `max_requests` counts where one connection carries many requests: with gRPC behind. Raises ServerError if
    Envoy cannot start, or cannot run on this system.
    """
    filters = []
    if rate is not None:
        size = rate if burst is None else burst
        filters.append(envoy_config.rate_limit(whole("rate", rate, least=1), whole("burst", size, least=1)))
    limits = {
        "max_connections": max_connections,
        "max_pending_requests": max_pending_requests,
        "max_requests": max_requests,
    }
    set_ = {name: whole(name, value, least=0) for name, value in limits.items() if value is not None}
    more = {"circuit_breakers": {"thresholds": [set_]}} if set_ else {}
    (port,) = free_ports(1)
    entry = envoy_config.http("edge", [envoy_config.route(CLUSTER)], filters)
    cluster = envoy_config.cluster(CLUSTER, [server.port], http2=server.protocol == "grpc", **more)
    edge = LimitingEnvoy(
        [envoy_config.listener("edge", port, entry)], [cluster], name=f"envoy before {server.name}"
    )
    edge.start()
    return edge

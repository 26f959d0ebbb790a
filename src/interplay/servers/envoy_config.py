"""The parts of an Envoy's configuration, as dicts: what the admin page /config_dump shows, and no more.

A listener is a port with filters in a row. The last filter hands the request, or the connection, to a
cluster: servers that are called under one name. Times are given in seconds.
Source: https://www.envoyproxy.io/docs/envoy/v1.36.0/api-v3/api
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .process import HOST

Part = dict[str, Any]
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def seconds(value: float) -> str:
    """A time as Envoy's JSON wants it: "0.025000s"."""
    return f"{value:.6f}s"


def percent(share: float) -> Part:
    """A share from 0 to 1 as Envoy's FractionalPercent."""
    return {"numerator": round(share * 1_000_000), "denominator": "MILLION"}


def extension(name: str, kind: str, **settings: Any) -> Part:
    """A filter or another plug-in: its name, and the type of its settings, a protobuf message."""
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **settings}}


def address(port: int) -> Part:
    """A port of 127.0.0.1."""
    return {"socket_address": {"address": HOST, "port_value": port}}


def listener(name: str, port: int, last: Part, tls: Part | None = None) -> Part:
    """A port of 127.0.0.1 and the filter behind it; `tls`: only encrypted connections."""
    chain: Part = {"filters": [last]}
    if tls:
        chain["transport_socket"] = tls
    # without reuse_port: or two Envoys could share the port, and each get some of the connections
    return {"name": name, "address": address(port), "enable_reuse_port": False, "filter_chains": [chain]}


def tcp(name: str, cluster: str) -> Part:
    """L4: a connection goes to one server of the cluster, with all that is said on it."""
    kind = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    return extension("envoy.filters.network.tcp_proxy", kind, stat_prefix=name, cluster=cluster)


def http(name: str, routes: Iterable[Part], filters: Iterable[Part] = (), **more: Any) -> Part:
    """L7: requests are read, HTTP/1.1 or HTTP/2; each takes the first route that fits, after the filters."""
    kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")
    host = {"name": "all", "domains": ["*"], "include_request_attempt_count": True, "routes": [*routes]}
    return extension(
        "envoy.filters.network.http_connection_manager",
        kind,
        stat_prefix=name,
        route_config={"virtual_hosts": [host]},
        http_filters=[*filters, router],
        **more,
    )


def route(cluster: str | Part, prefix: str = "/", timeout: float = 0.0, **more: Any) -> Part:
    """Requests whose path begins with `prefix` go to a cluster, or to several by weight.

    `timeout` is for the whole request with all its attempts; 0: none.
    """
    where = {"cluster": cluster} if isinstance(cluster, str) else {"weighted_clusters": cluster}
    return {"match": {"prefix": prefix}, "route": {**where, "timeout": seconds(timeout), **more}}


def cluster(name: str, ports: Sequence[int], http2: bool = False, **more: Any) -> Part:
    """Servers under one name; `http2` is how gRPC is spoken to them."""
    endpoints = [{"endpoint": {"address": address(port)}} for port in ports]
    if http2:
        kind = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}"}
        speaks = {HTTP_OPTIONS: {**kind, "explicit_http_config": {"http2_protocol_options": {}}}}
        more = {"typed_extension_protocol_options": speaks, **more}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        **more,
    }


def health_check(every: float, path: str = "") -> Part:
    """Ask each server of a cluster so often: GET `path` must say 200; without a path, it must accept.

    One answer is enough to be in or out. Until the first one, Envoy sends nothing to a server.
    """
    asks = {"http_health_check": {"path": path}} if path else {"tcp_health_check": {}}
    times = {"interval": seconds(every), "no_traffic_interval": seconds(every), "timeout": seconds(every)}
    return {**times, "unhealthy_threshold": 1, "healthy_threshold": 1, **asks}


def rate_limit(rate: int, burst: int) -> Part:
    """A filter with a token bucket: `rate` tokens come per second, it holds `burst`; without one: 429."""
    always = {"default_value": percent(1.0)}
    return extension(
        "envoy.filters.http.local_ratelimit",
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="limit",
        token_bucket={"max_tokens": burst, "tokens_per_fill": rate, "fill_interval": "1s"},
        filter_enabled=always,
        filter_enforced=always,
    )

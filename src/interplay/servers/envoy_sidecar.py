"""A sidecar: an Envoy beside one service, that carries its calls, injects faults, and counts.

Beside a service that is called it is *inbound*; beside the caller *outbound*, and does what the mesh's policy
says. `envoy_mesh.py` starts them.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from ..arguments import number, whole
from . import envoy_config
from .certificates import Identity
from .envoy import Envoy
from .envoy_config import Part

HEALTH = "/healthz"  # the services say 200 there
TLS = "envoy.extensions.transport_sockets.tls.v3"


class Sidecar(Envoy):
    """A running sidecar."""

    def __init__(self, listeners: list[Any], clusters: list[Any], name: str) -> None:
        runtime = {"layers": [{"name": "what is changed while it runs", "admin_layer": {}}]}
        super().__init__(listeners, clusters, name, layered_runtime=runtime, stats_flush_interval="0.2s")

    def fault(self, abort: float = 0.0, delay: float = 0.0, seconds: float = 0.1, status: int = 503) -> None:
        """From now on answer a share `abort` with `status`, and hold a share `delay` up for so many seconds.

        Envoy draws, for each request anew, and takes whole percents. In the caller's sidecar an abort comes
        before the retries, and is not retried.
        """
        settings = {
            "fault.http.abort.abort_percent": _percent("abort", abort),
            "fault.http.abort.http_status": whole("status", status, least=200),
            "fault.http.delay.fixed_delay_percent": _percent("delay", delay),
            "fault.http.delay.fixed_duration_ms": round(1000 * number("seconds", seconds, least=0)),
        }
        self.ask("POST", f"/runtime_modify?{urlencode(settings)}")

    def drain(self) -> None:
        """Say no to health checks from now on, and end connections after their next answer."""
        self.ask("POST", "/healthcheck/fail")

    def restore(self) -> None:
        """The opposite of `drain`."""
        self.ask("POST", "/healthcheck/ok")

    def hosts(self) -> list[dict[str, Any]]:
        """The servers it calls: cluster, port, whether they get requests, why not, and their counters."""
        found = []
        for cluster in json.loads(self.ask("GET", "/clusters?format=json"))["cluster_statuses"]:
            for host in cluster.get("host_statuses", []):
                status = host["health_status"]
                flags = [name for name, value in status.items() if name.startswith("failed_") and value]
                counts = {entry["name"]: int(entry.get("value", 0)) for entry in host["stats"]}
                port = host["address"]["socket_address"]["port_value"]
                row: dict[str, Any] = {
                    "cluster": cluster["name"],
                    "port": port,
                    "healthy": not flags,
                    "why": flags,
                }
                found.append(
                    {**row, **{name: counts[name] for name in ("rq_total", "rq_success", "rq_error")}}
                )
        return found

    def percentiles(self, name: str) -> dict[float, float]:
        """One of Envoy's histograms, in ms: {50.0: 1.05, 99.0: 4.1, …} of "cluster.orders.upstream_rq_time".

        Since its start: `reset` does not empty it. {} as long as nothing is in it; up to 0.2 s old.
        """
        for line in self.ask("GET", "/stats?usedonly").splitlines():
            if line.startswith(f"{name}: P0("):
                found = re.findall(r"P([\d.]+)\([^,]*,([\d.]+)\)", line)
                return {float(percentile): float(value) for percentile, value in found}
        return {}


def _percent(name: str, share: float) -> int:
    return round(100 * number(name, share, least=0, most=1))


def filters(inbound: bool) -> list[Part]:
    """What each request passes: the answer to health checks (inbound), and the faults, none at first."""
    never = envoy_config.percent(0.0)
    kind = "envoy.extensions.filters.http.fault.v3.HTTPFault"
    faults = envoy_config.extension(
        "envoy.filters.http.fault",
        kind,
        abort={"http_status": 503, "percentage": never},
        delay={"fixed_delay": "0.1s", "percentage": never},
    )
    health = envoy_config.extension(
        "envoy.filters.http.health_check",
        "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=True,
        headers=[{"name": ":path", "string_match": {"exact": HEALTH}}],
    )
    return [health, faults] if inbound else [faults]


def tls(mine: Identity, theirs: str, *, inbound: bool) -> Part:
    """Encrypt, show who I am, and talk only to who can show that they are `theirs`: mutual TLS."""
    shows = {"certificate_chain": _inline(mine.certificate), "private_key": _inline(mine.key)}
    name = {"san_type": "DNS", "matcher": {"exact": theirs}}
    trusts = {"trusted_ca": _inline(mine.authority), "match_typed_subject_alt_names": [name]}
    newest = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    common = {"tls_params": newest, "tls_certificates": [shows], "validation_context": trusts}
    more: Part
    if inbound:
        kind, more = f"{TLS}.DownstreamTlsContext", {"require_client_certificate": True}
    else:
        kind, more = f"{TLS}.UpstreamTlsContext", {"sni": theirs}
    return envoy_config.extension("envoy.transport_sockets.tls", kind, common_tls_context=common, **more)


def _inline(text: str) -> Part:
    return {"inline_string": text}

"""A small service mesh: a sidecar beside the caller, and one beside each replica of the service it calls.

    caller → outbound sidecar → (mutual TLS, if the policy wants it) → inbound sidecar → replica

The caller and the replicas know nothing of it: the same code, the policy around it as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ..arguments import number, refuse
from ..mesh import MeshPolicy
from . import envoy_config, envoy_policy, envoy_sidecar
from .certificates import Authority
from .envoy import free_ports
from .envoy_sidecar import Sidecar
from .replica_set import ReplicaSet

CALLER, CALLED = "web.shop", "orders.shop"  # the names in their certificates


class Mesh:
    """Running sidecars: `outbound` is the caller's, `inbound` are those of the replicas, in their order."""

    def __init__(self, policy: MeshPolicy, versions: Mapping[str, ReplicaSet], authority: Authority | None):
        self.policy = policy
        self.versions = dict(versions)
        self.authority = authority  # whom the sidecars trust; None without mutual TLS
        self.inbound: list[Sidecar] = []
        self.outbound: Sidecar

    @property
    def address(self) -> str:
        """Where the caller finds the service: the port of its sidecar."""
        return self.outbound.address

    @property
    def url(self) -> str:
        """The same for an HTTP client."""
        return self.outbound.url

    def stats(self) -> dict[str, int]:
        """What the caller's sidecar has counted since its start or last reset; the last three are of now."""
        add = {
            "requests": r"^http\.outbound\.downstream_rq_total",
            "attempts": r"^cluster\.[^.]+\.upstream_rq_total",
            "retries": r"^cluster\.[^.]+\.upstream_rq_retry",
            "retries_refused": r"^cluster\.[^.]+\.upstream_rq_retry_overflow",
            "overflow": r"^cluster\.[^.]+\.upstream_rq_(pending|active)_overflow",
            "per_try_timeouts": r"^cluster\.[^.]+\.upstream_rq_per_try_timeout",
            "ejections": r"^cluster\.[^.]+\.outlier_detection\.ejections_enforced_total",
            "panic": r"^cluster\.[^.]+\.lb_healthy_panic",
            "ejected": r"^cluster\.[^.]+\.outlier_detection\.ejections_active",
            "healthy": r"^cluster\.[^.]+\.membership_healthy",
            "hosts": r"^cluster\.[^.]+\.membership_total",
        }
        return {name: sum(self.outbound.stats(f"{pattern}$").values()) for name, pattern in add.items()}

    def counts(self) -> dict[str, int]:
        """Requests that each version got from the caller's sidecar: attempts, and copies."""
        return {name: self.outbound.stat(f"cluster.{name}.upstream_rq_total") for name in self.versions}

    def reset(self) -> None:
        """Set the counters of the sidecars and of the replicas to zero."""
        for sidecar in [self.outbound, *self.inbound]:
            if sidecar.alive:
                sidecar.reset()
        for replicas in self.versions.values():
            replicas.reset()

    def stop(self) -> None:
        """End the sidecars, and leave the replicas."""
        for sidecar in [*self.inbound, *([self.outbound] if hasattr(self, "outbound") else [])]:
            sidecar.stop()

    def __enter__(self) -> Mesh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    replicas: ReplicaSet | Mapping[str, ReplicaSet],
    policy: MeshPolicy | Mapping[str, Any],
    *,
    inbound: bool = True,
    health_check: float | None = None,
    mirror: Mapping[str, float] | None = None,
    retries_at_once: str | int = "budget",
) -> Mesh:
    """Start the sidecars; connect clients to what is returned, as if it were the service.

    `replicas` speak HTTP; with several versions, {"v1": replicas, "v2": replicas}. `policy` is a MeshPolicy
    or the same as data. `inbound=False` leaves the replicas' sidecars out. With `health_check` each replica
    is asked every so many seconds. `mirror={"v2": 0.5}` sends a copy of half the requests to v2.
    `retries_at_once`: see `envoy_policy.cluster`. Raises ArgumentError, or ServerError if Envoy cannot start.
    """
    policy = policy if isinstance(policy, MeshPolicy) else MeshPolicy.from_dict(policy)
    versions = {"orders": replicas} if isinstance(replicas, ReplicaSet) else dict(replicas)
    mirror = dict(mirror or {})
    unknown = (set(policy.canary) | set(mirror)) - set(versions)
    if unknown:
        refuse("replicas", sorted(versions), "all versions that are named: " + ", ".join(sorted(unknown)))
    if any(one.protocol != "http" for one in versions.values()):
        refuse("replicas", "of gRPC", 'replicas of "aiohttp" or "fastapi"')
    if policy.mtls.on and not inbound:
        refuse("inbound", inbound, "True with mutual TLS: somebody must answer it")
    for version, share in mirror.items():
        number(f"mirror.{version}", share, least=0, most=1)
    mesh = Mesh(policy, versions, Authority() if policy.mtls.on else None)
    try:
        clusters = []
        for name, those in versions.items():
            ports = [_inbound(mesh, name, port) for port in those.ports] if inbound else those.ports
            clusters.append(_cluster(mesh, name, ports, health_check, retries_at_once))
        rule = {**envoy_policy.route(policy), "request_mirror_policies": envoy_policy.mirror(mirror)}
        route = envoy_config.route(envoy_policy.split(policy, list(versions)))
        route["route"].update(rule)
        entry = envoy_config.http("outbound", [route], envoy_sidecar.filters(inbound=False))
        (port,) = free_ports(1)
        mesh.outbound = Sidecar([envoy_config.listener("outbound", port, entry)], clusters, "sidecar of web")
        mesh.outbound.start()
    except BaseException:
        mesh.stop()
        raise
    return mesh


def _inbound(mesh: Mesh, name: str, target: int) -> int:
    """Start the sidecar of one replica; returns its port."""
    tls = None
    if mesh.authority:
        tls = envoy_sidecar.tls(mesh.authority.issue(CALLED), CALLER, inbound=True)
    (port,) = free_ports(1)
    filters = envoy_sidecar.filters(inbound=True)
    entry = envoy_config.http("inbound", [envoy_config.route("app")], filters)
    listener = envoy_config.listener("inbound", port, entry, tls)
    beside = f"sidecar of {name}-{len(mesh.inbound)}"
    sidecar = Sidecar([listener], [envoy_config.cluster("app", [target])], beside)
    mesh.inbound.append(sidecar)
    sidecar.start()
    return port


def _cluster(
    mesh: Mesh, name: str, ports: list[int], health_check: float | None, retries_at_once: str | int
) -> dict[str, Any]:
    more = envoy_policy.cluster(mesh.policy, retries_at_once)
    if health_check is not None:
        number("health_check", health_check, above=0)
        more["health_checks"] = [envoy_config.health_check(health_check, envoy_sidecar.HEALTH)]
    if mesh.authority:
        more["transport_socket"] = envoy_sidecar.tls(mesh.authority.issue(CALLER), CALLED, inbound=False)
    return envoy_config.cluster(name, ports, **more)

"""An Envoy before several replicas that balances connections (level 4) or calls (level 7).

At level 4 it chooses a replica when a connection is opened, and knows nothing of what is said on it. A gRPC
client opens one connection and keeps it: all its calls go to one replica. At level 7 Envoy reads HTTP/2 and
chooses for each call.
Source: https://grpc.io/blog/grpc-load-balancing/
"""

from __future__ import annotations

from typing import Any

from ..arguments import number, one_of
from . import envoy_config
from .envoy import Envoy, free_ports
from .replica_set import ReplicaSet

POLICIES = ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"]
CLUSTER = "orders"


def start(
    replicas: ReplicaSet,
    level: int = 7,
    policy: str = "ROUND_ROBIN",
    health_check: float | None = None,
    **cluster: Any,
) -> Envoy:
    """Start an Envoy before the replicas; connect to it as if it were one of them.

    `policy` is Envoy's: "ROUND_ROBIN", "LEAST_REQUEST" (the better of two drawn by chance) or "RANDOM".
    With `health_check` Envoy connects to each replica every so many seconds, and leaves those out that do
    not accept. `cluster` has more settings of Envoy's Cluster, as its JSON has them. Raises ServerError if
    Envoy cannot start, or cannot run on this system.
    """
    one_of("level", level, (4, 7))
    more: dict[str, Any] = {"lb_policy": one_of("policy", policy, POLICIES), **cluster}
    if health_check is not None:
        checks = [envoy_config.health_check(number("health_check", health_check, above=0))]
        more = {"health_checks": checks, "common_lb_config": {"update_merge_window": "0s"}, **more}
    http2 = level == 7 and replicas.protocol == "grpc"
    behind = envoy_config.cluster(CLUSTER, replicas.ports, http2=http2, **more)
    entry = envoy_config.tcp("balancer", CLUSTER)
    if level == 7:
        entry = envoy_config.http("balancer", [envoy_config.route(CLUSTER)])
    (port,) = free_ports(1)
    listener = envoy_config.listener("balancer", port, entry)
    balancer = Envoy([listener], [behind], name=f"envoy (L{level}) before {len(replicas)} replicas")
    balancer.start()
    return balancer

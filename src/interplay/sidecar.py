"""A sidecar: carries out a mesh policy for a caller that knows nothing of it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from .arguments import number, refuse
from .balancing import TwoChoices
from .call import Reply, Request
from .client import Client
from .mesh import MeshPolicy
from .replicas import Replicas
from .service import Service

if TYPE_CHECKING:
    from .simulation import Simulation


class Sidecar:
    """Calls a service under a MeshPolicy, or under the same policy as data.

    `versions` maps each version's name to its replicas; without a canary there is one version. Every
    message passes two sidecars, the caller's and the called one's: `hop_cost` seconds each, and what mutual
    TLS costs.
    """

    def __init__(
        self,
        sim: Simulation,
        versions: Mapping[str, Sequence[Service]],
        policy: MeshPolicy | Mapping[str, Any],
        *,
        caller: Service | str | None = None,
        hop_cost: float = 0.0002,
    ) -> None:
        self.policy = policy if isinstance(policy, MeshPolicy) else MeshPolicy.from_dict(policy)
        unknown = set(self.policy.canary) - set(versions)
        if not versions or unknown:
            refuse(
                "versions", sorted(versions), "all that the canary names: " + ", ".join(self.policy.canary)
            )
        mtls = self.policy.mtls
        overhead = 2 * number("hop_cost", hop_cost, least=0) + (mtls.cost if mtls.on else 0.0)
        per_try, timeout = self.policy.retries.per_try_timeout, self.policy.timeout
        self.clients: dict[str, Client] = {}
        for version, services in versions.items():
            replicas = Replicas(
                services, TwoChoices(), outliers=self.policy.outlier_detector(hosts=len(services))
            )
            self.clients[version] = sim.client(
                replicas,
                caller=caller,
                deadline=min(per_try, timeout) if min(per_try, timeout) < math.inf else None,
                total=timeout if timeout < math.inf else None,
                retry=self.policy.retry(),
                bulkhead=self.policy.bulkhead(),
                overhead=overhead,
            )
        name = sim.trace.nodes[next(iter(self.clients.values())).caller].name
        self._chance = sim.streams.generator(f"canary of {name}").random

    def call(self, request: Request) -> Generator[Event, Any, Reply]:
        """Call the service: `reply = yield from sidecar.call(request)`."""
        version = self.policy.version(self._chance()) or next(iter(self.clients))
        return (yield from self.clients[version].call(request))

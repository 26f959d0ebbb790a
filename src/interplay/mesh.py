"""A service mesh's policy: what the sidecar of a caller does with each call, written down as data.

The callers' code knows nothing of it. An operator changes the data, and the sidecars follow. The names are
this library's; times are in seconds, shares between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .arguments import number, refuse, whole
from .bulkhead import Bulkhead
from .outlier import OutlierDetector
from .retry import ExponentialBackoff, FullJitter, Retry, RetryBudget


@dataclass(frozen=True)
class Retries:
    """`attempts` in all, each for `per_try_timeout` at most; retries are at most `budget` of the requests.

    Full jitter between them, from `base` up to `cap`; base 0 retries at once.
    """

    attempts: int = 1
    per_try_timeout: float = math.inf
    budget: float = 0.2
    base: float = 0.025
    cap: float = 0.25

    def __post_init__(self) -> None:
        whole("retries.attempts", self.attempts, least=1)
        number("retries.per_try_timeout", self.per_try_timeout, above=0)
        number("retries.budget", self.budget, least=0, most=10)
        number("retries.base", self.base, least=0)
        number("retries.cap", self.cap, least=self.base)


@dataclass(frozen=True)
class Breaker:
    """What Envoy calls circuit breaking: at most so many requests at once, and so many waiting."""

    max_requests: float = math.inf
    max_pending: float = math.inf

    def __post_init__(self) -> None:
        number("breaker.max_requests", self.max_requests, least=1)
        number("breaker.max_pending", self.max_pending, least=0)


@dataclass(frozen=True)
class Mtls:
    """Mutual TLS: whether it is on, and what encryption and sidecars cost on each way."""

    on: bool = False
    cost: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.on, bool):
            refuse("mtls.on", self.on, "true or false")
        number("mtls.cost", self.cost, least=0)


@dataclass(frozen=True)
class MeshPolicy:
    """All that a sidecar does for one called service; `MeshPolicy.from_dict` reads it, `to_dict` writes it.

    `outlier` holds arguments of OutlierDetector. `canary` maps each version to its share of the requests.
    """

    timeout: float = math.inf
    retries: Retries = field(default_factory=Retries)
    breaker: Breaker = field(default_factory=Breaker)
    outlier: dict[str, Any] | None = None
    canary: dict[str, float] = field(default_factory=dict)
    mtls: Mtls = field(default_factory=Mtls)

    def __post_init__(self) -> None:
        number("timeout", self.timeout, above=0)
        per_try = self.retries.per_try_timeout
        if self.retries.attempts > 1 and per_try >= self.timeout:
            allowed = f"below timeout, {self.timeout:g} s, or there is no time for a second attempt"
            refuse("retries.per_try_timeout", per_try, allowed)
        if self.outlier is not None:
            self.outlier_detector(hosts=1)
        for version, share in self.canary.items():
            number(f"canary.{version}", share, least=0, most=1)
        if self.canary and abs(sum(self.canary.values()) - 1) > 1e-9:
            refuse("canary", self.canary, "shares that add up to 1")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MeshPolicy:
        """Read a policy. An unknown key, or a value that cannot be, raises an ArgumentError that says so."""
        values = dict(_known("policy", data, cls))
        for name, part in (("retries", Retries), ("breaker", Breaker), ("mtls", Mtls)):
            if name in values:
                values[name] = part(**_known(name, values[name], part))
        for name in ("outlier", "canary"):
            if values.get(name) is not None and not isinstance(values[name], Mapping):
                refuse(name, values[name], "a dictionary")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The policy as plain data that `from_dict` reads; what is without limit is left out."""
        return _finite(asdict(self))

    def retry(self) -> Retry:
        """The retry policy of one caller, with a budget of its own."""
        plan = self.retries
        backoff: ExponentialBackoff | None = FullJitter(plan.base, plan.cap) if plan.base > 0 else None
        return Retry(plan.attempts, backoff, RetryBudget(plan.budget) if plan.attempts > 1 else None)

    def bulkhead(self) -> Bulkhead | None:
        """The limit on requests at once of one caller, if there is one."""
        limit = self.breaker.max_requests
        return None if limit == math.inf else Bulkhead(int(limit))

    def outlier_detector(self, hosts: int) -> OutlierDetector | None:
        """The outlier detection of one caller over so many hosts, if it is on."""
        if self.outlier is None:
            return None
        keywords = OutlierDetector.__init__.__kwdefaults__
        _only("outlier", self.outlier, keywords)
        return OutlierDetector(hosts, **self.outlier)

    def version(self, u: float) -> str | None:
        """The version that gets a request, drawn by the canary's shares; None when there is no canary."""
        for version, share in self.canary.items():
            u -= share
            if u < 0:
                return version
        return next(reversed(self.canary), None)


def _only(name: str, data: Any, allowed: Any) -> None:
    if not isinstance(data, Mapping):
        refuse(name, data, "a dictionary")
    for key in data:
        if key not in allowed:
            refuse(f"A key of {name}", key, "one of " + ", ".join(repr(a) for a in allowed))


def _known(name: str, data: Any, cls: Any) -> Mapping[str, Any]:
    _only(name, data, [f.name for f in fields(cls)])
    return data


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    plain = {key: _finite(value) if isinstance(value, dict) else value for key, value in data.items()}
    return {key: value for key, value in plain.items() if value not in (None, math.inf, {})}

"""A mesh policy (`interplay.mesh`) in Envoy's words: the same data, for the simulator and for the real thing.

What differs from the simulator, and cannot be said in the policy:

* Envoy's retry budget is a share of the requests *open now*, and at least 3 retries at once are allowed;
  the library's is a share of the requests of the past. Without a budget Envoy allows 3 retries at once.
* The wait before retry n is drawn from [0, base * (2^n - 1)), at most `cap`; the library's from
  [0, base * 2^(n-1)).
* With HTTP/1.1 a request needs a connection of its own, so `max_requests` limits connections, too; each
  server may always have one.
Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter and the
reference of v3 Cluster, CircuitBreakers, OutlierDetection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..arguments import refuse, whole
from ..mesh import MeshPolicy
from ..outlier import OutlierDetector
from .envoy_config import Part, percent, seconds

RETRY_ON = "5xx"  # answers of 500 and more, and no answer: refused, reset, per-try timeout
WHOLE = 10_000  # the weights of a canary add up to this
SHORTEST = 0.001  # seconds: Envoy waits at least so long between attempts


def route(policy: MeshPolicy) -> Part:
    """Timeout and retries, as a route has them. A timeout of 0 is none."""
    plan = policy.retries
    limit = policy.timeout if plan.attempts > 1 else min(policy.timeout, plan.per_try_timeout)
    part: Part = {"timeout": seconds(0.0 if limit == math.inf else limit)}
    if plan.attempts > 1:
        base = max(plan.base, SHORTEST)
        backoff = {"base_interval": seconds(base), "max_interval": seconds(max(plan.cap, base))}
        part["retry_policy"] = {
            "retry_on": RETRY_ON,
            "num_retries": plan.attempts - 1,
            "per_try_timeout": seconds(plan.per_try_timeout),  # finite: else the policy is refused
            "retry_back_off": backoff,
        }
    return part


def cluster(policy: MeshPolicy, retries_at_once: str | int = "budget") -> Part:
    """Thresholds, outlier detection and panic threshold, as a cluster has them.

    `retries_at_once`: "budget" (the policy's), "default" (Envoy's own: 3), or a number.
    """
    part: Part = {}
    limits = _thresholds(policy, retries_at_once)
    if limits:
        part["circuit_breakers"] = {"thresholds": [limits]}
    # without merge_window changes of the hosts would count only a second later
    balancing: Part = {"update_merge_window": "0s"}
    detector = policy.outlier_detector(hosts=1)
    if detector:
        part["outlier_detection"] = _outliers(detector)
        balancing["healthy_panic_threshold"] = {"value": 100 * detector.panic}
    return {**part, "common_lb_config": balancing}


def split(policy: MeshPolicy, versions: list[str]) -> str | Part:
    """Where requests go: to the only version, or to each by its share."""
    if not policy.canary:
        return versions[0]
    weights = [{"name": name, "weight": round(WHOLE * share)} for name, share in policy.canary.items()]
    return {"clusters": weights}


def mirror(shares: Mapping[str, float]) -> list[Part]:
    """Copies of a share of the requests to other versions, whose answers nobody waits for."""
    return [
        {"cluster": version, "runtime_fraction": {"default_value": percent(share)}}
        for version, share in shares.items()
    ]


def _thresholds(policy: MeshPolicy, retries_at_once: str | int) -> Part:
    limits: Part = {}
    if policy.breaker.max_requests < math.inf:
        limits["max_connections"] = limits["max_requests"] = int(policy.breaker.max_requests)
    if policy.breaker.max_pending < math.inf:
        limits["max_pending_requests"] = int(policy.breaker.max_pending)
    if policy.retries.attempts > 1 and retries_at_once != "default":
        if retries_at_once == "budget":
            share = min(100.0, 100 * policy.retries.budget)
            limits["retry_budget"] = {"budget_percent": {"value": share}}
        elif isinstance(retries_at_once, str):
            refuse("retries_at_once", retries_at_once, '"budget", "default" or a whole number')
        else:
            limits["max_retries"] = whole("retries_at_once", retries_at_once, least=0)
    return limits


def _outliers(detector: OutlierDetector) -> Part:
    part: Part = {
        "interval": seconds(detector.interval),
        "base_ejection_time": seconds(detector.base_ejection),
        "max_ejection_time": seconds(detector.max_ejection),
        "max_ejection_time_jitter": "0s",
        "max_ejection_percent": round(detector.max_ejection_percent),
        "always_eject_one_host": detector.always_one,
        "enforcing_consecutive_gateway_failure": 0,  # a rule the policy does not have
    }
    if detector.consecutive == math.inf:
        part["enforcing_consecutive_5xx"] = 0
    else:
        part["consecutive_5xx"] = detector.consecutive
    if detector.stdev_factor is None:
        part["enforcing_success_rate"] = 0
    else:
        part["success_rate_minimum_hosts"] = detector.minimum_hosts
        part["success_rate_request_volume"] = detector.minimum_requests
        part["success_rate_stdev_factor"] = round(1000 * detector.stdev_factor)
    return part

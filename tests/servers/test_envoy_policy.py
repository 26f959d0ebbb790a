"""A mesh policy in Envoy's words: field by field, without Envoy."""

import math

import pytest

from interplay import ArgumentError
from interplay.mesh import MeshPolicy
from interplay.servers import envoy_policy


def policy(**data):
    return MeshPolicy.from_dict(data)


def test_the_empty_policy_asks_for_nothing():
    assert envoy_policy.route(policy()) == {"timeout": "0.000000s"}
    assert envoy_policy.cluster(policy()) == {"common_lb_config": {"update_merge_window": "0s"}}
    assert envoy_policy.split(policy(), ["v1", "v2"]) == "v1"
    assert envoy_policy.mirror({}) == []


def test_attempts_are_counted_and_envoy_counts_retries():
    retries = {"attempts": 4, "per_try_timeout": 0.1, "base": 0.025, "cap": 0.25}
    assert envoy_policy.route(policy(timeout=0.5, retries=retries)) == {
        "timeout": "0.500000s",
        "retry_policy": {
            "retry_on": "5xx",
            "num_retries": 3,
            "per_try_timeout": "0.100000s",
            "retry_back_off": {"base_interval": "0.025000s", "max_interval": "0.250000s"},
        },
    }
    at_once = {"attempts": 2, "per_try_timeout": 1, "base": 0, "cap": 0}
    at_once = envoy_policy.route(policy(retries=at_once))["retry_policy"]
    assert at_once["retry_back_off"] == {"base_interval": "0.001000s", "max_interval": "0.001000s"}


def test_with_one_attempt_the_shorter_timeout_holds():
    for whole, one, expected in ((1, 0.2, "0.200000s"), (0.2, 1, "0.200000s"), (math.inf, 0.2, "0.200000s")):
        found = envoy_policy.route(policy(timeout=whole, retries={"per_try_timeout": one}))
        assert found == {"timeout": expected}


def test_thresholds_and_the_retry_budget():
    limits = policy(breaker={"max_requests": 2, "max_pending": 3})
    assert envoy_policy.cluster(limits)["circuit_breakers"]["thresholds"] == [
        {"max_connections": 2, "max_requests": 2, "max_pending_requests": 3}
    ]
    retries = policy(retries={"attempts": 2, "per_try_timeout": 1, "budget": 0.2})
    for at_once, expected in (
        ("budget", [{"retry_budget": {"budget_percent": {"value": 20.0}}}]),
        (100, [{"max_retries": 100}]),
        (0, [{"max_retries": 0}]),
    ):
        assert envoy_policy.cluster(retries, at_once)["circuit_breakers"]["thresholds"] == expected
    assert "circuit_breakers" not in envoy_policy.cluster(retries, "default")
    generous = policy(retries={"attempts": 2, "per_try_timeout": 1, "budget": 5})
    budget = envoy_policy.cluster(generous)["circuit_breakers"]["thresholds"][0]["retry_budget"]
    assert budget["budget_percent"]["value"] == 100  # Envoy takes no more
    with pytest.raises(
        ArgumentError, match=r"retries_at_once is 'none', but must be \"budget\", \"default\""
    ):
        envoy_policy.cluster(retries, "none")
    with pytest.raises(ArgumentError, match="retries_at_once is -1"):
        envoy_policy.cluster(retries, -1)


def test_outliers():
    outlier = {"consecutive": 3, "stdev_factor": None, "interval": 0.2, "base_ejection": 1.0, "panic": 0.4}
    found = envoy_policy.cluster(policy(outlier={**outlier, "max_ejection": 9, "max_ejection_percent": 50}))
    assert found["common_lb_config"] == {
        "update_merge_window": "0s",
        "healthy_panic_threshold": {"value": 40.0},
    }
    assert found["outlier_detection"] == {
        "interval": "0.200000s",
        "base_ejection_time": "1.000000s",
        "max_ejection_time": "9.000000s",
        "max_ejection_time_jitter": "0s",
        "max_ejection_percent": 50,
        "always_eject_one_host": False,
        "enforcing_consecutive_gateway_failure": 0,
        "consecutive_5xx": 3,
        "enforcing_success_rate": 0,
    }
    rates = policy(
        outlier={"consecutive": None, "minimum_hosts": 4, "minimum_requests": 20, "always_one": True}
    )
    found = envoy_policy.cluster(rates)["outlier_detection"]
    assert found["enforcing_consecutive_5xx"] == 0
    assert found["always_eject_one_host"] is True
    assert (found["success_rate_minimum_hosts"], found["success_rate_request_volume"]) == (4, 20)
    assert found["success_rate_stdev_factor"] == 1900  # in thousandths
    assert "enforcing_success_rate" not in found
    assert "consecutive_5xx" not in found


def test_shares():
    canary = policy(canary={"v1": 0.9, "v2": 0.1})
    weights = [{"name": "v1", "weight": 9000}, {"name": "v2", "weight": 1000}]
    assert envoy_policy.split(canary, ["v2", "v1"]) == {"clusters": weights}
    (copy,) = envoy_policy.mirror({"v2": 0.25})
    share = {"numerator": 250_000, "denominator": "MILLION"}
    assert copy == {"cluster": "v2", "runtime_fraction": {"default_value": share}}

"""A mesh policy is data: it is read, checked, written, and becomes the policies of a caller."""

import json
from collections import Counter

import pytest

from interplay import ArgumentError, FullJitter
from interplay.mesh import MeshPolicy

POLICY = {
    "timeout": 1.0,
    "retries": {"attempts": 3, "per_try_timeout": 0.25, "budget": 0.1, "base": 0.01, "cap": 0.1},
    "breaker": {"max_requests": 100, "max_pending": 20},
    "outlier": {"consecutive": 3, "max_ejection_percent": 50},
    "canary": {"v1": 0.95, "v2": 0.05},
    "mtls": {"on": True, "cost": 0.0002},
}


def test_it_survives_the_way_to_json_and_back():
    policy = MeshPolicy.from_dict(json.loads(json.dumps(POLICY)))
    assert policy.to_dict() == POLICY
    assert MeshPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_an_empty_policy_limits_nothing():
    policy = MeshPolicy.from_dict({})
    assert MeshPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert policy.retry().attempts == 1
    assert policy.retry().budget is None
    assert policy.bulkhead() is None
    assert policy.outlier_detector(3) is None
    assert policy.version(0.5) is None
    assert policy.to_dict()["mtls"] == {"on": False, "cost": 0.0}


def test_it_becomes_the_policies_of_a_caller():
    policy = MeshPolicy.from_dict(POLICY)
    retry = policy.retry()
    assert retry.attempts == 3
    assert retry.backoff == FullJitter(0.01, 0.1)
    assert retry.budget.ratio == 0.1
    assert policy.bulkhead().slots == 100
    assert policy.outlier_detector(4).consecutive == 3
    assert policy.retry().budget is not retry.budget, "each caller has its own"


def test_canary_shares():
    policy = MeshPolicy.from_dict(POLICY)
    counts = Counter(policy.version((i + 0.5) / 1000) for i in range(1000))
    assert counts == {"v1": 950, "v2": 50}
    assert MeshPolicy(canary={"v1": 0.0, "v2": 1.0}).version(0.0) == "v2"


def test_one_attempt_may_take_the_whole_time():
    policy = MeshPolicy.from_dict({"timeout": 1.0, "retries": {"attempts": 1, "per_try_timeout": 1.0}})
    assert policy.retries.per_try_timeout == 1.0


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ("timeout is 0", {"timeout": 0}),
        ("timeout is '1s'", {"timeout": "1s"}),
        ("A key of policy is 'retry'.*'retries'", {"retry": {}}),
        ("A key of retries is 'retries'.*'attempts'", {"retries": {"retries": 3}}),
        ("retries is 3.*a dictionary", {"retries": 3}),
        ("retries.attempts is 0", {"retries": {"attempts": 0}}),
        (
            "retries.per_try_timeout is 1.0.*below timeout, 1 s",
            {"timeout": 1.0, "retries": {"attempts": 2, "per_try_timeout": 1.0}},
        ),
        ("retries.per_try_timeout is inf", {"timeout": 1.0, "retries": {"attempts": 2}}),
        ("breaker.max_pending is -1", {"breaker": {"max_pending": -1}}),
        ("A key of outlier is 'consecutive_5xx'.*'consecutive'", {"outlier": {"consecutive_5xx": 5}}),
        ("consecutive is 0", {"outlier": {"consecutive": 0}}),
        ("outlier is 5.*a dictionary", {"outlier": 5}),
        ("canary.v2 is -0.1", {"canary": {"v1": 1.1, "v2": -0.1}} | {"canary": {"v2": -0.1}}),
        ("canary is .*add up to 1", {"canary": {"v1": 0.9, "v2": 0.05}}),
        ("mtls.on is 'yes'", {"mtls": {"on": "yes"}}),
        ("mtls.cost is -1", {"mtls": {"on": True, "cost": -1}}),
        ("policy is None.*a dictionary", None),
    ],
)
def test_wrong_policies(words, data):
    with pytest.raises(ArgumentError, match=words):
        MeshPolicy.from_dict(data)

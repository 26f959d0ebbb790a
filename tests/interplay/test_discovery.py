"""Discovery: leases in the registry, and the caller's older copy."""

import pytest

from interplay import ArgumentError
from interplay.discovery import Registry, Resolver


def test_an_endpoint_lives_as_long_as_its_heartbeats():
    registry = Registry(ttl=10)
    registry.heartbeat("a", 0)
    registry.heartbeat("b", 2)
    registry.heartbeat("a", 6)
    assert registry.live(7) == {"a": 0, "b": 2}
    assert registry.live(11.9) == {"a": 0, "b": 2}
    assert registry.live(12) == {"a": 0}
    assert registry.live(16) == {}


def test_one_that_comes_back_is_new():
    registry = Registry(ttl=10)
    registry.heartbeat("a", 0)
    registry.heartbeat("a", 30)
    assert registry.live(31) == {"a": 30}, "its slow start begins again"


def test_one_that_says_goodbye_is_gone_at_once():
    registry = Registry(ttl=10)
    registry.heartbeat("a", 0)
    registry.leave("a", 1)
    registry.leave("never seen", 1)
    assert registry.live(1) == {}


def test_a_caller_knows_what_was_true_when_it_last_asked():
    registry = Registry(ttl=10)
    resolver = Resolver(registry, refresh=5)
    registry.heartbeat("a", 0)
    assert resolver.endpoints(0) == {"a": 0}
    registry.heartbeat("b", 1)
    registry.leave("a", 1)
    assert resolver.endpoints(4.9) == {"a": 0}, "one endpoint is stale, one unknown"
    assert resolver.endpoints(5) == {"b": 1}


def test_a_crashed_endpoint_is_named_for_ttl_plus_refresh_at_most():
    registry = Registry(ttl=10)
    resolver = Resolver(registry, refresh=5)
    registry.heartbeat("a", 0)  # and crashes
    assert resolver.endpoints(9.99) == {"a": 0}
    assert resolver.endpoints(14.98) == {"a": 0}
    assert resolver.endpoints(15) == {}


@pytest.mark.parametrize(
    ("words", "build"),
    [("ttl is 0", lambda: Registry(0)), ("refresh is -1", lambda: Resolver(Registry(1), -1))],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

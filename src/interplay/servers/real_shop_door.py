"""The door of the real shop: an Envoy that limits how many pages and orders come in, and their time."""

from __future__ import annotations

import math
from typing import Any

from . import envoy_config
from .envoy import Envoy, free_ports

LIMIT = "envoy.filters.http.local_ratelimit"
KINDS = ("pages", "orders")


def envoy(config: dict[str, Any], port: int) -> Envoy:
    """An Envoy before the gateway at this port; it is not started yet."""
    rules = []
    for kind in KINDS:
        rule = envoy_config.route("gateway", f"/{kind}/", patience(config[kind]))
        rate = config["gateway"][f"{kind}_per_second"]
        if rate is not None:
            rule["typed_per_filter_config"] = {LIMIT: _bucket(kind, rate)["typed_config"]}
        rules.append(rule)
    (door,) = free_ports(1, taken={port})
    entry = envoy_config.http("door", rules, [_nothing()])
    cluster = envoy_config.cluster("gateway", [port])
    return Envoy([envoy_config.listener("door", door, entry)], [cluster], name="Envoy")


def patience(kind: dict[str, Any]) -> float:
    """Seconds after which Envoy answers 504: when all attempts must have ended, and one more."""
    waits = sum(min(10.0, kind["first_wait"] * 2**n) for n in range(kind["attempts"] - 1))
    return float(kind["attempts"] * kind["timeout"] + waits + 1.0)


def _bucket(kind: str, rate: float) -> Any:
    """The token bucket of the configuration: Envoy fills it with whole tokens, at most every 50 ms."""
    at_once = max(1, math.ceil(rate * 0.05))
    part = envoy_config.rate_limit(at_once, max(1, math.floor(rate)))
    settings = part["typed_config"]
    settings["token_bucket"]["fill_interval"] = envoy_config.seconds(at_once / rate)
    settings["stat_prefix"] = f"{kind}_limit"
    return part


def _nothing() -> Any:
    """The filter without a bucket: what is limited is said at each route."""
    part = envoy_config.rate_limit(1, 1)
    kind = part["typed_config"]["@type"]
    return {"name": LIMIT, "typed_config": {"@type": kind, "stat_prefix": "door_limit"}}

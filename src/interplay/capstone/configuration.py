"""The configuration of the whole shop: plain data, and what may stand in it.

    {"gateway": {"workers": 8, "pages_per_second": None, ...}, "pages": {"timeout": 0.3, ...}, ...}

`SETTINGS` has every entry with what is allowed and what it does; `problems` says in words what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """What an entry may be: one of `options`, or a number from `least` to `most`; and what it `does`."""

    does: str
    options: tuple[Any, ...] = ()
    least: float = 0.0
    most: float = 0.0
    whole: bool = False

    def allows(self, value: Any) -> bool:
        """Whether this value may stand here."""
        if value in self.options and not isinstance(value, bool):
            return True
        kinds = int if self.whole else (int, float)
        right = isinstance(value, kinds) and not isinstance(value, bool)
        return right and self.least < self.most and self.least <= value <= self.most

    def __str__(self) -> str:
        said = [repr(option) for option in self.options]
        if self.least < self.most:
            said.append(f"a {'whole ' if self.whole else ''}number from {self.least:g} to {self.most:g}")
        return " or ".join(said)


def _workers(name: str) -> Setting:
    return Setting(f"how many orders, or pieces of them, {name} works on at once", (), 1, 16, True)


ATTEMPTS = {
    "timeout": Setting("seconds that an attempt of the gateway may take", (), 0.01, 60),
    "attempts": Setting("attempts in all", (), 1, 10, True),
    "first_wait": Setting("seconds; ceiling of the first wait, with full jitter, then doubled", (), 0, 10),
}
SETTINGS: dict[str, dict[str, Setting]] = {
    "gateway": {
        "workers": Setting("requests that it has open at once; more wait", (), 1, 64, True),
        "pages_per_second": Setting("pages let in; more are refused", (None,), 0.5, 1000),
        "orders_per_second": Setting("orders let in; more are refused", (None,), 0.5, 1000),
        "orders_at_once": Setting("orders open at once; more are refused", (None,), 1, 64, True),
    },
    "pages": {
        **ATTEMPTS,
        "breaker_after": Setting("failures in a row that open the breaker, for 2 s", (None,), 1, 100, True),
        "when_down": Setting("shown when inventory does not answer", ("an error", "last known")),
    },
    "orders": {
        "answer": Setting("when the customer is answered", ("when accepted", "when done")),
        **ATTEMPTS,
    },
    "commands": {
        "by": Setting("how commands come to inventory, payments and shipping", ("message", "queue")),
    },
    "news": {
        "notifications": Setting("how news comes to notifications", ("message", "queue")),
        "analytics": Setting("how news comes to analytics", ("message", "log")),
        "every": Setting("seconds between two looks of the relay into the outbox", (), 0.01, 60),
    },
    "queues": {
        "visibility": Setting("seconds that a delivery is leased", (), 0.05, 600),
        "deliveries": Setting("deliveries before a message is a dead letter", (None,), 1, 1000, True),
    },
    "workers": {
        name: _workers(name)
        for name in ("orders", "inventory", "payments", "shipping", "notifications", "analytics")
    },
}  # fmt: skip


def problems(config: Any) -> list[str]:
    """What is wrong with a configuration, a sentence each; an empty list when nothing is."""
    if not isinstance(config, Mapping):
        return [f"A configuration is a dictionary, and this is {config!r:.60}."]
    found = _names("the configuration", config, SETTINGS)
    for part, settings in SETTINGS.items():
        values = config.get(part, {})
        if not isinstance(values, Mapping):
            found.append(f"{part!r} is a dictionary, and this is {values!r:.60}.")
            continue
        if part in config:
            found += _names(f"{part!r}", values, settings)
        for name, setting in settings.items():
            if name in values and not setting.allows(values[name]):
                found.append(f"config[{part!r}][{name!r}] is {values[name]!r:.60}: it has to be {setting}.")
    return found


def _names(where: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    missing = [f"In {where}, {name!r} is missing." for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    return missing + [f"In {where}, nobody knows {name!r}: it has {', '.join(wanted)}." for name in unknown]


def checked(config: Any) -> dict[str, dict[str, Any]]:
    """The configuration, or a ValueError that says all that is wrong with it."""
    found = problems(config)
    if found:
        raise ValueError("\n".join(found))
    return {part: dict(values) for part, values in config.items()}

"""Service discovery: which endpoints there are, and how old a caller's knowledge of them is.

No object here owns a clock: `now` (seconds) comes in as an argument.
"""

from __future__ import annotations

import math

from .arguments import number


class Registry:
    """The endpoints that sent a heartbeat in the last `ttl` seconds, each with the time it is known since.

    A crashed endpoint sends no goodbye: it stays listed for up to `ttl` seconds. One that shuts down properly
    says `leave` first, and waits until its callers have noticed: connection draining.
    """

    def __init__(self, ttl: float) -> None:
        self.ttl = number("ttl", ttl, above=0)
        self._known: dict[str, tuple[float, float]] = {}  # since, last heartbeat

    def heartbeat(self, endpoint: str, now: float) -> None:
        """An endpoint says that it lives; the first time registers it."""
        since, last = self._known.get(endpoint, (now, -math.inf))
        self._known[endpoint] = (since if now < last + self.ttl else now, now)

    def leave(self, endpoint: str, now: float) -> None:
        """An endpoint says goodbye. An unknown one is passed over."""
        self._known.pop(endpoint, None)

    def live(self, now: float) -> dict[str, float]:
        """Each endpoint not yet forgotten, in order of registration, with the time it is known since."""
        self._known = {name: seen for name, seen in self._known.items() if now < seen[1] + self.ttl}
        return {name: since for name, (since, _) in self._known.items()}


class Resolver:
    """A caller's own copy of the registry's list, read again when `refresh` seconds old, as with DNS.

    In between it is stale: up to ttl + refresh seconds after a crash it still names the dead endpoint.
    """

    def __init__(self, registry: Registry, refresh: float) -> None:
        self.registry = registry
        self.refresh = number("refresh", refresh, least=0)
        self._copy: dict[str, float] = {}
        self._read = -math.inf

    def endpoints(self, now: float) -> dict[str, float]:
        """Each endpoint the caller knows of, with the time it is known since."""
        if now >= self._read + self.refresh:
            self._copy, self._read = self.registry.live(now), now
        return self._copy

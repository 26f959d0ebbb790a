"""An API gateway's decisions: one call for many askers, an old answer rather than none, half a page too.

No object here owns a clock or a random generator: `now` (seconds) and `u` (a float in [0, 1)) come in as
arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any, NamedTuple

from .arguments import number, one_of, refuse


class Coalesce:
    """Identical requests in flight become one call: the first asker leads, the others follow and wait.

    Whatever the leader's call comes to, success or failure, goes to all followers: nobody waits in vain,
    and a failing service is not asked again by each of them. (So does Go's singleflight.) When a leader
    leaves early, because its own caller has gone, the first follower is promoted and makes the call.

    The key must hold everything the answer depends on. For a user's own data that includes the user.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Any]] = {}

    def join(self, key: Hashable, who: Any) -> str:
        """Ask for this key: "leader" (make the call, then `finish`) or "follower" (wait)."""
        waiting = self._waiting.setdefault(key, [])
        waiting.append(who)
        return "leader" if len(waiting) == 1 else "follower"

    def finish(self, key: Hashable) -> list[Any]:
        """The leader's call has ended: all who get its outcome, the leader first."""
        return self._waiting.pop(key, [])

    def leave(self, key: Hashable, who: Any) -> Any:
        """`who` waits no longer. Returns the follower that must now lead, or None when nothing changes."""
        waiting = self._waiting.get(key, [])
        led = bool(waiting) and waiting[0] == who
        if who in waiting:
            waiting.remove(who)
        if not waiting:
            self._waiting.pop(key, None)
        return waiting[0] if led and waiting else None


def expires(now: float, ttl: float, spread: float, u: float) -> float:
    """When an entry of `now` is no longer fresh: after ttl seconds, less up to `spread` of it by chance.

    Entries made at the same moment then do not all expire at the same moment.
    """
    return now + ttl * (1 - spread * u)


class Cache:
    """Answers kept for `ttl` seconds, less up to `spread` (a share), and usable for `stale_for` seconds more.

    A stale answer may be shown at once while a new one is fetched, or when none can be had
    (stale-while-revalidate, stale-if-error: RFC 5861). Combine it with Coalesce, or all askers fetch at once.
    """

    def __init__(self, ttl: float, stale_for: float = 0.0, spread: float = 0.0) -> None:
        self.ttl = number("ttl", ttl, above=0)
        self.stale_for = number("stale_for", stale_for, least=0)
        self.spread = number("spread", spread, least=0, most=1)
        self._entries: dict[Hashable, tuple[Any, float]] = {}

    def get(self, key: Hashable, now: float) -> tuple[Any, str]:
        """The value, or None, and whether it is "fresh", "stale" or "missing"."""
        if key in self._entries:
            value, fresh_until = self._entries[key]
            if now < fresh_until:
                return value, "fresh"
            if now < fresh_until + self.stale_for:
                return value, "stale"
            del self._entries[key]
        return None, "missing"

    def put(self, key: Hashable, value: Any, now: float, u: float = 0.0) -> None:
        """Keep this answer. Errors are not answers: do not put them."""
        self._entries[key] = (value, expires(now, self.ttl, self.spread, u))


class Page(NamedTuple):
    """What the gateway answers: "complete", "partial" or "failed", what came, and what did not."""

    status: str
    body: dict[str, Any]
    missing: list[str]


class Aggregate:
    """A page made of `parts`, each "mandatory" or "optional", that are asked for at the same time.

    A missing optional part makes the page partial, a missing mandatory one makes it fail. What is missing is
    named, and never shown as if it were empty: "no reviews" and "reviews not available" are two things.
    """

    def __init__(self, parts: Mapping[str, str]) -> None:
        if not parts:
            refuse("parts", parts, "at least one part")
        self.parts = {name: one_of(name, kind, ("mandatory", "optional")) for name, kind in parts.items()}

    def ready(self, replies: Collection[str], failed: Collection[str] = ()) -> bool:
        """Whether to answer now: all have replied or failed, or a mandatory part has failed."""
        doomed = any(self.parts.get(name) == "mandatory" for name in failed)
        return doomed or all(name in replies or name in failed for name in self.parts)

    def decide(self, replies: Mapping[str, Any]) -> Page:
        """The page, from the replies that came in time. Unknown parts are refused."""
        for name in replies:
            one_of("replies", name, tuple(self.parts))
        missing = [name for name in self.parts if name not in replies]
        if any(self.parts[name] == "mandatory" for name in missing):
            return Page("failed", {}, missing)
        body = {name: replies[name] for name in self.parts if name in replies}
        return Page("partial" if missing else "complete", body, missing)

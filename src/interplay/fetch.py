"""What a gateway does with its calls: several at once, one for many askers, old answers meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import simpy
from simpy.events import Event, Timeout

from .arguments import number
from .call import Reply, Request
from .client import Client
from .gateway import Aggregate, Cache, Coalesce, Page
from .journey import drive

if TYPE_CHECKING:
    from .simulation import Simulation

Branch = Generator[Event, Any, Reply]


class _Collected(Event):
    """Succeeds once; whoever waits for several branches waits for this."""

    def settle(self) -> None:
        if not self.triggered:
            self.succeed()


def gather(
    env: simpy.Environment,
    branches: Mapping[str, Branch],
    total: float = math.inf,
    ready: Callable[[Mapping[str, Reply]], bool] | None = None,
) -> Generator[Event, Any, dict[str, Reply]]:
    """Run several calls at once: `replies = yield from gather(env, {"stock": client.call(request), …})`.

    Ends when all have replied, when `ready(replies)` says that it is enough, or after `total` seconds, and
    returns the replies that are there. The other calls run on, and whatever they bring is dropped.
    """
    number("total", total, above=0)
    replies: dict[str, Reply] = {}
    collected = _Collected(env)
    waiting = dict(branches)

    def one(name: str) -> Callable[[Reply], None]:
        def done(reply: Reply) -> None:
            if collected.triggered:
                return
            replies[name] = reply
            if len(replies) == len(waiting) or (ready is not None and ready(replies)):
                collected.settle()

        return done

    for name, branch in waiting.items():
        drive(branch, one(name))
    if not waiting:
        return replies
    if total < math.inf:
        Timeout(env, total).callbacks.append(lambda _: collected.settle())
    yield collected
    return dict(replies)


def compose(
    env: simpy.Environment, page: Aggregate, branches: Mapping[str, Branch], total: float = math.inf
) -> Generator[Event, Any, Page]:
    """A page of mandatory and optional parts, within `total` seconds: complete, partial or failed."""

    def enough(replies: Mapping[str, Reply]) -> bool:
        good = [name for name, reply in replies.items() if reply.ok]
        return page.ready(good, [name for name in replies if name not in good])

    replies = yield from gather(env, branches, total, enough)
    return page.decide({name: reply for name, reply in replies.items() if reply.ok})


class Fetch:
    """A client with a memory: answers from `cache` where it can, and makes one call for all who ask at once.

    `key(request)` names what is asked for. A stale entry is answered at once, and renewed in the background.
    """

    def __init__(
        self,
        sim: Simulation,
        client: Client,
        key: Callable[[Request], Hashable],
        *,
        cache: Cache | None = None,
        coalesce: Coalesce | None = None,
    ) -> None:
        self.env, self.client, self.key = sim.env, client, key
        self.cache, self.coalesce = cache, coalesce
        self._u = sim.streams.generator(f"cache of {client.service.name}").random
        self._renewing: set[Hashable] = set()

    def call(self, request: Request) -> Branch:
        """Get it from the cache, from a call that is already out, or by a call."""
        key = self.key(request)
        if self.cache is not None:
            value, state = self.cache.get(key, self.env.now)
            if state == "stale" and key not in self._renewing:
                self._renewing.add(key)
                drive(self._ask(request, key), lambda _: self._renewing.discard(key))
            if state != "missing":
                return value
        return (yield from self._ask(request, key))

    def _ask(self, request: Request, key: Hashable) -> Branch:
        if self.coalesce is None:
            return (yield from self._call(request, key))
        answer = Event(self.env)
        if self.coalesce.join(key, answer) == "follower":
            return (yield answer)
        reply = yield from self._call(request, key)
        for asker in self.coalesce.finish(key)[1:]:
            asker.succeed(reply)
        return reply

    def _call(self, request: Request, key: Hashable) -> Branch:
        reply = yield from self.client.call(request)
        if self.cache is not None and reply.ok:
            self.cache.put(key, reply, self.env.now, self._u())
        return reply

"""Publish and subscribe: a topic sends a copy of each message to everybody whose pattern it matches.

The publisher knows nobody. What comes while a subscriber is away is lost to it, unless a queue or a log
stands in between.
"""

from __future__ import annotations

import fnmatch
import operator
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .arguments import refuse
from .part import Part

if TYPE_CHECKING:
    from .process import Envelope
    from .simulation import Simulation

Pattern = str | Mapping[str, Any] | None
MISSING = object()


def key_matches(binding: str, key: str) -> bool:
    """Whether a topic key matches a binding, both of words with dots between: AMQP's topic exchange.

    `*` stands for exactly one word, `#` for any number of words, none too.
    """
    words = key.split(".") if key else []
    matched = [True] + [False] * len(words)  # matched[n]: the binding so far matches the first n words
    for part in binding.split(".") if binding else []:
        if part == "#":
            matched = [any(matched[: n + 1]) for n in range(len(matched))]
        else:
            matched = [False, *(m and part in ("*", w) for m, w in zip(matched, words, strict=False))]
    return matched[-1]


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether an event (nested dicts) matches a pattern, as Amazon EventBridge has them.

    Every field of the pattern must match; the event may have more. A field holds a list of what is allowed:
    values, or {"prefix": p}, {"suffix": s}, {"wildcard": "a*b"}, {"equals-ignore-case": s},
    {"anything-but": value, list or {"prefix": p}}, {"numeric": [">", 0, "<=", 5]}, {"exists": true or false}.
    "$or" holds a list of patterns, one of which must match. Of a list in the event one element must match.
    """
    for field, allowed in pattern.items():
        if field == "$or":
            if not any(matches(one, event) for one in allowed):
                return False
            continue
        value = event.get(field, MISSING) if isinstance(event, Mapping) else MISSING
        if isinstance(allowed, Mapping):
            if not matches(allowed, value):
                return False
        elif not any(_allows(rule, value) for rule in _listed(field, allowed)):
            return False
    return True


def check(pattern: Mapping[str, Any]) -> None:
    """Refuse a pattern that `matches` would not understand."""
    for field, allowed in pattern.items():
        if field == "$or" or isinstance(allowed, Mapping):
            for one in allowed if field == "$or" else [allowed]:
                check(one)
        else:
            for rule in _listed(field, allowed):
                _allows(rule, MISSING)


def _listed(field: str, allowed: Any) -> Any:
    if not isinstance(allowed, list | tuple):
        refuse(f"the pattern's {field!r}", allowed, "a list of what is allowed, or a pattern for its fields")
    return allowed


def _allows(rule: Any, value: Any) -> bool:
    """Whether one entry of a pattern's list allows this value."""
    name, wanted = next(iter(rule.items()), ("", None)) if isinstance(rule, Mapping) else ("equals", rule)
    if name not in RULES:
        refuse("a pattern's rule", name, "one of " + ", ".join(RULES))
    if name == "exists":
        return bool(wanted) is (value is not MISSING and not isinstance(value, Mapping))
    if isinstance(value, list | tuple):
        return any(_allows(rule, one) for one in value)
    return value is not MISSING and RULES[name](value, wanted)


def _equals(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _anything_but(value: Any, unwanted: Any) -> bool:
    return not any(_allows(one, value) for one in (unwanted if isinstance(unwanted, list) else [unwanted]))


def _numeric(value: Any, limits: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return all(COMPARE[sign](value, limit) for sign, limit in zip(limits[::2], limits[1::2], strict=True))


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: isinstance(value, str) and test(value, wanted)


def _wildcard(value: str, wanted: str) -> bool:
    return fnmatch.fnmatchcase(value, wanted.replace("[", "[[]").replace("?", "[?]"))


COMPARE = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt}
RULES: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _equals,
    "exists": _equals,  # is looked at before
    "anything-but": _anything_but,
    "numeric": _numeric,
    "prefix": _text(str.startswith),
    "suffix": _text(str.endswith),
    "wildcard": _text(_wildcard),
    "equals-ignore-case": _text(lambda value, wanted: value.casefold() == wanted.casefold()),
}


class Router:
    """Subscriptions by pattern: None takes all, a text is for the key, and a dict for the message."""

    def __init__(self) -> None:
        self.subscriptions: list[tuple[str, Pattern]] = []

    def subscribe(self, name: str, pattern: Pattern = None) -> None:
        """Let `name` have what matches the pattern; with several patterns it still gets one copy."""
        if pattern is not None and not isinstance(pattern, str | Mapping):
            refuse("pattern", pattern, 'None, a text such as "order.*", or a dict such as {"kind": ["paid"]}')
        if isinstance(pattern, Mapping):
            check(pattern)
        self.subscriptions.append((name, pattern))

    def route(self, message: Any, key: str = "") -> list[str]:
        """Who is to have a copy of this message, in the order of their first subscription."""
        takers = dict.fromkeys(
            name
            for name, pattern in self.subscriptions
            if pattern is None
            or (key_matches(pattern, key) if isinstance(pattern, str) else matches(pattern, message))
        )
        return list(takers)


class Topic(Part):
    """Hosts a Router. Subscribers are processes, queues, logs and other topics; each gets the message itself.

    The key is the one that it was sent with (see `put`), or else the message's "kind".
    """

    def __init__(self, sim: Simulation, name: str) -> None:
        super().__init__(sim, name, "topic")
        self.router = Router()
        self.counts: Counter[str] = Counter()  # "published", "copies", "unrouted"

    def subscribe(self, subscriber: Part, pattern: Pattern = None) -> None:
        """Send a copy of what matches the pattern to this part of the shop."""
        self.router.subscribe(subscriber.name, pattern)

    def receive(self, envelope: Envelope) -> None:
        """A message is published."""
        if not self.healthy:
            return
        if envelope.verb != "send":
            refuse(f"an action for {self.name}", envelope.verb, '"send": it is a topic')
        message, options = envelope.message, envelope.options or {}
        key = options.get("key") or (message.get("kind", "") if isinstance(message, Mapping) else "")
        takers = self.router.route(message, key)
        self.counts.update(published=1, copies=len(takers), unrouted=not takers)
        for name in takers:
            action = {"do": "send", "to": name, "message": message, "options": {"key": options.get("key")}}
            self.sim.messages.carry(self.node, envelope.number, envelope.parent, action)

"""Trace context: the few bytes that tie the work of many services together, carried along in headers.

Whoever sends a message injects its context; whoever gets it extracts it, and begins a span of its own below:
the same trace, a new span id. Where one service forgets to, the trace falls in two.

Source: W3C Trace Context, https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .arguments import refuse

TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
MEMBER = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=([ -+\--<>-~]{0,255}[!-+\--<>-~])")
MOST = 32
"""Members of a tracestate."""
SAMPLED = 1


class Context(NamedTuple):
    """Where a message comes from: 32 and 16 hexadecimal digits, not all zero.

    `sampled` says that this trace is being kept. `state` holds what tracing systems add for themselves:
    pairs of key and value, the latest first.
    """

    trace: str
    span: str
    sampled: bool = False
    state: tuple[tuple[str, str], ...] = ()


def inject(context: Context) -> dict[str, str]:
    """The headers that carry this context. ArgumentError when it is none."""
    flags = f"{SAMPLED if context.sampled else 0:02x}"
    parent = f"00-{context.trace}-{context.span}-{flags}"
    if not TRACEPARENT.fullmatch(parent):
        refuse("context", context, "32 and 16 hexadecimal digits in lower case, not all zero")
    headers = {"traceparent": parent}
    if context.state:
        headers["tracestate"] = ",".join(f"{key}={value}" for key, value in context.state)
    return headers


def extract(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Context | None:
    """The context of a message that came with these headers; None when there is none to be trusted.

    `headers` is a dict, or pairs where a name can come twice. A wrong traceparent is as good as none: the
    receiver begins a new trace. A wrong tracestate is left out, and the rest stays. Names of headers are
    compared without case, ids are not. From a version after 00 the fields known today are taken.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    parents, states = (
        [v for k, v in pairs if str(k).lower() == name] for name in ("traceparent", "tracestate")
    )
    if len(parents) != 1 or not isinstance(parents[0], str):
        return None
    match = TRACEPARENT.fullmatch(parents[0].strip(" \t"))
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "00" and more is not None:
        return None
    return Context(trace, span, bool(int(flags, 16) & SAMPLED), read_state(",".join(map(str, states))))


def read_state(text: str) -> tuple[tuple[str, str], ...]:
    """The members of a tracestate; none at all when one is wrong, a key comes twice, or there are over 32."""
    members = [member.strip(" \t") for member in text.split(",")]
    matches = [MEMBER.fullmatch(member) for member in members if member]
    pairs = tuple((match[1], match[2]) for match in matches if match)
    if len(pairs) < len(matches) or len({key for key, _ in pairs}) < len(pairs) or len(pairs) > MOST:
        return ()
    return pairs


def below(context: Context, span: str) -> Context:
    """The context of a new span, caused by what came with `context`: the same trace, its own span id."""
    return context._replace(span=span)


def with_state(context: Context, key: str, value: str) -> Context:
    """This context with one's own entry, which stands in front; the oldest goes when there are too many."""
    if not MEMBER.fullmatch(f"{key}={value}"):
        refuse(
            "tracestate entry", f"{key}={value}", "a key of a-z 0-9 _ - * / @, and a value without , and ="
        )
    others = tuple(pair for pair in context.state if pair[0] != key)
    return context._replace(state=((key, value), *others)[:MOST])


def trace_id(request: int, seed: int = 1) -> str:
    """The trace id of a request of a simulated run: it looks random, and is the same each time."""
    return hashlib.sha256(f"{seed} {request}".encode()).hexdigest()[:32]


def context_of(request: int, span: int, seed: int = 1, *, sampled: bool = True) -> Context:
    """The context of a span (from 1) of a simulated run."""
    return Context(trace_id(request, seed), f"{span:016x}", sampled)

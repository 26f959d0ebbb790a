"""Where a request's time went: the critical path through its spans, over calls, queues and logs."""

from __future__ import annotations

import math
from typing import NamedTuple

from .arguments import one_of, refuse
from .trace import CALLS, ERROR_REPLY, REJECTION, REPLY, Trace

BROKERS = ("queue", "topic", "log")
ANSWERS = (REPLY, ERROR_REPLY, REJECTION)


class Segment(NamedTuple):
    """A part of the critical path: at this node the request "waits", is "worked on", or is "between" nodes.

    "between" is the network, a wait before a retry, or the wait for something that never came. Who "waits"
    at a queue or a log is a message, until it is handed to the one who was to work on it.
    """

    node: str
    what: str
    start: float
    end: float


class _Span(NamedTuple):
    request: int  # whose span it is: that of another one, where a batch was worked on
    number: int
    parent: int
    node: int
    arrived: float
    started: float
    ended: float


class _Message(NamedTuple):
    sent: float
    arrives: float
    source: int
    target: int
    kind: int
    request: int


def critical_path(trace: Trace, request: int, *, to: str = "answer") -> list[Segment]:
    """The chain of segments that decided when the user had an "answer", without gaps from start to end.

    Read backwards from the answer: whoever ended last among the calls that were waited for held things up,
    and before it, the one before. Behind a message stands the span that sent it, and between the two, the
    wait at a queue or a log. Spans that nobody waited for are not on it. The lengths add up to the request's
    latency. With `to="end"` the path leads to the end of the last work, for a user who did not wait.

    A trace without messages (record="spans") does not tell how long a message lay at a broker: it is
    "between" then. ArgumentError for a request that is unknown or still open.
    """
    one_of("to", to, ("answer", "end"))
    user = next((row for row in trace.requests if row[0] == request), None)
    if user is None or math.isnan(user[2]):
        refuse("request", request, "a request of this trace that has ended")
    return _Path(trace, request).walked_back(user[1], user[2], to)


class _Path:
    """The path of one request, found from its end to its start."""

    def __init__(self, trace: Trace, request: int) -> None:
        self.nodes, self.request = trace.nodes, request
        batches = {span: cause for span, number, cause in trace.causes if number == request}
        self.spans: dict[int, _Span] = {}
        for number, span, parent, node, arrived, started, ended, _, _ in trace.spans:
            if number == request or span in batches:
                begun = ended if math.isnan(started) else started
                own = parent if number == request else batches[span]
                self.spans[span] = _Span(number, span, own, node, arrived, begun, ended)
        numbers = {request, *(span.request for span in self.spans.values())}
        self.messages = [
            _Message(sent, arrives, source, target, kind, number)
            for sent, arrives, source, target, kind, _, number in trace.messages
            if number in numbers and arrives < math.inf
        ]
        self.path: list[Segment] = []
        self.seen: set[int] = set()

    def walked_back(self, start: float, end: float, to: str) -> list[Segment]:
        last = max(self.spans.values(), key=lambda span: span.ended, default=None)
        if to == "end" and last is not None:
            if any(math.isnan(span.ended) for span in self.spans.values()):
                refuse("request", self.request, "a request whose work has ended")
            if last.ended > end:
                end = self._chain(last, last.ended, 0)
        self._walk(0, 0, "between", start, end)
        self.path.reverse()
        return [s._replace(start=max(s.start, start)) for s in self.path if s.end > start]

    def _walk(self, span: int, node: int, what: str, start: float, end: float) -> None:
        """Add what happened at `span` between `start` and `end`, latest first."""
        cursor = end
        for back, sent, child in sorted(self._waited_for(span, node), reverse=True):
            if back > cursor or back < start or child in self.seen:
                continue  # nobody waited for it any more, or it lies on the path of another
            self._add(node, what if cursor == end and span else "between", back, cursor)
            self._add(self.spans[child].node, "between", sent, back)
            cursor = self._chain(self.spans[child], sent, span)
        self._add(node, what if span else "between", start, cursor)

    def _waited_for(self, span: int, node: int) -> list[tuple[float, float, int]]:
        """What `span` (0 is the user) may have waited for: (there at, ready at, by which span)."""
        calls = [
            (child.ended, child.ended, child.number)
            for child in self.spans.values()
            if child.parent == span and not self._is("process", child.node) and not math.isnan(child.ended)
        ]
        answers = [
            (message.arrives, message.sent, sender.number)
            for message in self.messages
            if message.target == node and message.kind in ANSWERS and self._is("process", message.source)
            if (sender := self._sender(message)) is not None
        ]
        if not span and not answers:  # it gave up, or messages were not recorded
            ends = ((s.ended, s.ended, s.number) for s in self.spans.values() if self._is("process", s.node))
            answers = [end for end in ends if not math.isnan(end[0])]
        return calls + answers

    def _chain(self, span: _Span, time: float, until: int) -> float:
        """Add what led to `span`, as it was at `time`, back to when the span `until` sent for it."""
        while True:
            self.seen.add(span.number)
            if self._is("service", span.node):
                self._walk(span.number, span.node, "worked on", span.started, time)
            else:
                self._add(span.node, "worked on", span.started, time)
            self._add(span.node, "waits", span.arrived, span.started)
            cause, time = self._cause(span)
            if cause is None or cause.number == until:
                return time
            span = cause

    def _cause(self, span: _Span) -> tuple[_Span | None, float]:
        """Add how the message came that `span` works on; who sent it (None is the user), and when."""
        cursor, parent = span.arrived, self.spans.get(span.parent)
        hop = self._arrival(span)
        while hop is not None:
            self._add(hop.source, "between", hop.sent, cursor)
            cursor = hop.sent
            if self.nodes[hop.source].kind not in BROKERS:
                if parent is not None and self._sent(parent, hop):
                    return parent, cursor
                if hop.source == 0:
                    return None, cursor
                break
            before = [m for m in self.messages if m.target == hop.source and self._leads(m, cursor, parent)]
            hop = max(before, key=lambda message: message.arrives, default=None)
            if hop is not None:
                self._add(hop.target, "waits", hop.arrives, cursor)
                cursor = hop.arrives
        if parent is None or parent.ended > cursor or parent.number in self.seen:  # sent again after a crash
            others = (s for s in self.spans.values() if s.number not in self.seen and s.ended <= cursor)
            parent = max(others, key=lambda other: other.ended, default=None)
        if parent is None:
            return None, cursor
        if parent.node == span.node:  # a timer, or the answer to a call
            self._walk(parent.number, parent.node, "between", parent.ended, cursor)
        else:
            self._add(parent.node, "between", parent.ended, cursor)
        return parent, parent.ended

    def _arrival(self, span: _Span) -> _Message | None:
        """The message that `span` began with, if it is in the trace."""
        own = (m for m in self.messages if m.target == span.node and m.request == span.request)
        return next((message for message in own if message.arrives == span.arrived), None)

    def _leads(self, message: _Message, time: float, parent: _Span | None) -> bool:
        """Whether this message to a broker may be the one that it handed on at `time`."""
        if message.request != self.request or message.arrives > time:
            return False
        if self.nodes[message.source].kind in BROKERS:
            return True
        return message.source == 0 if parent is None else self._sent(parent, message)

    def _sent(self, span: _Span, message: _Message) -> bool:
        return message.source == span.node and span.started <= message.sent <= span.ended

    def _sender(self, message: _Message) -> _Span | None:
        senders = [span for span in self.spans.values() if self._sent(span, message)]
        return max(senders, key=lambda span: span.started, default=None)

    def _is(self, kind: str, node: int) -> bool:
        return self.nodes[node].kind == kind

    def _add(self, node: int, what: str, start: float, end: float) -> None:
        if end > start:
            self.path.append(Segment(self.nodes[node].name, what, start, end))


def hop_count(trace: Trace, request: int) -> int:
    """How many calls were sent for this request, retries and hedges included."""
    return sum(1 for message in trace.messages if message[6] == request and message[4] in CALLS)

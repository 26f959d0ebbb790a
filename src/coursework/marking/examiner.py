"""In the examiner's kernel, which never holds a learner's code: the names that a test cell uses.

A learner's function becomes a call that carries plain data to the learner's kernel and back; any other value
becomes a copy of it, where it is plain data. An answer can be wrong. It cannot be anything but data.
"""

import ast
import builtins
import contextlib
import signal
import sys
from collections.abc import Callable
from typing import Any

from coursework.checks import _TooLong
from coursework.marking.wire import ENDED, Gone, Reader, send
from coursework.plain import NotPlain, plain


class Examiner:
    """Borrows names from the learner's kernel into the namespace of the test cells."""

    def __init__(self, namespace: dict[str, Any], reader: Reader):
        self.namespace, self._reader = namespace, reader
        self._borrowed: dict[str, Any] = {}

    def borrow(self, source: str) -> None:
        """Take from the learner what the cell uses and the examiner has not.

        What a cell has bound anew, such as an import of a given cell, is the examiner's own, and stays.
        """
        for name, value in self._borrowed.items():
            if self.namespace.get(name) is value:
                self.namespace.pop(name, None)
        wanted = [
            name for name in _names(source) if name not in self.namespace and not hasattr(builtins, name)
        ]
        self._borrowed = {}
        with contextlib.suppress(RuntimeError):
            known = self._ask({"names": wanted}).get("names")
            self._take(known if isinstance(known, dict) else {}, wanted)

    def _take(self, known: dict[str, Any], wanted: list[str]) -> None:
        for name, what in known.items():
            if name in wanted and isinstance(what, dict) and what:
                self.namespace[name] = self._function(name) if what.get("call") else what.get("value")
                self._borrowed[name] = self.namespace[name]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            send(self._reader.source, request)
            return self._reader.receive()
        except Gone:
            raise RuntimeError(ENDED) from None

    def _function(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            sent = dict(zip(("args", "named"), plain([list(args), named]), strict=True))
            left = signal.getitimer(signal.ITIMER_VIRTUAL)[0]  # of the processor time that the check may take
            reply = self._ask({"call": name, "left": left, **sent})
            if left:
                spent = reply.get("seconds")
                spent = spent if isinstance(spent, int | float) and spent > 0 else 0
                now = signal.getitimer(signal.ITIMER_VIRTUAL)[0]
                signal.setitimer(signal.ITIMER_VIRTUAL, max(now - spent, 1e-6))
            return _value(reply)

        call.__name__ = name
        return call


def _names(source: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    return sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})


def _value(reply: dict[str, Any]) -> Any:
    """The value that a call came back with; or raise what it raised."""
    sys.stdout.write(str(reply.get("printed", ""))[:2000])
    if reply.get("too_long"):
        raise _TooLong
    if reply.get("interrupted"):
        raise KeyboardInterrupt
    if "not_plain" in reply:
        raise NotPlain(str(reply["not_plain"])[:2000])
    if "error" in reply:
        raise _copy(*(str(part)[:2000] for part in (*reply["error"], *"     ")[:5]))
    return reply.get("value")


def _copy(kind: str, module: str, message: str, given: str, line: str) -> Exception:
    """A new exception with this type and message; one of Python's own types stays that type."""
    type_ = getattr(builtins, kind, None) if module == "builtins" else None
    error: Exception
    try:
        if not (isinstance(type_, type) and issubclass(type_, Exception)):
            raise TypeError
        error = type_(message)
    except TypeError:  # another type, or one that wants more arguments
        error = type(kind.replace("\0", ""), (Exception,), {})(message)
    error.learners = (given, line)  # type: ignore[attr-defined]
    return error

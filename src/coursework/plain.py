"""Plain data: what may pass between a learner's function and the checks that judge it.

A tested function takes and returns numbers, strings, booleans, None, lists and dictionaries. The checks can
then run where the learner's code cannot reach them: only calls with plain data cross over.
"""

import json
from collections.abc import Callable
from typing import Any

DEEPEST = 40
"""How many levels of lists and dictionaries a value may have."""


class NotPlain(TypeError):
    """A value is not plain data; the message says which part of it, in words for a learner."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON would carry it: tuples and arrays as lists, numpy numbers as Python's own.

    Raises NotPlain for anything else: an object, a function, a generator, a list inside itself.
    """
    if depth > DEEPEST:
        raise NotPlain(f"more than {DEEPEST} lists or dictionaries inside one another")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    if isinstance(value, (set, frozenset)):
        raise NotPlain("a set, which has no order: return a list")
    raise NotPlain(
        f"an object of type {type(value).__name__}, not plain data (numbers, strings, lists, dictionaries)"
    )


def _key(key: Any) -> str:
    if key is None or isinstance(key, (bool, float)):
        raise NotPlain(f"a dictionary with {key!r} as a key: use strings")
    if isinstance(key, (str, int)):
        return str(key)
    raise NotPlain(f"a dictionary with a key of type {type(key).__name__}: use strings")


def over_the_wire(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` as an examiner reaches it: arguments, answer and error cross as JSON text.

    An exception arrives as a new one with the same type and message, without the learner's frames.
    """

    def call(*args: Any, **named: Any) -> Any:
        sent_args, sent_named = json.loads(json.dumps(plain([list(args), named])))
        try:
            answer = function(*sent_args, **sent_named)
        except Exception as error:  # whatever the learner's code raises
            raised = _copy(error)
        else:
            return json.loads(json.dumps(plain(answer)))
        raise raised

    call.__name__ = getattr(function, "__name__", "function")
    return call


def _copy(error: Exception) -> Exception:
    """A new exception with the same type name and message; one of Python's own types stays that type."""
    kind, message = type(error), str(error)
    if kind.__module__ == "builtins":
        try:
            return kind(message)
        except TypeError:  # such as UnicodeDecodeError, which wants five arguments
            pass
    return type(kind.__name__, (Exception,), {})(message)

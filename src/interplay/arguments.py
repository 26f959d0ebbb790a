"""Refusing a wrong argument in words: its name, its value, what is allowed."""

from __future__ import annotations

import math
import numbers
from typing import Any, NoReturn


class ArgumentError(ValueError):
    """A wrong argument. The message names the argument, the value it had, and what is allowed."""


def refuse(name: str, value: Any, allowed: str) -> NoReturn:
    """Raise an ArgumentError that says what is allowed."""
    raise ArgumentError(f"{name} is {value!r}, but must be {allowed}.")


def number(
    name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> float:
    """Return `value` when it is a number that is > `above`, >= `least` and <= `most`; refuse it otherwise."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if real and value > above and least <= value <= most:
        return value
    limits = []
    if above > -math.inf:
        limits.append(f"above {above:g}")
    if least > -math.inf:
        limits.append(f"at least {least:g}")
    if most < math.inf:
        limits.append(f"at most {most:g}")
    refuse(name, value, "a number" + (" " + " and ".join(limits) if limits else ""))


def whole(name: str, value: Any, *, least: int) -> int:
    """Return `value` when it is a whole number >= `least`; refuse it otherwise."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    refuse(name, value, f"a whole number of at least {least}")


def one_of(name: str, value: Any, allowed: Any) -> Any:
    """Return `value` when it is one of `allowed`; refuse it otherwise."""
    if value in allowed:
        return value
    refuse(name, value, "one of " + ", ".join(repr(a) for a in allowed))

"""What a learner can set: a number by a slider, or one of a few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..arguments import number, one_of, refuse


@dataclass(frozen=True)
class Slider:
    """A number between `low` and `high`, in steps of `step`; `unit` is shown behind it.

    `name` is the model's argument. With an int `step`, the model gets an int.
    """

    name: str
    label: str
    low: float
    high: float
    value: float
    step: float = 1
    unit: str = ""

    def __post_init__(self) -> None:
        number("high", self.high, above=self.low)
        number("value", self.value, least=self.low, most=self.high)
        number("step", self.step, above=0)

    def page(self) -> dict[str, Any]:
        """What the page needs to draw it."""
        return {"kind": "slider", **vars(self)}

    def read(self, value: Any) -> float:
        """The model's argument for what the page sent."""
        value = min(self.high, max(self.low, float(value)))
        return round(value) if all(isinstance(x, int) for x in (self.low, self.step)) else round(value, 9)


@dataclass(frozen=True)
class Choice:
    """One of `options`: a list of values, or a dict of value to the words that are shown."""

    name: str
    label: str
    options: Sequence[Any] | dict[Any, str]
    value: Any

    def __post_init__(self) -> None:
        if not self.options:
            refuse("options", self.options, "at least one value")
        one_of("value", self.value, list(self.options))

    def page(self) -> dict[str, Any]:
        """What the page needs to draw it: the options by number, so that any Python value will do."""
        words = list(self.options.values()) if isinstance(self.options, dict) else map(str, self.options)
        options = [str(word) for word in words]
        chosen = list(self.options).index(self.value)
        return {"kind": "choice", "name": self.name, "label": self.label, "options": options, "value": chosen}

    def read(self, value: Any) -> Any:
        """The model's argument for the option's number that the page sent."""
        return list(self.options)[int(value)]

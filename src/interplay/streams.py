"""Randomness: distributions, and named streams of draws that do not disturb each other."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .arguments import number, refuse


class Distribution(Protocol):
    """Anything with a mean (seconds) that can be sampled `n` at a time."""

    @property
    def mean(self) -> float: ...

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Constant:
    """Always `value` seconds."""

    value: float

    def __post_init__(self) -> None:
        number("Constant's value", self.value, least=0)

    @property
    def mean(self) -> float:
        return self.value

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return np.full(n, float(self.value))


@dataclass(frozen=True)
class Exponential:
    """Exponentially distributed with the given mean, in seconds: many short times and a few long ones."""

    mean: float

    def __post_init__(self) -> None:
        number("Exponential's mean", self.mean, above=0)

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.exponential(self.mean, n)


class Recorded:
    """Given times, one after the other, and from the beginning again: such as those a real server took."""

    def __init__(self, seconds: Sequence[float]) -> None:
        if len(seconds) == 0:
            refuse("Recorded's seconds", seconds, "at least one time")
        for value in seconds:
            number("a recorded time", value, least=0)
        self._left = np.asarray(seconds, float)

    @property
    def mean(self) -> float:
        return float(self._left.mean())

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        draws, self._left = np.resize(self._left, n), np.roll(self._left, -n)
        return draws


@dataclass(frozen=True)
class Uniform:
    """Evenly spread between `low` and `high` seconds."""

    low: float
    high: float

    def __post_init__(self) -> None:
        number("Uniform's low", self.low, least=0)
        number("Uniform's high", self.high, least=self.low)

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.uniform(self.low, self.high, n)


@dataclass(frozen=True)
class LogNormal:
    """A long tail: `median` seconds, and exp(`sigma`) as the factor of one standard deviation."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        number("LogNormal's median", self.median, above=0)
        number("LogNormal's sigma", self.sigma, least=0)

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.lognormal(math.log(self.median), self.sigma, n)


class Streams:
    """Independent random streams, one per name, all from one seed.

    The same (seed, name) gives the same draws whatever else the simulation does. Two policies compared on the
    same seed therefore meet the same arrivals and the same service times ("common random numbers"), and the
    difference between them is the policy's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = int(number("seed", seed, least=0))

    def generator(self, name: str) -> np.random.Generator:
        """A numpy generator of its own for this name."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def draws(self, name: str, distribution: Distribution) -> Callable[[], float]:
        """A function that returns the next draw of this name's stream at each call."""
        if isinstance(distribution, Constant):
            value = float(distribution.value)
            return lambda: value
        rng = self.generator(name)

        def endless() -> Iterator[float]:
            size = 128
            while True:
                yield from distribution.sample(rng, size).tolist()
                size = min(2 * size, 4096)

        return endless().__next__

"""Hedging: the cap on extra load, and the table of The Tail at Scale."""

import numpy as np
import pytest

from interplay import ArgumentError, theory
from interplay.hedging import Hedge


def test_extra_load_is_capped():
    hedge, sent = Hedge(after=0.01, share=0.05), 0
    for _ in range(1000):
        hedge.request(0)
        sent += hedge.allow(0)
    assert sent == 10 + 49, "what was saved up, and 5 % of the requests"


def test_few_slow_requests_are_all_hedged():
    hedge, refused = Hedge(after=0.01, share=0.05, burst=10), 0
    for i in range(1000):
        hedge.request(0)
        if i % 50 == 0:
            refused += not hedge.allow(0)
    assert refused == 0


def test_unused_hedges_are_saved_up_to_the_burst():
    hedge = Hedge(after=0.01, share=0.05, burst=3)
    for _ in range(1000):
        hedge.request(0)
    assert hedge.tokens == 3
    assert [hedge.allow(0) for _ in range(5)] == [True, True, True, False, False]


def tail(u):
    """A leaf latency (ms) with P(>10) = .02, P(>69) = .0032, P(>1800) = 1e-5, power laws between: a fit."""
    latency, share = [1.0, 10.0, 69.0, 1800.0, 20_000.0], [1.0, 0.02, 0.0032, 1e-5, 1e-8]
    return np.exp(np.interp(-np.log(u), -np.log(share), np.log(latency)))


def slowest_of_100(seed, after, error=1.0, requests=150_000):
    """p99.9 of the slowest of 100 leaves, each hedged after so many ms, and the share of hedges."""
    rng, worst, hedges = np.random.default_rng(seed), [], 0
    for _ in range(requests // 5000):
        first = rng.random((5000, 100))
        slow = first < 0.05  # the others do not matter: they are below 6 ms
        first[slow] = tail(first[slow]) * error
        late = first > after
        hedges += late.sum()
        first[late] = np.minimum(first[late], after + tail(rng.random(late.sum())) * error)
        worst.append(first.max(axis=1))
    return np.quantile(np.concatenate(worst), 0.999), hedges / (requests * 100)


def test_the_published_table():
    """Independent leaves, no extra load: p99.9 of the slowest of 100 is where P = 1e-5 for one leaf."""
    assert 1 - theory.leaf_quantile(0.999, 100) == pytest.approx(1e-5, rel=0.01)
    assert slowest_of_100(1, after=1e9)[0] == pytest.approx(1800, rel=0.15)
    late, extra = slowest_of_100(1, after=10.0)
    assert late == pytest.approx(74, rel=0.08)
    assert extra == pytest.approx(0.02, rel=0.02)
    _, extra = slowest_of_100(1, after=10.0, error=1.05, requests=20_000)
    assert extra != pytest.approx(0.02, rel=0.02), "a 5 % slower leaf is hedged more often"


def test_tail_of_a_hedged_call():
    assert theory.hedged_tail(0.02, 1.0) == 0.02
    assert theory.hedged_tail(0.0031, 0.0033) == pytest.approx(1.02e-5, rel=0.01)


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("after is -1", lambda: Hedge(-1)),
        ("share is 5", lambda: Hedge(0.01, 5)),
        ("burst is 0", lambda: Hedge(0.01, burst=0)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

"""Choosers, stale reports, slow start, and the supermarket model."""

import heapq
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import ArgumentError, theory
from interplay.balancing import LeastRequest, Random, Reports, RoundRobin, TwoChoices, ramp

CHOOSERS = [Random, RoundRobin, LeastRequest, TwoChoices]
unit = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("chooser", CHOOSERS)
@given(loads=st.lists(st.integers(0, 9), min_size=1, max_size=8), u=unit, v=unit, weighted=st.booleans())
def test_every_chooser_picks_a_host(chooser, loads, u, v, weighted):
    weights = [1.0 / (1 + i) for i in range(len(loads))] if weighted else None
    assert chooser().pick(loads, u, v, weights) in range(len(loads))


@pytest.mark.parametrize("chooser", CHOOSERS)
def test_every_chooser_refuses_no_hosts_and_wrong_weights(chooser):
    with pytest.raises(ArgumentError, match="loads is"):
        chooser().pick([], 0.5, 0.5)
    with pytest.raises(ArgumentError, match=r"weights is .*2 numbers"):
        chooser().pick([0, 0], 0.5, 0.5, [1.0])
    with pytest.raises(ArgumentError, match="weights is"):
        chooser().pick([0, 0], 0.5, 0.5, [1.0, 0.0])


def test_round_robin_takes_turns():
    chooser = RoundRobin()
    assert [chooser.pick([9, 0, 0], 0.5, 0.5) for _ in range(5)] == [0, 1, 2, 0, 1]


def test_weighted_round_robin_is_smooth():
    chooser = RoundRobin()
    turns = "".join("abc"[chooser.pick([0] * 3, 0, 0, [5, 1, 1])] for _ in range(14))
    assert turns == "aabacaa" * 2, "nginx's example"


def test_random_follows_the_weights():
    us = [(i + 0.5) / 1000 for i in range(1000)]
    assert Counter(Random().pick([0] * 4, u, 0) for u in us) == dict.fromkeys(range(4), 250)
    assert Counter(Random().pick([0] * 3, u, 0, [1, 2, 1]) for u in us) == {0: 250, 1: 500, 2: 250}


def test_least_request_breaks_ties_by_chance():
    pick = LeastRequest().pick
    assert [pick([3, 1, 2, 1], u, 0.0) for u in (0.0, 0.49, 0.5, 0.99)] == [1, 1, 3, 3]
    assert pick([3, 1], 0.0, 0.0, [1.0, 0.1]) == 0, "a new host with weight .1: 2 / .1 is more than 4"


def test_two_choices_takes_the_less_loaded():
    pick = TwoChoices().pick
    assert pick([5, 1], 0.0, 0.0) == 1
    assert pick([1, 5], 0.0, 0.0) == 0
    assert pick([2, 2], 0.9, 0.9) == 1, "equal: the first drawn"
    assert pick([7], 0.9, 0.9) == 0
    assert pick([2, 1], 0.0, 0.0, [1.0, 0.5]) == 0


@given(st.integers(2, 8), unit, unit)
def test_two_choices_never_draws_the_same_host_twice(n, u, v):
    busiest = int(u * n)
    loads = [9 if host == busiest else 0 for host in range(n)]
    assert TwoChoices().pick(loads, u, v) != busiest


def test_two_choices_draws_each_pair_equally_often():
    grid = [(i + 0.5) / 60 for i in range(60)]
    counts = Counter(TwoChoices().pick([1, 2, 3, 4], u, v) for u in grid for v in grid)
    assert [counts[host] / 3600 for host in range(4)] == pytest.approx([1 / 2, 1 / 3, 1 / 6, 0])


def most_sent_to_one_host(chooser, count_own):
    """Sixty requests between two reports, to six equal hosts."""
    rng, reports, sent = np.random.default_rng(1), Reports(6, count_own=count_own), Counter()
    for host in range(6):
        reports.report(host, 3 if host else 2)
    for _ in range(60):
        host = chooser.pick(reports.loads, rng.random(), rng.random())
        reports.sent(host)
        sent[host] += 1
    return max(sent.values())


def test_the_global_minimum_of_stale_reports_is_a_herd():
    assert most_sent_to_one_host(LeastRequest(), count_own=False) == 60
    assert most_sent_to_one_host(LeastRequest(), count_own=True) <= 11
    assert most_sent_to_one_host(TwoChoices(), count_own=False) <= 30
    assert most_sent_to_one_host(TwoChoices(), count_own=True) <= 13


def test_slow_start():
    assert [ramp(age, 10) for age in (0, 0.5, 1, 5, 10, 99)] == [0.1, 0.1, 0.1, 0.5, 1, 1]
    assert ramp(2.5, 10, aggression=2) == 0.5
    assert ramp(0, 0) == 1


def mean_time(chooser, load, seed, servers=250, until=60.0):
    """Mean time at so many queues, by Little's law, from a start in equilibrium for one choice or two."""
    rng = np.random.default_rng(seed)
    if isinstance(chooser, Random):
        queues = (rng.geometric(1 - load, servers) - 1).tolist()
    else:
        tails = np.array([load ** (2**k - 1) for k in range(1, 12)])
        queues = (rng.random((servers, 1)) < tails).sum(axis=1).tolist()
    work = rng.exponential(1.0, int(servers * until * 3)).tolist()
    ends = [(work.pop(), host) for host, queue in enumerate(queues) if queue]
    heapq.heapify(ends)
    arrivals = np.cumsum(rng.exponential(1 / (load * servers), int(load * servers * until))).tolist()
    inside, area, last, done = sum(queues), 0.0, 0.0, (math.inf, -1)
    for now, u, v in zip(arrivals, *rng.random((2, len(arrivals))).tolist(), strict=True):
        while ends and ends[0][0] <= now:
            done, host = heapq.heappop(ends)
            area, last, inside = area + inside * (done - last), done, inside - 1
            queues[host] -= 1
            if queues[host]:
                heapq.heappush(ends, (done + work.pop(), host))
        area, last, inside = area + inside * (now - last), now, inside + 1
        host = chooser.pick(queues, u, v)
        queues[host] += 1
        if queues[host] == 1:
            heapq.heappush(ends, (now + work.pop(), host))
    return area / last / (load * servers)


def test_supermarket_model():
    """250 servers: the limit of many is 2.614; one choice is M/M/1, 10."""
    assert theory.supermarket(0.9, 2) == pytest.approx(2.614, abs=0.001)
    assert theory.supermarket(0.9, 1) == pytest.approx(10.0) == pytest.approx(1 / (1 - 0.9))
    two = np.mean([mean_time(TwoChoices(), 0.9, seed) for seed in range(10)])
    one = np.mean([mean_time(Random(), 0.9, seed) for seed in range(10)])
    assert two == pytest.approx(2.614, rel=0.03)
    assert one == pytest.approx(10, rel=0.1)


def test_supermarket_model_notices_five_per_cent():
    two = np.mean([mean_time(TwoChoices(), 0.9 * 1.05, seed) for seed in range(4)])
    assert two > 1.1 * theory.supermarket(0.9, 2)


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("hosts is 0", lambda: Reports(0)),
        ("load is -1", lambda: Reports(2).report(0, -1)),
        ("age is -1", lambda: ramp(-1, 10)),
        ("least is 0", lambda: ramp(1, 10, least=0)),
        ("aggression is 0", lambda: ramp(1, 10, aggression=0)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

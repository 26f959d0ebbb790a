"""Bulkheads and shuffle sharding."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import ArgumentError, theory
from interplay.bulkhead import Bulkhead, shuffle_shard

NODES = [f"node-{n}" for n in range(8)]


def test_no_more_inside_than_slots():
    bulkhead = Bulkhead(2)
    assert [bulkhead.enter(0) for _ in range(4)] == [True, True, False, False]
    bulkhead.leave(1)
    assert bulkhead.inside == 1
    assert [bulkhead.enter(1), bulkhead.enter(1)] == [True, False]


def test_a_slot_comes_back_however_the_call_ended():
    bulkhead = Bulkhead(1)
    for ok in (True, False, False):
        assert bulkhead.enter(0)
        bulkhead.leave(1, latency=1.0, ok=ok)
    assert bulkhead.inside == 0


def test_a_slot_cannot_be_given_back_twice():
    bulkhead = Bulkhead(1)
    assert bulkhead.enter(0)
    bulkhead.leave(0)
    with pytest.raises(RuntimeError, match="leave"):
        bulkhead.leave(0)


@given(st.lists(st.booleans()), st.integers(1, 5))
def test_any_order_of_comings_and_goings(steps, slots):
    bulkhead, inside = Bulkhead(slots), 0
    for enters in steps:
        if enters:
            assert bulkhead.enter(0) is (inside < slots)
            inside = min(slots, inside + 1)
        elif inside:
            bulkhead.leave(0)
            inside -= 1
        assert bulkhead.inside == inside


def test_a_shard_is_the_same_each_time_and_whatever_the_order():
    shard = shuffle_shard("ann", NODES, 3)
    assert shard == shuffle_shard("ann", reversed(NODES), 3)
    assert len(set(shard)) == 3
    assert set(shard) <= set(NODES)
    assert shuffle_shard("ann", NODES, 2) == shard[:2]
    assert shard == ["node-6", "node-7", "node-3"], "on every machine and in every process"
    assert [shuffle_shard("ann", NODES, 3, seed=s) for s in range(5)] != [shard] * 5


def test_a_node_that_leaves_moves_only_its_own_clients():
    for client in range(200):
        before = shuffle_shard(f"client {client}", NODES, 2)
        after = shuffle_shard(f"client {client}", NODES[1:], 2)
        if NODES[0] in before:
            assert set(before) - {NODES[0]} <= set(after)
        else:
            assert before == after


def test_shards_are_used_evenly_and_overlap_as_by_chance():
    shards = [frozenset(shuffle_shard(f"client {c}", NODES, 2)) for c in range(28 * 200)]
    counts = Counter(shards)
    assert len(counts) == 28
    chi2 = sum((n - 200) ** 2 / 200 for n in counts.values())
    assert chi2 < 60, "27 degrees of freedom: 60 is a chance of 0.0003"
    bad = shards[0]
    same = [sum(len(s & bad) == k for s in shards) / len(shards) for k in range(3)]
    expected = [theory.shard_overlap(8, 2, k) for k in range(3)]
    assert expected == pytest.approx([15 / 28, 12 / 28, 1 / 28])
    assert same == pytest.approx(expected, abs=0.02)


def test_share_of_clients_that_share_all_nodes():
    assert theory.shard_overlap(8, 2) == 1 / 28
    assert 1 / theory.shard_overlap(2048, 4) == pytest.approx(730e9, rel=0.01), "Builders' Library, Route 53"
    by_hand = [set(s) == {0, 1, 2} for s in itertools.combinations(range(7), 3)]
    assert theory.shard_overlap(7, 3) == pytest.approx(sum(by_hand) / len(by_hand))


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("slots is 0", lambda: Bulkhead(0)),
        ("slots is 2.5", lambda: Bulkhead(2.5)),
        ("size is 0", lambda: shuffle_shard("ann", NODES, 0)),
        ("size is 9.*at most 8", lambda: shuffle_shard("ann", NODES, 9)),
        ("size is 2.*at most 1", lambda: shuffle_shard("ann", ["a", "a"], 2)),
        ("size is 9", lambda: theory.shard_overlap(8, 9)),
    ],
)
def test_wrong_arguments(words, build):
    with pytest.raises(ArgumentError, match=words):
        build()

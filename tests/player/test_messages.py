"""Queues, logs, topics and processes in the player: moments, the bytes for the page, the text beside it."""

import json
import re

import numpy as np
import pytest
from messages_model import find, messages

from interplay.player import Player, find_moments
from interplay.player.measures import RECORDS, Tables, measure
from interplay.player.moments import telling
from interplay.sequence import sequence
from interplay.trace import DEAD, END, EVENT, FIRST_GROUP, LEASED, QUEUE, START


@pytest.fixture(scope="module")
def shop():
    shop = messages()
    shop.result = shop.run(until=30)
    return shop


def gauges(run, name, t):
    tables = Tables.of(run.trace)
    return [int(tables.at(run.trace.node(name), g, np.array([t]))[0]) for g in (QUEUE, LEASED, DEAD)]


def place(trace, node, partition, group, t):
    """A place in a log, read from the rows one by one."""
    found = (0, 0)
    for time, row_node, row_partition, row_group, owner, offset in trace.offsets:
        if (row_node, row_partition, row_group) == (node, partition, group) and time <= t:
            found = offset, owner
    return found


def test_places_in_a_log_are_those_of_the_log(shop):
    facts, trace = shop.parts["facts"], shop.trace
    group, node = facts.groups["analytics"], facts.node
    assert trace.groups == [(node, "analytics")]
    for p in range(4):
        assert place(trace, node, p, END, 30)[0] == facts.log.end(p) > 20
        offset, owner = place(trace, node, p, FIRST_GROUP, 30)
        assert offset == group.committed[p]
        assert trace.nodes[owner].name == group.owners[p]
    first = {trace.nodes[place(trace, node, p, FIRST_GROUP, 0.5)[1]].name for p in range(4)}
    assert first == {"analytics 1", "analytics 2"}, "readers are known before they have committed"
    assert place(trace, node, 0, FIRST_GROUP, 0.01) == (0, shop.parts["analytics 1"].node)
    behind = sum(
        place(trace, node, p, END, 20)[0] - place(trace, node, p, FIRST_GROUP, 20)[0] for p in range(4)
    )
    assert gauges(shop.result, "facts", 20.0)[0] == behind > 0


def test_retention_moves_the_start():
    shop = messages(load=10)
    shop.parts["facts"].log.retention = 5.0
    run = shop.run(until=30)
    log = shop.parts["facts"].log
    starts = [place(run.trace, shop.parts["facts"].node, p, START, 30)[0] for p in range(4)]
    assert starts == [log.start(p) for p in range(4)]
    assert min(starts) > 0


def test_moments_of_queues_and_logs(shop):
    found = find_moments(shop.trace)
    words = [m.what for m in found]
    again = next(m for m in found if m.kind == "again")
    rows = [m for m in shop.trace.messages if m[2] == shop.parts["mail"].node and m[4] == EVENT and m[5] > 1]
    assert again.time == pytest.approx(min(m[0] for m in rows), abs=1e-5)
    dead = next(m for m in found if m.kind == "dead")
    first = min(s[0] for s in shop.trace.states if s[1:3] == (shop.parts["mail"].node, DEAD) and s[3] > 0)
    assert (dead.what, dead.time) == ("mail: a dead letter", pytest.approx(first, abs=1e-5))
    assert "mail: a backlog builds up" in words
    assert "notifications: crash starts" in words
    (lag,) = [m for m in found if m.what == "facts: lag grows"]
    assert 13 < lag.time < 22
    moves = [m for m in found if m.kind == "rebalance"]
    assert [m.why for m in moves] == ["now with analytics 1", "now with analytics 2"]
    assert 15 + 2 < moves[0].time < 15 + 4.1, "within a session after the crash"
    assert 22 <= moves[1].time < 23


def test_without_a_crash_nothing_moves_and_nothing_comes_again():
    kinds = {m.kind for m in find_moments(messages(crash=False, load=10).run(until=30).trace)}
    assert not kinds & {"again", "rebalance", "lag", "fault", "queue"}


def test_a_found_schedule_is_told_from_its_beginning():
    found = find()
    moments = find_moments(found.replay().run(until=5).trace)
    assert [(m.kind, m.what) for m in moments] == [
        ("fault", "orders crashes before commit, while it handles order"),
        ("commit", "payments: writes charged: 1 = 10"),
    ]
    assert telling(moments, 5) == 0.0
    without = find_moments(found.replay(faults=False).run(until=5).trace)
    assert [m.what for m in without] == [
        "orders: writes orders: 1 = placed", "payments: writes charged: 1 = 10",
    ]  # fmt: skip


def test_a_found_schedule_replays_to_the_last_byte():
    found = find()
    assert found.broken == "charged without an order: [1]"
    player = Player(found.replay, until=5, compare={"no fault": {"faults": False}})
    assert player.run.trace.digest() == found.run.trace.digest()
    assert sequence(player.run).alt == sequence(found.run).alt
    with pytest.raises(RuntimeError, match="not found by a search"):
        type(found)().replay()


def test_the_page_gets_names_places_and_groups():
    player = Player(messages, until=30)
    sent, trace = player.answer["runs"][0], player.run.trace
    assert sent["groups"] == ["analytics"]
    names = np.frombuffer(sent["names"], "<u2")
    rows = np.frombuffer(sent["messages"], RECORDS["messages"])
    assert len(names) == len(rows)
    known = {(m[0], m[2], m[3]): trace.message_names().get(i) for i, m in enumerate(trace.messages)}
    by_time = {(np.float32(t), s, g): name for (t, s, g), name in known.items()}
    for row, name in list(zip(rows, names, strict=True))[:500]:
        word = sent["words"][name - 1] if name else None
        assert by_time[row["sent"], row["source"], row["target"]] == word
    offsets = np.frombuffer(sent["offsets"], RECORDS["offsets"])
    assert len(offsets) == len(trace.offsets)
    json.dumps({k: v for k, v in sent.items() if not isinstance(v, bytes)}, allow_nan=False)


def test_the_text_and_the_picture_tell_of_brokers(shop):
    player = Player(messages, until=30)
    data, _ = player._repr_mimebundle_()
    text = re.sub(" +", " ", data["text/plain"])
    ready, leased, dead = gauges(shop.result, "mail", 30.0)
    assert dead > 5
    assert f"mail, at the end: ready, on lease, dead {ready}, {leased}, {dead}\n" in text
    assert f"facts, at the end: still to be read {gauges(shop.result, 'facts', 30.0)[0]}\n" in text
    assert f"messages {len(shop.trace.messages)}\n" in text
    assert "mail: delivers again" in text
    assert "<th scope='row'>mail, at the end: ready, on lease, dead</th>" in data["text/html"]
    queue = measure(Tables.of(shop.trace)).queue
    assert {shop.trace.nodes[node].name for node, most in queue.items() if most.max() > 12} >= {
        "mail", "facts",
    }  # fmt: skip

"""The STEP harness: what it finds, that it finds the shortest, that it crashes everywhere, and shows it."""

import pytest

from coursework.checks import CheckFailed, Checks
from coursework.steps import Entry, Run, never_fails, play, search

EVENTS = [{"kind": "request"}, {"kind": "retry", "now": 1.5}]


def generous(state, event):
    return {"state": state + 1, "actions": ["allow"]}


def at_most_three(run):
    n = run.count("allow")
    return (f"{n} allowed", "at most 3") if n > 3 else None


def test_the_shortest_failing_schedule_is_found():
    run, _ = search(generous, start=0, events=EVENTS, judge=at_most_three)
    assert len(run.entries) == 4
    assert run.count("allow") == 4


def test_a_right_step_passes():
    def strict(state, event):
        return {"state": state + 1, "actions": ["allow"] if state < 3 else []}

    run, visited = search(strict, start=0, events=EVENTS, judge=at_most_three)
    assert run is None
    assert visited > 100


def test_the_same_seed_tries_and_finds_the_same():
    def seen(judge):
        run, visited = search(generous, start=0, events=EVENTS, judge=judge, seed=5)
        return run and run.text(), visited

    assert len({seen(at_most_three) for _ in range(3)}) == 1
    assert len({seen(lambda run: None) for _ in range(3)}) == 1


class Mailbox:
    """Delivers each message until it is acknowledged; an effect counts when it is done."""

    def __init__(self):
        self.effects, self.open = [], []

    def do(self, action):
        kind, message = action.split()
        if kind == "ack":
            self.open.remove(message)
        else:
            self.effects.append(message)
        return []

    def restart(self):
        return [{"kind": "deliver", "message": m} for m in self.open]


def consume(order):
    def step(state, event):
        return {"state": state, "actions": [f"{kind} {event['message']}" for kind in order]}

    return step


class Delivering(Mailbox):
    def __init__(self):
        super().__init__()
        self.open = ["a"]


def lost(run):
    return ("the effect was lost", "it happens at least once") if "a" not in run.world.effects else None


DELIVER = [{"kind": "deliver", "message": "a"}]


def test_a_crash_falls_at_every_point_between_two_actions():
    runs = [play(consume(["do", "ack"]), DELIVER, None, Delivering(), crash_at=point) for point in range(3)]
    done = [run.entries[0].actions for run in runs]
    assert done == [[], ["do a"], ["do a", "ack a"]]
    assert [len(run.entries) for run in runs] == [2, 2, 1], "what is not acknowledged comes again"
    assert all("crash" in run.text() for run in runs)
    assert play(consume(["do", "ack"]), DELIVER, None, Delivering()).points == 3


def test_ack_before_work_is_caught_only_by_a_crash():
    how = {"start": None, "events": DELIVER, "judge": lost, "world": Delivering, "longest": 1}
    assert search(consume(["ack", "do"]), **how)[0] is None
    assert search(consume(["ack", "do"]), crashes=True, **how)[0] is not None
    assert search(consume(["do", "ack"]), crashes=True, **how)[0] is None


def test_a_crash_loses_the_memory_and_nothing_else():
    run = play(generous, [{"kind": "request"}] * 3, 0, crash_at=3)
    assert [entry.state for entry in run.entries] == [1, 0, 1]


def test_what_the_step_changes_in_place_does_not_leak():
    def rude(state, event):
        event["kind"] = "changed"
        state.append(1)
        return {"state": [], "actions": []}

    run = play(rude, [{"kind": "request"}] * 2, [])
    assert [entry.event["kind"] for entry in run.entries] == ["request", "request"]


def failing(step, **how):
    checks = Checks("part")
    checks.that("it holds")(
        lambda expect: never_fails(expect, step, start=0, events=EVENTS, judge=at_most_three, **how)
    )
    with pytest.raises(CheckFailed) as failed:
        checks.done()
    return failed.value


def test_a_failing_run_is_shown_as_text_and_picture():
    failure = failing(generous, name="x").failures[0]
    assert "4 events, the shortest schedule that was found (seed" in failure.given
    assert "4. request" in "\n".join(failure.lines())
    assert failure.pictures[0].figure().axes


@pytest.mark.parametrize("letter", ["i", "m", "long word "])
def test_in_the_picture_no_words_cover_others_or_the_middle(letter):
    long = {"kind": letter * 60 if " " not in letter else letter, "note": letter * 8}
    full, empty = Entry(long, [long, long], note="crash: the memory is lost"), Entry(long)
    figure = Run([full, Entry(long, note="crash: the memory is lost"), empty, full]).figure()
    (axes,), (middle, edge) = figure.axes, figure.axes[0].transData.transform([(0, 0), (1.02, 0)])
    words = [(text, text.get_window_extent()) for text in axes.texts if text.get_text()]
    assert len(words) == 3 + 4 + 4 + 3  # titles, events, actions, crashes
    for n, (text, box) in enumerate(words):
        assert 0 <= box.x0 < box.x1 <= edge[0], text
        assert box.x1 < middle[0] or box.x0 > middle[0] or text.get_text() == "your function", text
        for other, its in words[:n]:
            assert not box.overlaps(its), (text, other)


@pytest.mark.parametrize("answer", [None, 3, [], {"state": 1}, {"state": 1, "actions": "allow"}])
def test_a_wrong_shape_is_told(answer):
    failure = failing(lambda state, event: answer).failures[0]
    assert failure.expected == '{"state": ..., "actions": [...]}'
    assert len(failure.pictures[0].entries) == 1


def test_an_error_of_the_learners_is_shown_with_the_shortest_schedule():
    def broken(state, event):
        return {"state": state + 1, "actions": ["allow"] if 1 / (2 - state) else []}

    failure = failing(broken).failures[0]
    assert "ZeroDivisionError" in failure.observed
    assert len(failure.pictures[0].entries) == 3


def test_a_memory_outside_the_state_is_told():
    calls = []

    def forgetful(state, event):
        calls.append(event)  # as a global would
        return {"state": state, "actions": ["allow"] * (5 if len(calls) == 3 else 0)}

    failure = failing(forgetful).failures[0]
    assert "played twice from the beginning, ended in two ways" in failure.observed
    assert "all that your function remembers is in `state`" in failure.expected


def test_events_that_follow_for_ever_end():
    class Echo(Mailbox):
        def do(self, action):
            return [{"kind": "request"}]

    run = play(generous, [{"kind": "request"}], 0, Echo())
    assert isinstance(run, Run)
    assert len(run.entries) == 1000

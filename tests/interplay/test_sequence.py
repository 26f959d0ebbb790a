"""The sequence diagram of a run: every message, what was lost, what was written, what broke."""

import pytest

from interplay import ArgumentError, Constant, Simulation
from interplay.actions import ack, commit, send, step
from interplay.search import play, search
from interplay.sequence import MOST, sequence


def notify(state, event):
    """Acknowledges first, and then does its work: the mistake to be seen."""
    if event["kind"] != "delivery":
        return step(state)
    return step(state, ack(event), commit(("mails", event["body"]["order"], "sent")))


def build():
    shop = Simulation(seed=1)
    queue = shop.queue("mail", visibility=5.0)
    queue.subscribe(shop.process("notifications", notify, time=Constant(0.1)))

    def journey(request):
        shop.post(request, queue, {"kind": "order placed", "order": request.number})
        return
        yield

    shop.arrive(journey)
    return shop


def lost_mail(shop):
    return None if shop.parts["notifications"].stored.get("mails") else "no mail was sent"


def test_the_shortest_failing_schedule_reads_as_a_story():
    found = search(build, lost_mail, until=20, kinds=("crash",))
    assert sequence(found.run).alt == (
        "Sequence diagram. web sends order placed to mail. mail sends order placed to notifications. "
        "notifications sends ack to mail. notifications crashes before commit, while it handles delivery."
    )


def test_without_a_fault_the_commit_is_there():
    _, _, run = play(build, {}, until=20)
    assert sequence(run).alt.endswith(
        "notifications sends ack to mail. notifications: writes mails: 1 = sent."
    )
    assert "ack" not in sequence(run, without={"ack"}).alt


def labels(picture):
    return [text.get_text() for text in picture.figure.axes[0].texts]


def test_lifelines_times_and_names_are_drawn_and_what_is_lost_is_marked():
    _, _, run = play(build, {1: "lose"}, until=1)  # the acknowledgement
    picture = sequence(run)
    assert {"web", "mail", "notifications", "order placed", "ack from notifications: lost"} <= set(
        labels(picture)
    )
    assert "0.102 s" in labels(picture)
    shop = Simulation(seed=1, loss=1.0)
    shop.process("orders", lambda state, event: step(state))
    shop.arrive(lambda request: shop.ask(request, "orders", {"kind": "order"}, deadline=1.0))
    run = shop.run(until=2)
    assert "order, lost" in labels(sequence(run))
    assert "which is lost" in sequence(run).alt


def test_a_part_of_a_run_and_one_request():
    def chatty(state, event):
        return step(
            state, *(send("mail", {"kind": f"m{i}"}) for i in range(3)) if event["kind"] == "order" else ()
        )

    shop = Simulation(seed=1)
    shop.process("orders", chatty)
    shop.process("mail", lambda state, event: step(state))
    for _ in range(MOST // 4 + 1):
        shop.arrive(lambda request: shop.ask(request, "orders", {"kind": "order"}, deadline=1.0))
    run = shop.run(until=2)
    with pytest.raises(ArgumentError, match=f"at most {MOST}"):
        sequence(run)
    assert sequence(run, request=3).alt.count("sends") == 4
    with pytest.raises(ArgumentError, match="no message"):
        sequence(run, start=1.5)

"""The sequence diagram of a run: every message, what was lost, what was written, what broke."""

import pytest
from saga_shop import orchestrated

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


def test_commits_say_what_is_new_in_a_row():
    def orders(state, event):
        rows = state["stored"].get("orders", {})
        writes = {
            "placed": ("orders", 1, {"item": "book", "log": (), "paid": None}),
            "paid": ("orders", 1, {**rows.get(1, {}), "log": (("pay", True),), "paid": 12.5}),
            "same": ("orders", 1, rows.get(1)),
            "told": ("told", None, "anna"),
            "gone": ("orders", 1, None),
        }
        return step(state, commit(writes[event["kind"]]) if event["kind"] in writes else None)

    def build():
        shop = Simulation(seed=1)
        shop.process("orders", orders)

        def journey(request):
            for kind in ("placed", "paid", "same", "told", "gone"):
                shop.post(request, "orders", {"kind": kind})
            return
            yield

        shop.arrive(journey)
        return shop

    _, _, run = play(build, {}, until=5)
    assert [note[3] for note in run.trace.notes] == [
        "writes orders: 1 = {item, log, paid}",
        "writes orders: 1, log + pay True, paid = 12.5",
        "writes orders: 1 as before",
        "writes told: a row",
        "writes orders: without 1",
    ]


def test_the_diagram_of_one_request_has_its_own_commits_only():
    _, _, run = play(orchestrated, {}, until=60)
    said = sequence(run, request=1).alt
    assert "orders: writes sagas: 1, log + reserve True" in said
    assert "sagas: 2" not in said
    assert "orders: writes sagas: 2, log + ship False" in sequence(run).alt


def test_a_long_pause_is_said_and_drawn():
    def build():
        shop = Simulation(seed=1)
        queue = shop.queue("mail", visibility=5.0)
        queue.subscribe(shop.process("notifications", notify))

        def journey(request):
            shop.post(request, queue, {"kind": "order placed", "order": request.number})
            return
            yield

        shop.arrive(journey)
        return shop

    _, _, run = play(build, {1: "lose"}, until=20)  # the acknowledgement; the lease runs out
    picture = sequence(run)
    assert "For 5 s nothing is sent. mail sends order placed to notifications" in picture.alt
    assert "5 s in which nothing is sent" in labels(picture)
    assert "nothing is sent" not in sequence(run, end=1).alt

"""The message queue: by itself against its identity, in the shop against theory and what it promises."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import ArgumentError, Constant, Exponential, MessageQueue, Simulation, theory
from interplay.actions import ack, commit, extend, nack, put, send, step, timer
from interplay.after import After


def z(values, expected):
    values = np.asarray(values, float)
    return (values.mean() - expected) / (values.std(ddof=1) / len(values) ** 0.5)


def whole(queue):
    return queue.sent == queue.acked + queue.ready + queue.delayed + queue.leased + len(queue.dead)


def worker(state, event):
    """Notes what it has done, then acknowledges."""
    if event["kind"] != "delivery":
        return step(state)
    return step(state, commit(("done", None, event["body"]["n"])), ack(event))


def always(action):
    """A consumer that does this with every delivery."""
    return lambda state, event: step(state, action(event) if event["kind"] == "delivery" else None)


def shop_with(queue=None, step=worker, prefetch=1, seed=1, record="everything", auto=False, **process):
    shop = Simulation(seed=seed, delay=Constant(0.0), record=record)
    mail = shop.queue("mail", **(queue or {}))
    mail.subscribe(shop.process("notifications", step, **process), prefetch=prefetch, auto=auto)
    return shop, mail


def post(shop, to, *numbers, at=0.0, **options):
    def journey(request):
        for n in numbers:
            shop.post(request, to, {"kind": "mail", "n": n}, **options)
        yield from ()

    After(shop.env, at, lambda _: shop.arrive(journey))


def posting(shop, to, **options):
    """A journey for users who post a numbered message and do not wait."""
    numbers = itertools.count()

    def journey(request):
        shop.post(request, to, {"kind": "mail", "n": next(numbers)}, **options)
        yield from ()

    return journey


def done(shop, name="notifications"):
    return shop.parts[name].stored.get("done", [])


# The queue by itself


def test_a_message_is_leased_and_comes_again_until_it_is_acknowledged():
    queue = MessageQueue(visibility=10)
    assert queue.take(0) is None
    queue.send("a", 0)
    first = queue.take(1)
    assert (first.message, first.deliveries, queue.due()) == ("a", 1, 11)
    assert queue.take(10.9) is None
    second = queue.take(11)
    assert (second.id, second.deliveries) == (first.id, 2)
    assert second.receipt != first.receipt
    assert queue.ack(second.receipt, 12)
    assert not queue.ack(second.receipt, 12)
    assert queue.acked == queue.sent == 1
    assert queue.take(100) is None


@pytest.mark.parametrize(("late", "gone"), [("ignored", False), ("honoured", True)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_acknowledgement_that_comes_too_late(late, gone, elsewhere):
    queue = MessageQueue(visibility=1, late=late)
    queue.send("a", 0)
    first = queue.take(0)
    second = queue.take(1.5) if elsewhere else None
    assert queue.ack(first.receipt, 1.6) is gone
    assert queue.counts["late"] == gone  # an ignored receipt is not even known any more
    assert queue.acked == gone
    assert whole(queue)
    if elsewhere:
        assert queue.ack(second.receipt, 1.7) is not gone
        assert queue.acked == 1
    assert (queue.take(10) is None) is (gone or elsewhere)


def test_a_lease_that_is_renewed_in_time_does_not_run_out():
    queue = MessageQueue(visibility=2)
    queue.send("a", 0)
    lease = queue.take(0)
    for now in (1, 2, 3):
        assert queue.extend(lease.receipt, 2, now)
        assert queue.extend(lease.receipt, 2, now)
    assert queue.due() == 5
    assert queue.take(4.9) is None
    assert not queue.extend(lease.receipt, 2, 5)
    assert queue.take(5).deliveries == 2
    assert not queue.extend(lease.receipt, 2, 5)
    assert whole(queue)


def test_a_lease_can_be_cut_short():
    queue = MessageQueue(visibility=100)
    queue.send("a", 0)
    queue.extend(queue.take(0).receipt, 1, 0)
    assert queue.due() == 1
    assert queue.take(1).deliveries == 2


def test_a_message_is_dead_after_so_many_deliveries():
    queue = MessageQueue(visibility=1, limit=3)
    queue.send("poison", 0)
    assert [queue.take(now).deliveries for now in (0, 1, 2)] == [1, 2, 3]
    assert queue.take(3) is None
    assert queue.dead == [("poison", "deliveries")]


def test_a_message_that_waited_too_long_is_dead():
    queue = MessageQueue(ttl=5)
    queue.send("a", 0)
    queue.send("b", 0, delay=3)
    assert queue.take(6).message == "b"
    assert queue.dead == [("a", "ttl")]


def test_nack_gives_back_for_now_for_later_or_for_good():
    queue = MessageQueue()
    queue.send("a", 0)
    queue.nack(queue.take(0).receipt, 0)
    queue.nack(queue.take(0).receipt, 0, delay=5)
    assert queue.take(4.9) is None
    queue.nack(queue.take(5).receipt, 5, requeue=False)
    assert queue.dead == [("a", "rejected")]
    assert not queue.nack(3, 5)


def test_the_higher_priority_first_and_order_of_arrival_among_equals():
    queue = MessageQueue()
    for n, priority in enumerate([0, 5, 0, 5, 9]):
        queue.send(n, 0, priority=priority)
    assert [queue.take(0).message for _ in range(5)] == [4, 1, 3, 0, 2]


def test_what_has_expired_is_dead_for_good_whoever_acknowledges_it():
    queue = MessageQueue(visibility=1, ttl=2, late="honoured")
    queue.send("a", 0)
    first = queue.take(0)
    assert queue.take(3) is None
    assert not queue.ack(first.receipt, 3)
    assert (queue.acked, queue.dead) == (0, [("a", "ttl")])


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["send", "delay", "urgent", "take", "ack", "nack", "reject", "later", "extend"]),
        st.integers(0, 8),
        st.floats(0, 2),
    ),
    max_size=40,
)


@given(OPERATIONS, st.sampled_from(["ignored", "honoured"]), st.sampled_from([math.inf, 2]))
@settings(max_examples=300, deadline=None)
def test_each_message_is_in_one_place_whatever_is_done(operations, late, limit):
    queue, now, receipts, gone = MessageQueue(visibility=1.5, limit=limit, ttl=4, late=late), 0.0, [], []
    for what, which, wait in operations:
        now += wait
        receipt = receipts[which % len(receipts)] if receipts else 99
        before = queue.acked
        if what in ("send", "delay", "urgent"):
            queue.send(queue.sent, now, delay=which * (what == "delay"), priority=which * (what == "urgent"))
        elif what == "take":
            if (delivery := queue.take(now)) is not None:
                assert delivery.message not in gone
                assert delivery.message not in [body for body, _ in queue.dead]
                receipts.append(delivery.receipt)
        elif what == "ack":
            queue.ack(receipt, now)
        elif what == "extend":
            queue.extend(receipt, 1 + which, now)
        else:
            queue.nack(receipt, now, requeue=what != "reject", delay=which * (what == "later"))
        assert 0 <= queue.acked - before <= (what == "ack")
        assert whole(queue)
        assert queue.due() > now or queue.due() == math.inf or what != "take"
        assert queue.ready == len([entry for entry in queue._ready if entry[2].receipt == 0])
        holders = [message for receipt, message in queue._leased.items() if message.receipt == receipt]
        assert len(holders) == queue.leased == len({message.id for message in holders})
    for _ in range(200):  # at last everything is acknowledged or dead
        now += 10
        delivery = queue.take(now)
        if delivery is not None:
            queue.ack(delivery.receipt, now)
    assert queue.sent == queue.acked + len(queue.dead)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"visibility": 0}, "visibility is 0, but must be a number above 0"),
        ({"limit": 0}, "limit is 0, but must be a whole number of at least 1"),
        ({"ttl": -1}, "ttl is -1"),
        ({"late": "lost"}, "late is 'lost', but must be one of 'ignored', 'honoured'"),
    ],
)
def test_wrong_policies_are_refused(wrong, words):
    with pytest.raises(ArgumentError, match=words):
        Simulation().queue("mail", **wrong)


def test_wrong_uses_are_refused():
    shop, mail = shop_with()
    with pytest.raises(ArgumentError, match="prefetch is 0"):
        mail.subscribe(shop.parts["notifications"], prefetch=0)
    shop.parts["notifications"].step = lambda state, event: step(state, {"do": "dance", "to": "mail"})
    post(shop, mail, 1)
    with pytest.raises(ArgumentError, match='for mail is \'dance\', but must be "send", "ack", "nack" or'):
        shop.run(until=1)


# Theory


def deliveries(seed, slower, late, n=4000):
    """Work of mean 1 s under a lease of 2 s, with consumers in plenty: deliveries per message."""
    shop, mail = shop_with(
        {"visibility": 2.0, "late": late}, always(ack),
        prefetch=300, seed=seed, record="spans", workers=300, time=Exponential(slower),
    )  # fmt: skip
    shop.users(posting(shop, mail), rate=20, end=n / 20)
    shop.run(until=n / 20 + 60)
    assert mail.queue.acked == mail.queue.sent
    return mail.queue.counts["deliveries"] / mail.queue.sent


@pytest.mark.parametrize(("late", "value"), [("ignored", 1.1565), ("honoured", 1.1378)])
def test_deliveries_of_a_short_lease(late, value):
    expected = theory.deliveries(2.0, 1.0, late)
    assert expected == pytest.approx(value, abs=5e-5)
    assert abs(z([deliveries(seed, 1.0, late) for seed in range(1, 11)], expected)) < 4
    assert abs(z([deliveries(seed, 1.05, late) for seed in range(1, 11)], expected)) > 4


@pytest.mark.parametrize(("slower", "agrees"), [(1.0, True), (1.05, False)])
def test_a_buffer_levels_the_load(slower, agrees):
    """30 s at 20/s for a consumer of 10/s: callers do not notice, and the backlog takes 60 s to drain."""
    shop, mail = shop_with(prefetch=1, time=Constant(0.1 * slower), record="everything")
    for n in range(600):
        post(shop, mail, n, at=n / 20)
    for n in range(500):
        post(shop, mail, 600 + n, at=30 + n / 5)
    run = shop.run(until=130)
    times, waiting = (np.array(series) for series in run.trace.gauge("mail", "queue"))
    peak = waiting.max()
    assert (abs(peak - 300) <= 2) == agrees
    drained = times[(times > 30) & (waiting == 0)][0] - 30
    assert (abs(drained / theory.drain_time(300, 5, 10) - 1) < 0.02) == agrees
    assert run.latency.percentile(100) == pytest.approx(0)  # posting takes no time, however long the queue
    with pytest.raises(ValueError, match="grows for ever"):
        theory.drain_time(300, 11, 10)


# In the shop


def test_consumers_compete_and_share_the_work():
    shop, mail = shop_with(time=Constant(1.0))
    mail.subscribe(shop.process("more notifications", worker, time=Constant(1.0)))
    post(shop, mail, *range(10))
    shop.run(until=5.5)
    assert sorted(done(shop) + done(shop, "more notifications")) == list(range(10))
    assert len(done(shop)) == 5


def test_idle_consumers_take_turns():
    shop, mail = shop_with()
    mail.subscribe(shop.process("more notifications", worker))
    for n in range(6):
        post(shop, mail, n, at=n)
    shop.run(until=10)
    assert (done(shop), done(shop, "more notifications")) == ([0, 2, 4], [1, 3, 5])


def test_a_broker_that_is_down_delivers_nothing_to_a_consumer_that_is_back():
    shop, mail = shop_with(time=Constant(1.0))
    post(shop, mail, 1, 2)
    shop.fault("crash", "mail", start=0.5, end=10)
    shop.fault("crash", "notifications", start=2, end=3)
    run = shop.run(until=20)
    assert not [span for span in run.trace.spans if 1 <= span[4] < 10 and span[0]]
    assert set(done(shop)) == {1, 2}


def test_competing_consumers_lose_the_order_and_one_alone_keeps_it():
    for others in (0, 2):
        book = {}
        shop, mail = shop_with(time=Exponential(1.0), stored=book)
        for i in range(others):
            mail.subscribe(shop.process(f"other {i}", worker, time=Exponential(1.0), stored=book))
        post(shop, mail, *range(30))
        shop.run(until=100)
        assert sorted(book["done"]) == list(range(30))
        assert (book["done"] == list(range(30))) is (others == 0)


def test_a_late_redelivery_loses_the_order_even_with_one_consumer():
    def second_time(state, event):
        if event["kind"] == "delivery" and event["body"]["n"] == 0 and event["deliveries"] == 1:
            return step(state, nack(event, delay=5.0))
        return worker(state, event)

    shop, mail = shop_with(step=second_time, time=Constant(0.1))
    post(shop, mail, *range(5))
    shop.run(until=10)
    assert done(shop) == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(("prefetch", "took"), [(1, 6.0), (10, 10.0)])
def test_prefetch_against_fairness(prefetch, took):
    """One consumer of 1 s, one of 0.5 s, 20 messages: with a large prefetch the slow one sits on its half."""
    shop, mail = shop_with(prefetch=prefetch, time=Constant(1.0))
    mail.subscribe(shop.process("fast", worker, time=Constant(0.5)), prefetch=prefetch)
    post(shop, mail, *range(18 if prefetch == 1 else 20))
    run = shop.run(until=20)
    assert max(span[6] for span in run.trace.spans) == pytest.approx(took)


def test_urgent_messages_starve_the_others_while_there_are_enough_of_them():
    """Urgent ones arrive as fast as they are handled: the ordinary one waits until they stop."""
    shop, mail = shop_with(time=Constant(1.0))
    for n in range(20):
        post(shop, mail, n, at=n * 0.999, priority=1)
    post(shop, mail, "ordinary", at=0.5)
    shop.run(until=40)
    assert done(shop)[-1] == "ordinary"
    assert len(done(shop)) == 21


def test_a_worker_that_crashes_loses_nothing_where_it_acknowledges_by_itself():
    """As on RabbitMQ: acknowledged by hand nothing is lost; automatically, what was on the way."""
    for auto, lost in ((False, 0), (True, 5)):
        shop, mail = shop_with(prefetch=5, auto=auto, time=Constant(1.0))
        if auto:
            shop.parts["notifications"].workers = 5
        post(shop, mail, *range(5))
        shop.fault("crash", "notifications", start=0.5, end=1.0)
        shop.run(until=20)
        assert mail.queue.acked == 5
        assert len(done(shop)) == 5 - lost
        assert mail.queue.counts["redelivered"] == (0 if auto else 5)


@pytest.mark.parametrize(("visibility", "again"), [(math.inf, 1.0), (8.0, 8.0)])
def test_when_a_crashed_consumers_message_comes_again(visibility, again):
    """A broken connection gives it back at once (RabbitMQ); a lease has to run out (SQS)."""
    shop, mail = shop_with({"visibility": visibility}, time=Constant(3.0))
    post(shop, mail, 1)
    shop.fault("crash", "notifications", start=0.5, end=1.0)
    run = shop.run(until=20)
    assert done(shop) == [1]
    first, second = sorted(span[4] for span in run.trace.spans if span[0])
    assert (first, second) == (0, again)


def test_dead_letters_go_on_to_their_own_queue():
    shop = Simulation(seed=1, delay=Constant(0.01))
    graves = shop.queue("dead letters")
    mail = shop.queue("mail", limit=2, dead_letters="dead letters")
    mail.subscribe(shop.process("notifications", always(nack)))
    graves.subscribe(shop.process("support", worker))
    post(shop, mail, 1, 2)
    run = shop.run(until=5)
    assert [why for _, why in mail.dead] == ["deliveries", "deliveries"]
    assert done(shop, "support") == [1, 2]
    assert run.trace.gauge("mail", "dead")[1][-1] == 2


def test_a_broker_keeps_what_it_has_over_a_crash_and_takes_nothing_in_meanwhile():
    shop, mail = shop_with(time=Constant(1.0))
    post(shop, mail, 1, 2, 3)
    post(shop, mail, "lost", at=2)
    shop.fault("crash", "mail", start=1.5, end=10)
    shop.run(until=20)
    assert mail.queue.sent == 3
    assert set(done(shop)) == {1, 2, 3}
    assert mail.queue.acked + mail.queue.leased == 3  # the acknowledgement of one found the broker down


def test_a_publisher_sends_until_its_message_is_confirmed():
    def publisher(state, event):
        if event["kind"] == "confirmed":
            return step({**state, "safe": (*state.get("safe", ()), event["tag"])})
        if event["kind"] in ("order", "again") and event["n"] not in state.get("safe", ()):
            message = {"kind": "mail", "n": event["n"]}
            return step(
                state,
                put("mail", message, confirm=event["n"]),
                timer(1.0, {"kind": "again", "n": event["n"]}),
            )
        return step(state)

    shop, _ = shop_with()
    shop.process("orders", publisher)
    shop.fault("crash", "mail", start=0.5, end=3.2)

    def order(request):
        yield shop.env.timeout(1.0)
        shop.post(request, "orders", {"kind": "order", "n": 7})

    shop.arrive(order)
    shop.run(until=10)
    assert done(shop) == [7]
    assert shop.parts["orders"].state["safe"] == (7,)


def test_a_heartbeat_keeps_long_work_from_being_done_twice():
    """Work of 5 s under a lease of 2 s: renewed each second it is delivered once, otherwise three times."""

    def lasting(heartbeat):
        def consume(state, event):
            if event["kind"] == "delivery":
                return step(
                    state, timer(5.0, {**event, "kind": "ready"}), timer(1.0, {**event, "kind": "alive"})
                )
            if event["kind"] == "alive" and heartbeat and event["body"]["n"] not in state.get("over", ()):
                return step(state, extend(event, 2.0), timer(1.0, event))
            if event["kind"] == "ready":
                state = {**state, "over": (*state.get("over", ()), event["body"]["n"])}
                return step(state, commit(("done", None, event["body"]["n"])), ack(event))
            return step(state)

        return consume

    for heartbeat, times in ((True, 1), (False, 3)):
        shop, mail = shop_with({"visibility": 2.0, "late": "honoured"}, lasting(heartbeat), prefetch=5)
        post(shop, mail, 1)
        shop.run(until=5.5)
        assert mail.queue.counts["deliveries"] == times
        assert mail.queue.acked == 1


@pytest.mark.parametrize("fault", ["crash", "outage", "errors", None])
@pytest.mark.parametrize(("visibility", "late"), [(math.inf, "ignored"), (1.0, "ignored"), (1.0, "honoured")])
@pytest.mark.parametrize(("limit", "ttl", "prefetch"), [(math.inf, math.inf, 1), (3, 4.0, 5)])
def test_every_message_is_accounted_for(fault, visibility, late, limit, ttl, prefetch):
    policy = {"visibility": visibility, "late": late, "limit": limit, "ttl": ttl}
    shop, mail = shop_with(policy, prefetch=prefetch, workers=2, time=Exponential(0.3), seed=5)
    shop.network.loss = 0.02 if visibility < math.inf else 0.0  # a connection loses nothing while it stands
    shop.users(
        posting(shop, mail),
        rate=8, end=12,
    )  # fmt: skip
    if fault:
        shop.fault(fault, "notifications", start=3, end=5)
        shop.fault("crash", "mail", start=6, end=7)
    shop.run(until=60)
    queue = mail.queue
    assert whole(queue)
    assert queue.sent > 60
    if visibility < math.inf or fault != "errors":  # where nothing runs out, an error must be answered
        assert queue.ready == queue.delayed == queue.leased == 0
        if limit == math.inf:
            assert queue.acked == queue.sent
    assert len(set(done(shop))) >= queue.acked


def test_send_is_put_without_options():
    def passes_on(state, event):
        return step(state, send("mail", {"kind": "mail", "n": 1})) if "n" in event else step(state)

    shop, _ = shop_with()
    shop.process("orders", passes_on)
    shop.arrive(posting(shop, "orders"))
    shop.run(until=1)
    assert done(shop) == [1]

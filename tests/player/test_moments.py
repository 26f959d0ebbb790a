import math
import re

import pytest
from storm_model import outage, storm

from interplay import Constant, ControlledDelay, Exponential, Fifo, FullJitter, Reply, Retry, Simulation
from interplay.player import find_moments
from interplay.player.measures import Tables, measure, window_of
from interplay.player.moments import telling
from interplay.trace import BREAKER, OK, QUEUE, REQUEST, TOKENS, Node, Trace


def kinds(moments):
    return [m.kind for m in moments]


def test_the_storm_tips_over_and_never_recovers():
    moments = find_moments(storm().run(until=60).trace)
    assert kinds(moments) == ["fault", "queue", "tips", "retries", "fault"]
    tips = moments[2]
    assert 15 <= tips.time <= 18
    assert tips.why == "inventory gets 40 calls a second and can serve 30"
    assert telling(moments, 60) == 22.0  # two seconds after the outage is over


def test_with_a_budget_it_recovers():
    moments = find_moments(storm(budget=0.1).run(until=60).trace)
    assert kinds(moments)[-1] == "recovers"
    assert 25 < moments[-1].time < 45
    assert any(m.kind == "budget" and m.what == "orders: retry budget spent" for m in moments)


def test_a_quiet_run_has_no_moments():
    shop = Simulation(seed=1)
    web = shop.client(shop.service("stock", workers=4, time=Exponential(0.02)))
    shop.users(lambda request: web.call(request), rate=20)
    moments = find_moments(shop.run(until=40).trace)
    assert moments == []
    assert telling(moments, 40) == 10


def test_where_users_fail_all_through_a_run_that_is_no_good_news():
    shop = Simulation(seed=1)
    stock = shop.service("stock", workers=4, time=Exponential(0.02))
    shop.users(shop.client(stock), rate=20)
    stock.failing.append(0.3)  # from the beginning, and no fault that would be told of
    moments = find_moments(shop.run(until=40).trace)
    assert kinds(moments) == ["fails"]
    share = int(moments[0].what.split()[0])
    assert 25 <= share <= 35
    assert moments[0].why == "one here, one there, all through the run"
    assert moments[0].time < 2
    stock = Simulation(seed=1)
    few = stock.service("stock", workers=4, time=Exponential(0.02))
    stock.users(stock.client(few), rate=20)
    few.failing.append(0.01)
    assert find_moments(stock.run(until=40).trace) == []


def refused(start, end, one_in=1):
    """The only moment of 40 s in which from `start` to `end` one user in so many is not served."""

    def serve(call):
        yield shop.env.timeout(0.02)
        return Reply("error" if start <= shop.env.now < end and call.number % one_in == 0 else "ok", 1)

    shop = Simulation(seed=1)
    shop.users(shop.client(shop.service("stock", workers=9, time=Constant(0), calls=serve)), rate=20)
    (moment,) = find_moments(shop.run(until=40).trace)
    assert moment.kind == "fails"
    return moment


def test_failures_that_lie_close_together_are_not_told_as_all_through_the_run():
    late = refused(30, 40)  # such as when all is sold
    assert 30 <= late.time < 31.5
    assert 22 <= int(late.what.split()[0]) <= 28
    assert re.fullmatch("nearly all of them after 3[01] s: from then on it is 100 %", late.why)
    early = refused(0, 10, one_in=3)
    assert early.time < 2
    assert re.fullmatch(r"nearly all of them between [012] and (9|10) s: there it is 3\d %", early.why)
    assert refused(2, 39, one_in=3).why == "one here, one there, all through the run"


def test_too_much_load_tips_over_without_any_fault():
    shop = Simulation(seed=1)
    web = shop.client(shop.service("stock", workers=1, time=Exponential(0.1)), deadline=0.5)
    shop.users(lambda request: web.call(request), rate=5, end=20)
    shop.users(lambda request: web.call(request), rate=20, start=20)
    tips = [m for m in find_moments(shop.run(until=60).trace) if m.kind == "tips"]
    assert len(tips) == 1
    assert 17 <= tips[0].time <= 23


def test_a_short_fault_is_not_a_tipping_point():
    shop = storm(attempts=1)
    moments = find_moments(shop.run(until=60).trace)
    assert "tips" not in kinds(moments)
    assert kinds(moments)[-1] == "recovers"


def test_an_added_fault_is_a_moment():
    shop = storm(attempts=1)
    outage(shop, 40.2)
    labels = [(m.time, m.what) for m in find_moments(shop.run(until=60).trace) if m.kind == "fault"]
    assert (40.2, "inventory: outage starts") in labels
    assert (45.2, "inventory: outage ends") in labels


def test_nothing_tips_over_before_the_fault_that_does_it():
    shop = storm(attempts=4)
    shop.fault("slow", "inventory", start=3.2, end=13.2, factor=4)
    moments = find_moments(shop.run(until=60).trace)
    assert [m.kind for m in moments][:2] == ["fault", "tips"]
    assert moments[1].time >= 3.2


def test_a_full_queue_is_named_once_for_each_burst():
    shop = Simulation(seed=2, delay=Constant(0.001))
    stock = shop.service("stock", workers=1, time=Constant(0.1), capacity=3)
    web = shop.client(stock)
    shop.users(lambda request: web.call(request), rate=40, start=5, end=8)
    shop.users(lambda request: web.call(request), rate=40, start=20, end=22)
    full = [m for m in find_moments(shop.run(until=30).trace) if m.kind == "full"]
    assert [round(m.time) for m in full] == [5, 20]
    assert full[0].what == "stock: full, it rejects"


def behind(queue=None, deadline=0.3, capacity=math.inf, **how):
    """web -> orders -> stock: one worker, slower than the users come."""
    shop = Simulation(seed=2, delay=Constant(0.001))
    stock = shop.service("stock", workers=1, time=Constant(0.1), queue=queue, capacity=capacity)
    shop.service("orders", workers=99, time=Constant(0.001), calls=lambda call: ask.call(call))
    ask = shop.client(stock, caller="orders", deadline=deadline, **how)
    shop.users(shop.client("orders").call, rate=30, start=5, end=8)
    return {(m.kind, m.what) for m in find_moments(shop.run(until=30).trace) if "stock" in m.what}


def test_what_a_queue_throws_away_is_not_told_as_a_full_queue():
    expired, waited = (
        ("drop", "stock: drops what has expired"),
        ("drop", "stock: drops what has waited too long"),
    )
    full = ("full", "stock: full, it rejects")
    assert behind(Fifo(drop_expired=True)) & {expired, waited, full} == {expired}
    assert behind(ControlledDelay(), deadline=60) & {expired, waited, full} == {waited}
    assert behind(Fifo(drop_expired=True), capacity=3, deadline=0.25) & {expired, waited, full} == {
        expired,
        full,
    }
    retry = Retry(3, FullJitter(0.05, 1.0))
    assert behind(Fifo(drop_expired=True), retry=retry) & {expired, waited, full} == {expired}


def test_a_call_that_was_cancelled_is_neither_full_nor_dropped():
    assert {kind for kind, _ in behind(cancel=True)} <= {"queue"}


def by_hand(states, until=20.0):
    trace = Trace()
    trace.nodes = [Node("web", "users", None), Node("stock", "service", 2)]
    trace.until = until
    for row in states:
        trace.states.append(row)
    return trace


def test_breaker_and_budget_are_read_from_the_gauges():
    states = [(2.0, 0, BREAKER, 1), (4.0, 0, BREAKER, 2), (5.0, 0, BREAKER, 0)]
    states += [
        (1.0, 0, TOKENS, 10),
        (6.0, 0, TOKENS, 0.5),
        (7.0, 0, TOKENS, 0.9),
        (8.0, 0, TOKENS, 9),
        (9.0, 0, TOKENS, 0),
    ]
    moments = find_moments(by_hand(states))
    assert [(m.time, m.what) for m in moments] == [
        (2.0, "web: breaker opens"),
        (4.0, "web: breaker half-opens"),
        (5.0, "web: breaker closes"),
        (6.0, "web: retry budget spent"),
        (9.0, "web: retry budget spent"),
    ]


def test_of_many_changes_of_a_breaker_the_last_one_stays():
    opened = [(float(at), 0, BREAKER, 1 + at % 2) for at in range(1, 9)]
    moments = find_moments(by_hand([*opened, (9.0, 0, BREAKER, 0)]))
    assert [m.time for m in moments] == [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]
    assert moments[-1].what == "web: breaker closes"


def test_a_queue_that_goes_away_at_once_is_not_a_moment():
    up = [(1 + i / 100, 1, QUEUE, i) for i in range(13)]
    assert find_moments(by_hand([*up, (1.5, 1, QUEUE, 0)])) == []
    assert kinds(find_moments(by_hand(up))) == ["queue"]


# -- measures --------------------------------------------------------------------------------------


def test_measures_agree_with_the_run():
    run = storm(load=24, budget=0.1).run(until=60)
    measured, series = measure(Tables.of(run.trace), 1.0), run.series(1.0)
    assert measured.offered == pytest.approx(series.offered)
    assert measured.goodput == pytest.approx(series.goodput)
    assert measured.p99 == pytest.approx(series.p99, abs=1e-4, nan_ok=True)
    for t in (3.0, 17.25, 30.5):
        assert measured.queue[1][round(t * 4)] == run.queue_at("inventory", t)


def test_p99_is_nearest_rank_within_each_window():
    trace = by_hand([])
    for row in [(i, 0.0, 0.1 + i / 1000, OK, 1) for i in range(200)] + [(999, 5.0, 5.5, OK, 1)]:
        trace.requests.append(row)
    p99 = measure(Tables.of(trace), 1.0).p99
    assert p99[0] == pytest.approx(0.1 + 197 / 1000, abs=1e-6)  # the 198th of 200
    assert p99[5] == pytest.approx(0.5)
    assert math.isnan(p99[1])


def test_windows_are_round_and_not_too_many():
    for until in (0.5, 1, 7, 20, 60, 900, 12345):
        assert 30 <= until / window_of(until) <= 101
    assert window_of(60) == 1.0


def test_calls_that_reach_a_service_are_counted_where_they_arrive():
    trace = by_hand([], until=2.0)
    for row in [(0.0, 1.5, 0, 1, REQUEST, 1, 1), (0.0, float("inf"), 0, 1, REQUEST, 1, 2)]:
        trace.messages.append(row)
    first = measure(Tables.of(trace), 1.0).first[1]
    assert first.tolist() == [0.0, 1.0]

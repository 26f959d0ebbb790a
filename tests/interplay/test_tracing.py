"""Trace context in headers, the critical path of asynchronous work, sampling, and RED metrics."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from saga_shop import choreographed, orchestrated, two_phase

from interplay import ArgumentError, Constant, Exponential, Simulation
from interplay.actions import ack, call, commit_offset, nack, put, reply, send, step, timer
from interplay.red_metrics import red
from interplay.sampling import HeadSampler, TailSampler, head_sample, luck, tail_sample
from interplay.trace_context import Context, below, context_of, extract, inject, trace_id, with_state
from interplay.tracing import critical_path

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"  # the specification's own example
PARENT = f"00-{TRACE}-{SPAN}-01"

# -- the context in headers -------------------------------------------------------------------------


def test_the_example_of_the_specification():
    context = extract({"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"})
    assert context == Context(TRACE, SPAN, True, (("congo", "t61rcWkgMzE"), ("rojo", "00f067aa0ba902b7")))
    assert inject(context) == {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"}


@pytest.mark.parametrize(
    "parent",
    [
        "", "x", PARENT.upper(), PARENT + "-", PARENT + "-00", PARENT[:-1], PARENT.replace("-", "_"),
        f"0{PARENT[2:]}", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-0x", f"00-{TRACE[:-1]}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more", f"00-{TRACE}-{SPAN}-01\n", None, 7,
    ],
)  # fmt: skip
def test_a_wrong_traceparent_is_none(parent):
    assert extract({"traceparent": parent, "tracestate": "a=1"}) is None


def test_what_is_taken_all_the_same():
    assert extract({"TraceParent": f"  {PARENT}\t"}) == Context(TRACE, SPAN, True)
    assert extract({"traceparent": f"00-{TRACE}-{SPAN}-02"}).sampled is False
    assert extract({"traceparent": f"00-{TRACE}-{SPAN}-ff"}).sampled is True
    for later in (f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-then"):
        assert extract({"traceparent": later}) == Context(TRACE, SPAN, True)
    assert extract({}) is None
    assert extract([("traceparent", PARENT), ("Traceparent", PARENT)]) is None


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("a=1, b=2 ,,c=3", (("a", "1"), ("b", "2"), ("c", "3"))),
        ("0tenant@system=x y", (("0tenant@system", "x y"),)),
        ("a=1,a=2", ()),
        ("A=1", ()),
        ("a", ()),
        ("a=", ()),
        ("a=b=c", ()),
        ("a=é", ()),
        (",".join(f"k{n}=1" for n in range(33)), ()),
        ("", ()),
    ],
)
def test_a_wrong_tracestate_is_left_out_and_the_rest_stays(state, kept):
    assert extract({"traceparent": PARENT, "tracestate": state}) == Context(TRACE, SPAN, True, kept)


def test_several_tracestates_are_one_list():
    context = extract([("tracestate", "a=1"), ("traceparent", PARENT), ("Tracestate", "b=2")])
    assert context.state == (("a", "1"), ("b", "2"))


ids = st.integers(1, 16**16 - 1)


@given(ids, ids, st.booleans())
def test_what_was_injected_is_extracted(trace, span, sampled):
    context = with_state(Context(f"{trace:032x}", f"{span:016x}", sampled), "shop", "7")
    assert extract(inject(context)) == context


def test_a_service_adds_itself_and_keeps_the_trace():
    context = extract({"traceparent": PARENT, "tracestate": "a=1,shop=old"})
    mine = with_state(below(context, "00f067aa0ba902b7"), "shop", "new")
    assert inject(mine)["traceparent"] == f"00-{TRACE}-00f067aa0ba902b7-01"
    assert mine.state == (("shop", "new"), ("a", "1"))
    full = extract({"traceparent": PARENT, "tracestate": ",".join(f"k{n}=1" for n in range(32))})
    assert [key for key, _ in with_state(full, "shop", "1").state] == ["shop", *(f"k{n}" for n in range(31))]


def test_what_is_no_context_is_refused():
    with pytest.raises(ArgumentError, match="not all zero"):
        inject(Context("0" * 32, SPAN))
    with pytest.raises(ArgumentError, match="tracestate entry is 'a=b,c'"):
        with_state(Context(TRACE, SPAN), "a", "b,c")


# -- the critical path ------------------------------------------------------------------------------


def ended(run):
    return [row for row in run.trace.requests if not math.isnan(row[2])]


def check(run, to="answer"):
    """The paths of all requests have no gaps, and are as long as the requests took."""
    paths = {}
    for number, start, end, *_ in ended(run):
        paths[number] = path = critical_path(run.trace, number, to=to)
        if to == "end":
            mine = [span for span in run.trace.spans if span[0] == number]
            mine += [s for s in run.trace.spans for c in run.trace.causes if c[:2] == (s[1], number)]
            end = max([end, *(span[6] for span in mine)])
        if path:
            assert (path[0].start, path[-1].end) == (start, end)
            assert all(a.end == b.start for a, b in pairwise(path))
        assert sum(s.end - s.start for s in path) == pytest.approx(end - start, abs=1e-9)
    return paths


def told(path):
    return [(s.node, s.what, round(s.end - s.start, 6)) for s in path]


@pytest.mark.parametrize("record", ["everything", "spans"])
@pytest.mark.parametrize("make", [orchestrated, choreographed, two_phase])
def test_the_path_of_a_message_driven_order_is_its_latency(make, record):
    run = make(record=record).run(until=60)
    assert len(check(run)) == 3
    check(run, to="end")


def test_it_goes_from_span_to_span_as_the_messages_went():
    path = critical_path(orchestrated().run(until=60).trace, 1)
    hops = ["web", "orders", "inventory", "orders", "payments", "orders", "shipping", "orders"]
    assert told(path) == [(node, "between", 0.001) for node in hops]


def post(shop, to, *messages, **options):
    def journey(request):
        for message in messages:
            shop.post(request, to, message, **options)
        return
        yield

    shop.arrive(journey)


def consumer(state, event):
    return step(state, ack(event) if event["kind"] == "delivery" else None)


def test_the_wait_at_a_queue_is_on_the_path():
    shop = Simulation(seed=1, delay=Constant(0.1))
    queue = shop.queue("mail")
    queue.subscribe(shop.process("notifications", consumer, time=Constant(1.0)))
    for _ in range(2):
        post(shop, queue, {"kind": "order placed"})
    run = shop.run(until=20)
    paths = check(run, to="end")
    assert told(paths[1]) == [
        ("web", "between", 0.1), ("mail", "between", 0.1), ("notifications", "worked on", 1.0),
    ]  # fmt: skip
    assert told(paths[2])[1] == ("mail", "waits", 1.2)  # until the first one's acknowledgement is there
    assert critical_path(run.trace, 1) == [], "the user did not wait"


def test_a_lease_that_runs_out_is_a_wait_at_the_queue():
    def crashes(state, event):
        if event["kind"] == "delivery" and event["deliveries"] == 1:
            return step(state)  # forgets it
        return consumer(state, event)

    shop = Simulation(seed=1, delay=Constant(0.0))
    queue = shop.queue("mail", visibility=5.0)
    queue.subscribe(shop.process("notifications", crashes, time=Constant(1.0)))
    post(shop, queue, {"kind": "order placed"})
    (path,) = check(shop.run(until=20), to="end").values()
    assert told(path) == [("mail", "waits", 5.0), ("notifications", "worked on", 1.0)]


def test_parent_and_links_over_a_log():
    """One span works on a batch: it hangs below the first message, and is linked to the others."""

    def billing(state, event):
        if event["kind"] != "records":
            return step(state)
        answers = [reply(request=record["body"]["request"]) for record in event["records"]]
        return step(state, commit_offset(event), *answers)

    shop = Simulation(seed=1, delay=Constant(0.1))
    log = shop.log("orders")
    log.subscribe(shop.process("billing", billing, time=Constant(1.0)), group="billing", batch=3)

    def accept(state, event):
        body = {"kind": "accepted", "request": event.get("request")}
        return step(state, put("orders", body) if "request" in event else None)

    shop.process("web shop", accept, time=Constant(0.01))

    def journey(request):
        order = {"kind": "order", "request": request.number}
        return (yield from shop.ask(request, "web shop", order))

    for _ in range(3):
        shop.arrive(journey)
    run = shop.run(until=20)
    paths = check(run)
    spans = {row[1]: row for row in run.trace.spans}
    work = [row for row in spans.values() if run.trace.nodes[row[3]].name == "billing"]
    assert [row[0] for row in work] == [1, 2]  # the first came alone, the second with the third
    assert [spans[row[2]][0] for row in work] == [1, 2]
    (link,) = run.trace.causes
    assert link[:2] == (work[1][1], 3)
    assert spans[link[2]][0] == 3
    assert run.trace.nodes[spans[link[2]][3]].name == "web shop"
    for number in (2, 3):
        assert ("billing", "worked on", 1.0) in told(paths[number])
        assert [s.node for s in paths[number] if s.what == "waits"] == ["web shop", "orders"]


def test_calls_and_timers_of_a_process_are_on_the_path():
    def orders(state, event):
        if event["kind"] == "order":
            return step(state, timer(2.0, {"kind": "waited"}))
        if event["kind"] == "waited":
            return step(state, call("stock", {"kind": "answered"}))
        return step(state, reply() if event["kind"] == "answered" else None)

    shop = Simulation(seed=1, delay=Constant(0.1))
    shop.service("stock", workers=1, time=Constant(1.0))
    shop.process("orders", orders, clients={"stock": shop.client("stock")})
    shop.arrive(lambda request: shop.ask(request, "orders", {"kind": "order"}))
    (path,) = check(shop.run(until=20)).values()
    assert ("stock", "worked on", 1.0) in told(path)
    assert ("orders", "between", 2.0) in [(s.node, s.what, round(s.end - s.start, 1)) for s in path]


def test_a_service_that_asks_a_process_waits_for_it():
    def work(state, event):
        return step(state, reply() if event["kind"] == "order" else None)

    shop = Simulation(seed=1, delay=Constant(0.1))
    shop.process("orders", work, time=Constant(3.0))
    shop.service(
        "front", workers=1, time=Constant(0.5), calls=lambda c: shop.ask(c, "orders", {"kind": "order"})
    )
    shop.users(shop.client("front"), rate=0.1, end=60)
    for path in check(shop.run(until=200)).values():
        assert ("orders", "worked on", 3.0) in told(path)


def test_what_goes_on_beside_the_answer_is_not_on_its_path():
    def orders(state, event):
        if event["kind"] != "order":
            return step(state)
        return step(state, send("mail", {"kind": "mail"}), send("payments", {"kind": "charge"}))

    def payments(state, event):
        return step(state, reply() if event["kind"] == "charge" else None)

    shop = Simulation(seed=1, delay=Constant(0.1))
    shop.process("orders", orders)
    shop.process("payments", payments, time=Constant(1.0))
    shop.process("mail", lambda state, event: step(state), time=Constant(1.05))
    shop.arrive(lambda request: shop.ask(request, "orders", {"kind": "order"}))
    run = shop.run(until=20)
    assert {s.node for s in check(run)[1]} == {"web", "orders", "payments"}
    assert "mail" not in {s.node for s in check(run, to="end")[1]}  # it had ended before the answer came


def test_only_answer_and_end():
    with pytest.raises(ArgumentError, match="to is 'begin'"):
        critical_path(orchestrated().run(until=60).trace, 1, to="begin")


# -- sampling ---------------------------------------------------------------------------------------


def shop_with_a_rare_error(seed=1, requests=4000, share=0.02):
    """A queue, a consumer that now and then gives up, and users who do not wait."""

    def work(state, event):
        if event["kind"] != "delivery":
            return step(state)
        return step(state, nack(event, requeue=False) if event["body"]["bad"] else ack(event))

    shop = Simulation(seed=seed, delay=Constant(0.001))
    queue = shop.queue("mail")
    process = shop.process("notifications", work, workers=50, time=Exponential(0.1))
    queue.subscribe(process, prefetch=math.inf)
    shop.fault("errors", "notifications", start=0, end=1e9, share=share)

    def journey(request):
        shop.post(request, queue, {"kind": "mail", "bad": False})
        return
        yield

    shop.users(journey, rate=50, end=requests / 50)
    return shop.run(until=requests / 50 + 20)


@pytest.fixture(scope="module")
def errors():
    run = shop_with_a_rare_error()
    return run, {row[0] for row in run.trace.spans if row[7] == 2}


def test_luck_is_even_and_everybody_agrees():
    values = np.array([luck(trace_id(n)) for n in range(20_000)])
    assert abs(values.mean() - 0.5) / (12 * 20_000) ** -0.5 < 4
    for share in (0.05, 0.5):
        kept = sum(HeadSampler(share).keeps(trace_id(n)) for n in range(20_000))
        spread = (20_000 * share * (1 - share)) ** 0.5
        assert abs(kept - 20_000 * share) / spread < 4
        assert abs(kept - 20_000 * share * 1.05) / spread > 4 or share == 0.05
    less, more = HeadSampler(0.1), HeadSampler(0.3)
    assert all(more.keeps(trace_id(n)) for n in range(2000) if less.keeps(trace_id(n)))
    assert luck("f" * 32) < 1


def test_who_gets_a_context_does_as_it_says():
    for sampled in (True, False):
        for share in (0.0, 1.0):
            assert HeadSampler(share).keeps(TRACE, context_of(1, 2, sampled=sampled)) is sampled


def test_head_sampling_misses_rare_errors_and_tail_sampling_keeps_them_all(errors):
    run, bad = errors
    assert 40 < len(bad) < 130
    share = 0.1
    head = head_sample(run, HeadSampler(share))
    spread = (run.requests * share * (1 - share)) ** 0.5
    assert abs(len(head) - run.requests * share) / spread < 4
    assert abs(len(head & bad) - len(bad) * share) / (len(bad) * share * (1 - share)) ** 0.5 < 4
    sampler = TailSampler(wait=10.0)
    assert tail_sample(run, sampler) == bad
    assert sampler.counts["error"] == len(bad)
    assert sampler.counts["error"] + sampler.counts["dropped"] == run.requests
    assert sampler.held == 0


def test_tail_sampling_decides_before_late_spans_are_there(errors):
    run, bad = errors
    hasty = TailSampler(wait=0.1)
    kept = tail_sample(run, hasty)
    assert 0 < len(kept) < len(bad)
    assert hasty.counts["late"] > 100
    late = {r[0] for r in run.trace.spans if r[7] == 2 and r[6] > run.trace.requests[r[0] - 1][2] + 0.1}
    assert kept == bad - late


def test_tail_sampling_keeps_what_is_slow_and_a_share_of_the_rest():
    sampler = TailSampler(wait=1.0, slow=2.0, share=0.5)
    names = [trace_id(n) for n in range(400)]
    for n, name in enumerate(names):
        sampler.record(name, 3.0 if n % 10 == 0 else 0.1, 0.0, error=n == 5)
        sampler.record(name, 0.1, 0.5)
    assert sampler.advance(0.9) == []
    decisions = sampler.advance(1.0)
    assert [d.trace for d in decisions] == names
    assert sampler.counts["slow"] == 40
    assert sampler.counts["error"] == 1
    assert {d.trace for d in decisions if d.why == "share"} == {
        name for n, name in enumerate(names) if n % 10 and n != 5 and luck(name) < 0.5
    }
    assert sampler.record(names[0], 9.0, 2.0, error=True) == []
    assert sampler.counts["late"] == 1


def test_a_trace_that_has_no_room_is_decided_on_early():
    sampler = TailSampler(wait=100.0, room=2)
    sampler.record("a" * 32, 0.1, 0.0)
    sampler.record("b" * 32, 0.1, 1.0)
    assert sampler.held == 2
    (decision,) = sampler.record("c" * 32, 0.1, 2.0)
    assert decision == ("a" * 32, False, "dropped")
    sampler.record("a" * 32, 0.1, 3.0, error=True)  # too late
    assert dict(sampler.counts) == {"early": 1, "dropped": 1, "late": 1}


def test_samplers_refuse_what_makes_no_sense():
    for wrong in ({"wait": -1}, {"wait": 1, "slow": 0}, {"wait": 1, "share": 2}, {"wait": 1, "room": 0}):
        with pytest.raises(ArgumentError):
            TailSampler(**wrong)
    with pytest.raises(ArgumentError, match=r"share is 1\.5"):
        HeadSampler(1.5)


# -- RED --------------------------------------------------------------------------------------------


def test_red_counts_what_ended(errors):
    run, bad = errors
    metrics = red(run)
    assert list(metrics) == ["notifications"]
    rate, share, duration = metrics["notifications"]
    spans = [row for row in run.trace.spans if row[7] != 4]
    assert rate * run.until == pytest.approx(len(spans))
    assert share == pytest.approx(len(bad) / len(spans))
    assert duration.mean == pytest.approx(np.mean([row[6] - row[5] for row in spans]))
    assert abs(duration.mean - 0.1) / (0.1 / len(spans) ** 0.5) < 4


def test_red_times_the_work_and_not_the_line_before_it():
    sim = Simulation(seed=1, delay=Constant(0.0))
    sim.service("orders", time=Constant(0.5), workers=1, capacity=1)
    for _ in range(3):  # one is worked on, one waits in line, one is refused
        sim.arrive(sim.client("orders"))
    duration = red(sim.run(until=10))["orders"].duration
    assert (duration.p50, duration.p99, duration.mean) == pytest.approx((0.5, 0.5, 1 / 3))


def test_red_of_a_part_adds_up_to_the_whole(errors):
    run, _ = errors
    parts = [red(run, start=start, end=start + 10)["notifications"] for start in range(0, 80, 10)]
    assert sum(part.rate * 10 for part in parts) == pytest.approx(sum(r[6] < 80 for r in run.trace.spans))


def test_red_of_what_was_kept_for_its_errors_is_no_measure_of_all(errors):
    run, _ = errors
    kept = tail_sample(run, TailSampler(wait=10.0))
    assert red(run, of=kept)["notifications"].errors == 1.0
    fair = red(run, of=head_sample(run, HeadSampler(0.5)))["notifications"]
    assert fair.errors == pytest.approx(red(run)["notifications"].errors, rel=0.5)
    assert fair.rate == pytest.approx(red(run)["notifications"].rate / 2, rel=0.1)


def test_red_refuses_a_window_that_ends_before_it_starts(errors):
    with pytest.raises(ArgumentError, match="end is 3"):
        red(errors[0], start=5, end=3)

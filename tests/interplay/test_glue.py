"""Gateway, sidecar and critical path, running in the simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest

from interplay import ArgumentError, Constant, Exponential, FullJitter, Recorded, Retry, Simulation, theory
from interplay.fetch import Fetch, compose, gather
from interplay.gateway import Aggregate, Cache, Coalesce
from interplay.sidecar import Sidecar
from interplay.tracing import critical_path


def gateway(seed=1, stock=0.02, reviews=0.02, total=math.inf, page=None, rate=10.0, outage=None):
    """A gateway that asks stock and reviews at once; returns the run and the pages."""
    shop, pages = Simulation(seed=seed, delay=Constant(0.001)), []
    for name, time in (("stock", stock), ("reviews", reviews)):
        shop.service(name, workers=50, time=Exponential(time))
    front = shop.service("gateway", workers=100, time=Constant(0.001))
    clients = {name: shop.client(name, caller=front, deadline=5.0) for name in ("stock", "reviews")}
    page = page or Aggregate({"stock": "mandatory", "reviews": "optional"})

    def serve(call):
        branches = {name: client.call(call) for name, client in clients.items()}
        pages.append((yield from compose(shop.env, page, branches, total)))

    front.calls = serve
    shop.users(shop.client(front), rate=rate)
    if outage:
        shop.fault("outage", outage, start=0, end=100)
    return shop.run(100), pages


def test_parts_are_asked_for_at_the_same_time():
    run, pages = gateway()
    assert {page.status for page in pages} == {"complete"}
    assert run.latency.mean == pytest.approx(0.02 * 1.5 + 0.005, rel=0.05), (
        "the maximum of two, not their sum"
    )


def test_an_optional_part_that_hangs_makes_the_page_partial_in_time():
    run, pages = gateway(total=0.3, outage="reviews")
    assert {(page.status, *page.missing) for page in pages} == {("partial", "reviews")}
    assert run.latency.seconds.max() < 0.31


def test_a_mandatory_part_that_fails_ends_the_page_at_once():
    shop, page = Simulation(seed=1, delay=Constant(0.0)), Aggregate({"a": "mandatory", "b": "optional"})
    shop.service("a", workers=1, time=Constant(0.1))
    shop.service("b", workers=1, time=Constant(1.0))
    shop.fault("errors", "a", start=0, end=9, share=1.0)
    a, b, ends = shop.client("a"), shop.client("b"), []

    def journey(request):
        got = yield from compose(shop.env, page, {"a": a.call(request), "b": b.call(request)})
        ends.append((shop.env.now, got.status))

    shop.env.process(iter_once(shop, journey))
    shop.run(5)
    assert ends == [(pytest.approx(1.1), "failed")]


def iter_once(shop, journey):
    yield shop.env.timeout(1)
    shop.arrive(journey)


def test_gather_of_nothing_ends_at_once():
    shop = Simulation()
    with pytest.raises(StopIteration) as end:
        next(gather(shop.env, {}))
    assert end.value.value == {}


@pytest.mark.parametrize(("slower", "agrees"), [(1.0, True), (1.05, False)])
def test_fork_join_of_two(slower, agrees):
    """Flatto and Hahn: both queues get every arrival; the response is the slower one's."""

    def mean(seed):
        shop = Simulation(seed=seed, delay=Constant(0.0), record="spans")
        for name in "ab":
            shop.service(name, workers=1, time=Exponential(slower))
        a, b = shop.client("a"), shop.client("b")

        def journey(request):
            yield from gather(shop.env, {"a": a.call(request), "b": b.call(request)})

        shop.users(journey, rate=0.8)
        return shop.run(8000).latency.mean

    values = np.array([mean(seed) for seed in range(1, 9)])
    z = (values.mean() - theory.fork_join_2(0.8, 1.0)) / (values.std(ddof=1) / 8**0.5)
    assert bool(abs(z) < 4) is agrees


def cached(cache=None, coalesce=None, until=60.0, fault=None, rate=50.0):
    """Everybody asks for the same page; returns the run."""
    shop = Simulation(seed=3, delay=Constant(0.001))
    shop.service("catalogue", workers=100, time=Constant(0.5))
    fetch = Fetch(
        shop, shop.client("catalogue", deadline=2.0), lambda r: "page", cache=cache, coalesce=coalesce
    )
    shop.users(fetch.call, rate=rate)
    if fault:
        shop.fault("errors", "catalogue", start=0, end=until, share=fault)
    return shop.run(until)


def test_a_cache_without_coalescing_has_a_stampede_at_each_expiry():
    alone, together = cached(Cache(ttl=10)), cached(Cache(ttl=10), Coalesce())
    assert alone.arrivals("catalogue") > 100
    assert together.arrivals("catalogue") == 6, "once every ten seconds"
    assert together.ok == together.requests


def test_stale_while_revalidate_keeps_everybody_waiting_only_once():
    run = cached(Cache(ttl=10, stale_for=5), Coalesce())
    slow = [end - start for _, start, end, *_ in run.trace.requests if end - start > 0.01]
    assert slow
    assert max(start for _, start, end, *_ in run.trace.requests if end - start > 0.01) < 1, (
        "only at the start"
    )


def test_a_leaders_failure_reaches_its_followers():
    run = cached(coalesce=Coalesce(), fault=1.0)
    assert run.ok == 0
    assert run.in_flight < 30, "nobody is left waiting for ever"
    assert run.arrivals("catalogue") < 130


def test_a_sidecar_retries_what_the_caller_does_not_know_of():
    """30 % failures, 4 attempts: .992 succeed; the policy is data."""
    shop = Simulation(seed=5)
    hosts = [shop.service(f"payments {i}", workers=50, time=Exponential(0.01)) for i in (1, 2)]
    policy = {"timeout": 2.0, "retries": {"attempts": 4, "per_try_timeout": 0.5, "budget": 5.0}}
    side = Sidecar(shop, {"v1": hosts}, policy, hop_cost=0.001)
    for host in hosts:
        shop.fault("errors", host, start=0, end=1000, share=0.3)
    shop.users(side.call, rate=50)
    run = shop.run(100)
    share, expected = run.ok / (run.requests - run.in_flight), theory.success_share(0.3, 4)
    assert abs(share - expected) < 4 * (expected * (1 - expected) / run.requests) ** 0.5
    assert min(m[1] - m[0] for m in run.trace.messages) == pytest.approx(0.001 + 0.002), (
        "two sidecars a message"
    )


def test_a_canary_gets_its_share():
    shop = Simulation(seed=5)
    versions = {v: [shop.service(v, workers=50, time=Constant(0.001))] for v in ("stable", "canary")}
    side = Sidecar(shop, versions, {"canary": {"stable": 0.9, "canary": 0.1}})
    shop.users(side.call, rate=100)
    run = shop.run(100)
    assert run.arrivals("canary") / run.requests == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ArgumentError, match="all that the canary names"):
        Sidecar(shop, {"stable": versions["stable"]}, {"canary": {"stable": 0.9, "new": 0.1}})


def shops():
    """A chain with retries, errors and waiting; and the gateway above."""
    shop = Simulation(seed=2, delay=Exponential(0.01), loss=0.01)
    shop.service("inventory", workers=3, time=Exponential(0.1))
    orders = shop.service("orders", workers=10, time=Exponential(0.02))
    orders.calls = shop.client(
        "inventory", caller=orders, deadline=0.5, retry=Retry(3, FullJitter(0.1, 1.0))
    ).call
    shop.users(shop.client("orders", deadline=2.0, retry=Retry(2)).call, rate=24)
    shop.fault("errors", "inventory", start=5, end=8, share=0.5)
    yield shop.run(20)
    yield gateway(rate=50.0)[0]


@pytest.mark.parametrize("run", list(shops()), ids=["chain", "gateway"])
def test_the_critical_path_is_the_latency(run):
    ended = [row for row in run.trace.requests if not math.isnan(row[2])]
    assert len(ended) > 300
    for number, start, end, *_ in ended[:300]:
        path = critical_path(run.trace, number)
        assert path[0].start == start
        assert path[-1].end == end
        assert all(a.end == b.start for a, b in pairwise(path))
        assert sum(s.end - s.start for s in path) == pytest.approx(end - start, abs=1e-9)


def test_the_critical_path_names_the_part_that_held_things_up():
    run, _ = gateway(stock=0.5, reviews=0.001)
    time = {}
    for number, *_ in [row for row in run.trace.requests if not math.isnan(row[2])][:100]:
        for segment in critical_path(run.trace, number):
            time[segment.node] = time.get(segment.node, 0) + segment.end - segment.start
    assert time["stock"] > 0.9 * sum(time.values())


def test_no_path_for_a_request_that_is_open():
    run, _ = gateway(outage="stock")
    open_one = next(row[0] for row in run.trace.requests if math.isnan(row[2]))
    with pytest.raises(ArgumentError, match="that has ended"):
        critical_path(run.trace, open_one)


def test_recorded_times_come_in_their_order_and_begin_again():
    times = Recorded([0.1, 0.2, 0.3])
    assert times.mean == pytest.approx(0.2)
    rng = np.random.default_rng(1)
    assert [*times.sample(rng, 2), *times.sample(rng, 4)] == [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    for wrong in ([], [-1.0]):
        with pytest.raises(ArgumentError):
            Recorded(wrong)

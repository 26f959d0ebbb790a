"""Intervals say what they should, and every figure can be read without seeing it."""

import matplotlib.colors
import numpy as np
import pytest

from interplay import ArgumentError, Constant, Exponential, Hedge, Retry, Simulation, figures
from interplay.experiment import Interval, interval, paired, replicate, sweep
from interplay.trace import MESSAGE_KINDS


def test_interval_is_students():
    got = interval([1.0, 2.0, 3.0, 4.0])
    assert (got.mean, got.n) == (2.5, 4)
    assert got.high - got.mean == pytest.approx(3.182446 * np.std([1, 2, 3, 4], ddof=1) / 2, rel=1e-6)
    with pytest.raises(ArgumentError, match="at least two runs"):
        interval([1.0])


def test_intervals_cover_at_their_level():
    rng = np.random.default_rng(0)
    covered = sum(5.0 in interval(rng.normal(5, 2, 8)) for _ in range(2000))
    assert covered / 2000 == pytest.approx(0.95, abs=0.02)


def mean_latency(service_time, seed):
    shop = Simulation(seed=seed)
    shop.service("till", workers=1, time=Exponential(service_time))
    shop.users(shop.client("till").call, rate=5)
    return shop.run(200).latency.mean


def test_pairing_on_the_seed_sharpens_a_comparison():
    seeds = range(1, 9)
    pair = paired(lambda s: mean_latency(0.11, s), lambda s: mean_latency(0.1, s), seeds)
    apart = interval(
        a - b
        for a, b in zip(
            replicate(lambda s: mean_latency(0.11, s), seeds),
            replicate(lambda s: mean_latency(0.1, s + 100), seeds),
            strict=True,
        )
    )
    assert pair.low > 0
    assert (pair.high - pair.low) < (apart.high - apart.low)


def test_sweep_gives_one_interval_per_value():
    low, high = sweep(mean_latency, [0.05, 0.15], seeds=range(1, 4))
    assert low.high < high.low


@pytest.fixture(scope="module")
def storm():
    shop = Simulation(seed=7, delay=Constant(0.05), loss=0.02)
    shop.service("inventory", workers=3, time=Exponential(0.1))
    shop.users(shop.client("inventory", deadline=1.0, retry=Retry(4)).call, rate=22)
    shop.fault("outage", "inventory", start=5, end=8)
    return shop.run(20)


def pictures(run):
    retried = next(r[0] for r in run.trace.requests if r[4] == 4)
    lost = next(m[6] for m in run.trace.messages if m[1] == float("inf"))
    open_one = next(r[0] for r in run.trace.requests if r[4] == 0)
    yield figures.over_time({"4 attempts": run}), "4 attempts: "
    yield figures.spacetime(run, retried), "3 × retry"
    yield figures.spacetime(run, lost), "lost"
    yield figures.waterfall(run, retried), "inventory, attempt 4"
    yield figures.waterfall(run, open_one), "open"
    yield figures.against_theory(["wait"], [Interval(4.1, 3.9, 4.3, 10)], [4.0], "seconds"), "theory 4"


def test_every_figure_has_its_text(storm):
    for picture, words in pictures(storm):
        bundle = picture._repr_mimebundle_()
        assert words in picture.alt
        assert 'alt="' in bundle["text/html"]
        assert bundle["text/plain"] == picture.alt
        assert picture.png(40).startswith(b"\x89PNG")


def waterfall(**how):
    """A call that works 2 s, and what its caller, who waits half a second, makes of it."""
    shop = Simulation(seed=1, delay=Constant(0))
    shop.service("inventory", workers=4, time=Constant(2.0))
    shop.service("orders", workers=2, time=Constant(0.1), calls=lambda call: ask.call(call))
    ask = shop.client("inventory", caller="orders", **how)
    shop.users(shop.client("orders").call, rate=0.5, end=5)
    return figures.waterfall(shop.run(20), 1)


def hatched(picture):
    """How long each span's work for nobody is, as it is drawn."""
    bars = [bar for bar in picture.figure.axes[0].patches if bar.get_hatch() == "////"]
    assert {matplotlib.colors.to_hex(bar.get_edgecolor()).upper() for bar in bars} == {figures.RED}
    return [round(bar.get_width(), 3) for bar in bars[:-1]]  # the last one is the legend's


def test_work_for_nobody_has_a_look_of_its_own():
    wanted, given_up = waterfall(), waterfall(deadline=0.5)
    assert hatched(wanted) == [0, 0]
    assert "nobody" not in wanted.alt
    assert hatched(given_up) == [0, 1.5]
    assert "inventory, attempt 1: waited 0 s, worked 2 s, 1.5 s of that for nobody, too late" in given_up.alt
    legend = {text.get_text() for text in given_up.figure.legends[0].get_texts()}
    assert legend == {"waits for a worker", "is worked on", "work for nobody", "the user stops waiting"}
    looks = [given_up.figure.axes[0].patches[-i] for i in (3, 2, 1)]
    assert len({(bar.get_hatch(), bar.get_facecolor()) for bar in looks}) == 3


def test_a_retry_makes_the_attempt_before_it_work_for_nobody_but_a_hedge_does_not():
    again = waterfall(deadline=0.5, retry=Retry(2))
    assert hatched(again)[1] == 1.5
    assert hatched(waterfall(hedge=Hedge(0.5))) == [0, 0, 0.5]  # the loser, from the winner's answer on
    assert hatched(waterfall(deadline=0.5, cancel=True)) == [0, 0]


def test_every_kind_of_message_can_be_drawn():
    assert set(figures.MESSAGE_STYLE) == set(MESSAGE_KINDS)
    shop = Simulation(seed=1, delay=Constant(0.05))
    shop.service("inventory", workers=1, time=Constant(1.0))
    shop.users(shop.client("inventory", deadline=0.3, cancel=True).call, rate=2)
    assert "1 × cancel" in figures.spacetime(shop.run(5), 1).alt


def test_an_unknown_request_is_refused(storm):
    with pytest.raises(ArgumentError, match="request is 99999"):
        figures.waterfall(storm, 99999)
    with pytest.raises(ArgumentError, match="request is 99999"):
        figures.spacetime(storm, 99999)


def test_run_measures(storm):
    assert storm.requests == storm.ok + storm.failed + storm.in_flight
    series = storm.series(2.0)
    assert series.goodput.sum() * 2 == storm.ok
    assert series.offered.sum() * 2 == storm.requests
    assert series.attempts.sum() * 2 == storm.attempts
    assert storm.latency.percentile(100) == storm.latency.seconds.max()
    assert storm.latency.p50 <= storm.latency.p99
    assert "requests" in repr(storm)

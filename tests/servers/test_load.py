"""The open-loop load: the timetable is kept whatever the server does, and the rates add up."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from interplay import ArgumentError
from interplay.servers import load, rest_shop

pytest.importorskip("aiohttp")
pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def started():
    with rest_shop.start("aiohttp") as api:
        yield api


@pytest.fixture
def api(started):
    started.start()
    started.behave()
    started.reset()
    return started


def test_rates_are_counted_by_the_moment_due_and_the_moment_answered():
    due = np.array([0.1, 0.9, 1.2, 1.9])
    ended = np.array([0.2, 1.1, 1.3, 2.4])
    seen = load.Load(due, due, ended, ["OK", "OK", "503", "TimeoutError"], 2.0)
    assert (seen.offered, seen.goodput) == (2.0, 1.0)
    table = seen.per_second()
    assert table.time.tolist() == [0, 1, 2]
    assert table.offered.tolist() == [2, 2, 0]
    assert table.goodput.tolist() == [1, 1, 0]
    assert {kind: rate.tolist() for kind, rate in table.status.items()} == {
        "503": [0, 1, 0],
        "OK": [1, 1, 0],
        "TimeoutError": [0, 0, 1],
    }
    half = seen.per_second(0.5)
    assert half.offered.tolist() == [2, 2, 2, 2, 0]  # one in half a second is two a second
    assert sum(half.goodput) * 0.5 == 2
    none = load.Load(due, due, ended, ["503"] * 4, 2.0)
    assert none.per_second().goodput.tolist() == [0, 0, 0]


def test_equal_gaps_and_poisson_gaps(api):
    seen = load.offer(api, rate=50, seconds=0.6, seed=None)
    assert np.allclose(seen.due, np.arange(30) / 50)
    assert seen.ok.all()
    assert api.report().order == [f"order-{n}" for n in range(30)]
    a, b, c = (load.offer(api, rate=200, seconds=0.5, seed=seed).due for seed in (1, 1, 2))
    assert a.tolist() == b.tolist() != c.tolist()
    long = load._moments(1000, 20, 3, 0)
    assert len(long) == pytest.approx(20_000, abs=4 * math.sqrt(20_000))
    assert np.diff(long).std() == pytest.approx(0.001, rel=0.05)
    assert 0 < long[0] < long[-1] < 20
    # none is missing at the end
    assert all(4.8 < load._moments(100, 5, seed, 0)[-1] < 5 for seed in range(20))


def test_several_rates_come_one_after_the_other(api):
    seen = load.offer(api, rate=[20, 100, 20], seconds=0.5, seed=None)
    assert (len(seen.status), seen.lasted) == (10 + 50 + 10, 1.5)
    assert np.histogram(seen.due, [0, 0.499, 0.999, 1.5])[0].tolist() == [10, 50, 10]
    assert (np.diff(seen.due) > 0).all()


def test_it_neither_waits_for_answers_nor_beyond_the_deadline(api):
    api.behave(seconds=0.4, workers=1)
    seen = load.offer(api, rate=20, seconds=1.0, deadline=0.6, seed=None)
    assert (seen.started - seen.due).max() < 0.3  # it did not wait its turn
    assert seen.status.count("OK") == 1
    assert set(seen.status) == {"OK", "TimeoutError"}
    late = seen.since_due[~seen.ok]
    assert late.min() > 0.55
    assert late.max() < 0.9
    assert api.calls() == 20  # the server does not hear that they have gone
    api.kill()
    assert set(load.offer(api, rate=20, seconds=0.3).status) == {"ClientConnectorError"}


def test_it_can_be_called_where_a_loop_is_running(api):
    async def cell():
        return load.offer(api, rate=20, seconds=0.2)

    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may have a loop in this one
        assert thread.submit(asyncio.run, cell()).result().ok.all()


def test_no_proxy_of_the_company_is_asked(api, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert load.offer(api, rate=20, seconds=0.2).ok.all()


def test_a_wrong_value_is_told(api):
    with pytest.raises(ArgumentError, match="rate is 0"):
        load.offer(api, rate=[10, 0], seconds=1)
    with pytest.raises(ArgumentError, match="deadline is 0"):
        load.offer(api, rate=1, seconds=1, deadline=0)
    with pytest.raises(ArgumentError, match="width is 0"):
        load.Load(np.ones(1), np.ones(1), np.ones(1), ["OK"], 1.0).per_second(0)

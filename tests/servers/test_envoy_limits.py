"""A real Envoy's limits: the token bucket's bound, the thresholds, and goodput past saturation."""

import os
import signal
from collections import Counter

import psutil
import pytest

from interplay import ArgumentError, theory
from interplay.servers import ServerError, envoy, envoy_limits, grpc_orders, load, measuring, rest_shop

pytest.importorskip("aiohttp")
pytest.importorskip("httpx")
pytest.importorskip("grpc")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(bool(envoy.missing()), reason=envoy.missing())]


@pytest.fixture(scope="module")
def started():
    with rest_shop.start("aiohttp") as api:
        yield api


@pytest.fixture
def api(started):
    started.stop()  # with it goes what still waits in it
    started.start()
    return started


def test_a_token_bucket_passes_its_burst_and_then_its_rate(api):
    with envoy_limits.start(api, rate=20, burst=10) as edge:
        seen = load.offer(edge, rate=100, seconds=2, seed=None)
        counts = Counter(seen.status)
        assert set(counts) == {"OK", "429"}
        assert 10 + 20 * 2 - 4 <= counts["OK"] <= 10 + 20 * 2.1 + 1  # what the bucket held, and what came in
        assert seen.status[:10] == ["OK"] * 10  # the burst, at once
        tail = [status for status, due in zip(seen.status, seen.due, strict=True) if due > 0.5]
        assert tail.count("OK") == pytest.approx(20 * 1.5, abs=3)
        # tokens come one by one, not a second's worth at once
        assert max(seen.per_second(0.25).goodput[2:]) <= 20 * 1.8
        assert edge.limited() == {"ok": counts["OK"], "rate_limited": counts["429"]}
        assert api.calls() == counts["OK"]  # the others never reached it
        assert edge.limit["token_bucket"]["max_tokens"] == 10
        assert edge.thresholds == {}


def test_what_the_thresholds_do_not_take_is_turned_away_at_once(api):
    api.behave(seconds=0.5)
    with envoy_limits.start(api, max_connections=2, max_pending_requests=3) as edge:
        with rest_shop.connect(edge) as shop:
            # a call that waits for a new connection is a waiting one, too
            measuring.closed_loop(shop.get, calls=2, together=2)
            seen = measuring.closed_loop(shop.get, calls=12, together=12)
            refused = shop.http.get("/orders/a")
        assert Counter(seen.status) == {"OK": 5, "503": 7}
        assert seen.seconds[~seen.ok].max() < 0.4 < 0.5 <= seen.seconds[seen.ok].min()
        assert edge.overflow()["pending"] == 7
        assert edge.overflow()["connections"] > 0
        assert (edge.limit, edge.thresholds) == ({}, {"max_connections": 2, "max_pending_requests": 3})
        assert refused.status_code == 200
        assert api.report().connections == 2


def test_with_grpc_behind_the_requests_are_counted(api):
    with grpc_orders.start(seconds=0.5) as rpc_server, envoy_limits.start(rpc_server, max_requests=2) as edge:
        with grpc_orders.connect(edge) as rpc:
            seen = measuring.closed_loop(rpc.get, calls=6, together=6)
        assert Counter(seen.status) == {"OK": 2, "UNAVAILABLE": 4}
        assert rpc_server.report().connections == 1
        assert edge.overflow() == {"connections": 0, "pending": 0, "requests": 4}


def test_goodput_stays_with_limits_and_collapses_without(api):
    """1 in service and 4 waiting: M/M/1/5. Without limits all wait, and all answers come too late."""
    api.behave(seconds=0.02, shape="exponential", workers=1)
    with envoy_limits.start(api, max_connections=1, max_pending_requests=4) as edge:
        seen = load.offer(edge, rate=150, seconds=3, seed=4)
        worked = api.report().worked.mean()
        expected = seen.offered * (1 - theory.mm1k_blocking(seen.offered, 1 / worked, 5))
        assert seen.goodput == pytest.approx(expected, rel=0.12)
        assert set(seen.status) == {"OK", "503"}
    with envoy_limits.start(api) as edge:
        unlimited = load.offer(edge, rate=150, seconds=3, seed=4)
        assert set(unlimited.status) == {"OK", "TimeoutError"}
        assert unlimited.goodput < 0.5 * seen.goodput
        assert unlimited.per_second().goodput[2] < 0.2 * seen.goodput  # and then hardly any at all
        assert edge.overflow() == {"connections": 0, "pending": 0, "requests": 0}


def test_kill_9_ends_what_is_shown(api):
    with envoy_limits.start(api, rate=5) as edge:
        assert edge.limit["token_bucket"]["max_tokens"] == 5  # as the rate
        process = psutil.Process(edge.pid)
        os.kill(edge.pid, signal.SIGKILL)
        process.wait(5)
        assert set(load.offer(edge, rate=20, seconds=0.3).status) == {"ClientConnectorError"}
        with pytest.raises(ServerError, match=r"is not running|does not answer"):
            edge.limited()


def test_a_wrong_value_is_told(api):
    with pytest.raises(ArgumentError, match=r"rate is 0\.5, but must be a whole number of at least 1"):
        envoy_limits.start(api, rate=0.5)
    with pytest.raises(ArgumentError, match="max_connections is -1"):
        envoy_limits.start(api, max_connections=-1)

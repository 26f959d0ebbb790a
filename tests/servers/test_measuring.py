"""The measuring helpers, on calls of known length, on known bytes, and on a real server that stalls."""

import math
import socket
import threading
import time

import numpy as np
import pytest

from interplay import ArgumentError
from interplay.servers import fault_proxy, grpc_orders, measuring, rest_shop

grpc = pytest.importorskip("grpc")
httpx = pytest.importorskip("httpx")
pytest.importorskip("aiohttp")
pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def api():
    with rest_shop.start("aiohttp") as server:
        yield server


@pytest.fixture(scope="module")
def proxy(api):
    with fault_proxy.start(api) as proxy:
        yield proxy


def sleeper(seconds, **special):
    """A call that takes so long, and for some orders something else."""
    return lambda order: time.sleep(special.get(order.replace("-", ""), seconds))


# ---------------------------------------------------------------- closed loop


def test_a_closed_loop_sends_the_next_call_when_the_last_is_answered():
    called = []
    seen = measuring.closed_loop(lambda order: (called.append(order), time.sleep(0.02)), calls=5)
    assert called == [f"order-{n}" for n in range(5)]
    assert seen.status == ["OK"] * 5
    assert (seen.started[1:] >= seen.ended[:-1]).all()
    assert (seen.due == seen.started).all()
    assert (seen.seconds == seen.since_due).all()
    assert (seen.seconds >= 0.02).all()


def test_callers_together_share_the_calls():
    busy, most, lock = 0, 0, threading.Lock()

    def call(order):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1

    seen = measuring.closed_loop(call, calls=12, together=4)
    assert (len(seen.status), most) == (12, 4)
    assert seen.ended.max() < 12 * 0.02


def test_percentiles_are_of_the_calls_that_ended_well():
    def call(order):
        time.sleep(0.2 if order == "order-3" else 0.01)
        if order == "order-3":
            raise TimeoutError

    seen = measuring.closed_loop(call, calls=10)
    assert seen.status[3] == "TimeoutError"
    assert seen.ok.tolist() == [n != 3 for n in range(10)]
    assert len(seen.latency.seconds) == 9
    assert seen.latency.percentile(100) < 0.2 < seen.seconds.max()


def test_what_went_wrong_has_a_name_and_a_mistake_in_the_code_is_raised(api):
    class Broken(grpc.RpcError):
        def code(self):
            return grpc.StatusCode.RESOURCE_EXHAUSTED

    request = httpx.Request("GET", "http://127.0.0.1")
    said = httpx.HTTPStatusError("no", request=request, response=httpx.Response(503, request=request))
    assert measuring.outcome(Broken()) == "RESOURCE_EXHAUSTED"
    assert measuring.outcome(said) == "503"
    assert measuring.outcome(httpx.ReadTimeout("late")) == "ReadTimeout"
    assert measuring.outcome(ConnectionResetError()) == "ConnectionResetError"
    with pytest.raises(KeyError, match="linse"):
        measuring.closed_loop(lambda order: {}["linse"], calls=2)
    with pytest.raises(ArgumentError, match="calls is 0, but must be a whole number of at least 1"):
        measuring.closed_loop(sleeper(0), calls=0)
    with pytest.raises(ArgumentError, match="rate is 0, but must be a number above 0"):
        measuring.on_schedule(sleeper(0), rate=0, seconds=1)


# ---------------------------------------------------------------- on schedule


def test_a_timetable_is_kept_and_does_not_depend_on_the_answers():
    seen = measuring.on_schedule(sleeper(0.001), rate=20, seconds=1)
    assert seen.due == pytest.approx(np.arange(20) / 20)
    assert (seen.started >= seen.due - 1e-6).all()  # never early
    assert np.median(seen.started - seen.due) < 0.03


def test_with_a_seed_the_gaps_are_exponential_and_come_again():
    one = measuring.on_schedule(sleeper(0), rate=2000, seconds=0.5, seed=3)
    two = measuring.on_schedule(sleeper(0), rate=2000, seconds=0.5, seed=3)
    other = measuring.on_schedule(sleeper(0), rate=2000, seconds=0.5, seed=4)
    assert (one.due == two.due).all()
    assert (one.due != other.due)[1:].all()
    gaps = np.diff(one.due)
    assert len(gaps) == 999
    assert gaps.mean() == pytest.approx(1 / 2000, rel=4 / math.sqrt(999))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.2)  # as an exponential's; equal gaps have 0


def test_one_caller_omits_what_waited_for_it_and_many_do_not():
    # one call of 1 s at t = 0.4 s; 50 calls a second are due, for 2 s
    alone = measuring.on_schedule(sleeper(0.001, order20=1.0), rate=50, seconds=2)
    crowd = measuring.on_schedule(sleeper(0.001, order20=1.0), rate=50, seconds=2, together=60)
    assert (alone.seconds > 0.5).sum() == 1
    assert alone.seconds[20] > 1.0
    # those due meanwhile waited for its end: for longer than 0.5 s, unless due in its last half second
    assert (alone.since_due > 0.5).sum() == pytest.approx((alone.seconds[20] - 0.5) * 50, abs=6)
    assert alone.since_due[21] == pytest.approx(alone.seconds[20] - 0.02, abs=0.08)
    assert alone.latency.p50 < 0.05 < alone.corrected.percentile(75) < alone.corrected.p99
    assert alone.corrected.mean > 0.2 > 0.05 > alone.latency.mean
    # with callers enough only the slow call is slow: nobody waits for it
    assert (crowd.since_due > 0.5).sum() == (crowd.seconds > 0.5).sum() == 1


def test_a_real_server_that_stalls(api):
    with rest_shop.connect(api) as shop:
        shop.get("warm")
        api.behave(stall=0.8, after=0.5)
        alone = measuring.on_schedule(shop.get, rate=40, seconds=2)
        api.behave(stall=0.8, after=0.5)
        crowd = measuring.on_schedule(shop.get, rate=40, seconds=2, together=60)
        api.behave()
    for seen in (alone, crowd):
        assert seen.ok.all()
        assert 0.6 < seen.corrected.p99 < 2.0  # what users feel: some came just as the stall began
        assert seen.corrected.percentile(80) > 0.1
    assert alone.latency.percentile(95) < 0.3  # what the one tester says
    assert crowd.latency.percentile(95) > 0.4


# ---------------------------------------------------------------- the wire


def test_bytes_are_counted_to_the_last_one(proxy):
    """Against a client that is ten lines of sockets, and counts for itself."""
    ask = b"GET /orders/order-1 HTTP/1.1\r\nHost: shop\r\n\r\n"

    def talk(line):
        line.sendall(ask)
        got = b""
        while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < 1140:
            got += line.recv(65536)
        got_bytes.append(len(got))

    got_bytes = []
    with socket.create_connection(("127.0.0.1", proxy.port)) as line:
        line.settimeout(5)
        # the connection is open already, and nothing has been sent on it
        wire = measuring.wire(lambda: talk(line), proxy, calls=4)
    assert wire.first == (len(ask), got_bytes[0])
    assert wire.later == (len(ask), np.mean(got_bytes[1:]))
    assert got_bytes[0] > 1140 + 100  # the header counts


def test_what_is_said_after_the_answer_belongs_to_the_call():
    class Late:
        """Some bytes pass when the call is over: 7 of them, 50 ms later."""

        def reset(self):
            self.said = [(0.0, 0)]

        def call(self):
            now = time.monotonic()
            self.said += [(now, 100), (now + 0.05, 7)]

        def report(self):
            up = sum(size for when, size in self.said if when <= time.monotonic())
            return fault_proxy.Report(connections=1, open=1, up=up, down=2 * up)

    proxy = Late()
    wire = measuring.wire(proxy.call, proxy, calls=2)
    assert (wire.first, wire.later, wire.connections) == ((107, 214), (107, 214), 1)


def test_http_costs_the_same_each_time_and_a_new_connection_is_counted(proxy):
    with rest_shop.connect(proxy) as shop:
        kept = measuring.wire(lambda: shop.get("order-1"), proxy, calls=5)
    with rest_shop.connect(proxy, reuse=False) as shop:
        new = measuring.wire(lambda: shop.get("order-1"), proxy, calls=5)
    assert kept.first == kept.later
    assert kept.later.down > 1140
    assert (kept.connections, new.connections) == (1, 6)
    bigger = {"order_id": "a", "lines": [{"sku": "x", "quantity": 1, "price_cents": 1}] * 20}
    with httpx.Client(trust_env=False) as client:
        post = measuring.wire(lambda: client.post(f"{proxy.url}/orders", json=bigger), proxy, calls=2)
    assert post.first.up > kept.first.up + 20 * 40  # what a command carries goes up


def test_grpc_pays_at_the_first_call_and_less_later():
    with grpc_orders.start() as server, fault_proxy.start(server) as proxy:
        with grpc_orders.connect(proxy) as shop:
            kept = measuring.wire(lambda: shop.get("order-1"), proxy)
        with grpc_orders.connect(proxy, reuse=False) as shop:
            new = measuring.wire(lambda: shop.get("order-1"), proxy, calls=3)
            first = measuring.round_trips(lambda: shop.get("order-1"), proxy)
        with grpc_orders.connect(proxy) as shop:
            shop.get("order-1")
            later = measuring.round_trips(lambda: shop.get("order-1"), proxy)
    assert (kept.connections, new.connections) == (1, 4)
    assert kept.first.up > 3 * kept.later.up
    assert kept.first.down > kept.later.down > 398
    assert new.later.up > 3 * kept.later.up
    assert kept.later.up + kept.later.down < 700 < 1140  # and less than JSON's body alone
    # a new connection waits for the server's settings before it sends the call
    assert round(first) == 2
    assert round(later) == 1


@pytest.mark.parametrize("reuse", [True, False])
def test_http_waits_once_for_an_answer(api, proxy, reuse):
    with rest_shop.connect(proxy, reuse=reuse) as shop:
        shop.get("order-1")
        assert measuring.round_trips(lambda: shop.get("order-1"), proxy) == pytest.approx(1, abs=0.3)
        twice = measuring.round_trips(lambda: (shop.get("order-1"), shop.get("order-2")), proxy)
        api.behave(seconds=0.1)  # work is not a round trip
        working = measuring.round_trips(lambda: shop.get("order-1"), proxy)
        api.behave()
    assert working == pytest.approx(1, abs=0.4)
    assert twice == pytest.approx(2, abs=0.4)
    with rest_shop.connect(proxy) as shop:  # and the delay is switched off again
        assert measuring.closed_loop(shop.get, calls=5).seconds.min() < 0.1


def test_a_stream_is_timed_item_by_item():
    def slowly():
        for n in range(3):
            time.sleep(0.05)
            yield n

    (a, first), (b, _), (c, last) = measuring.arrivals(slowly())
    assert (first, last) == (0, 2)
    assert 0.05 <= a < 0.1 <= b < 0.15 <= c < 0.3

"""What each mode of the fault proxy does to a real client, and what the server behind it hears of it."""

import asyncio
import contextlib
import errno
import http.client
import os
import signal
import socket
import time

import numpy as np
import psutil
import pytest

from interplay import ArgumentError
from interplay.servers import ServerError, fault_proxy, grpc_orders, listening, measuring, rest_shop

httpx = pytest.importorskip("httpx")
aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.servers

ASK = b"GET /orders/order-1 HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(scope="module")
def servers():
    with rest_shop.start("fastapi") as api, fault_proxy.start(api) as proxy:
        yield api, proxy


@pytest.fixture
def api(servers):
    return servers[0]


@pytest.fixture
def proxy(servers):
    proxy = servers[1]
    for server in servers:
        server.start()  # if a test has killed it
        server.behave()
    all_closed(proxy)  # what the last test's mode held has gone on
    for server in servers:
        server.reset()
    yield proxy
    assert proxy.log() == ""  # it never complains


def all_closed(proxy):
    deadline = time.monotonic() + 2
    while (still := proxy.report().open) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not still


def get(proxy, connect=2.0, read=2.0):
    """With httpx: what became of it, and after how many seconds."""
    limits = httpx.Timeout(None, connect=connect, read=read)
    with httpx.Client(timeout=limits, trust_env=False) as client:
        began = time.monotonic()
        try:
            said = client.get(f"{proxy.url}/orders/order-1").json()["status"]
        except httpx.HTTPError as error:
            said = type(error).__name__
        return said, time.monotonic() - began


def get_with_total(proxy, total, read=None):
    async def call():
        limits = aiohttp.ClientTimeout(total=total, sock_read=read)
        session = aiohttp.ClientSession(timeout=limits)
        async with session, session.get(f"{proxy.url}/orders/order-1") as answer:
            return len(await answer.read())

    began = time.monotonic()
    try:
        said = asyncio.run(call())
    except TimeoutError as error:
        said = type(error).__name__
    return said, time.monotonic() - began


def test_it_listens_on_loopback_only_and_passes_all_on(api, proxy):
    ports = (proxy.port, proxy.control_port)
    assert listening(proxy.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", port), timeout=1)
    with rest_shop.connect(proxy) as through, rest_shop.connect(api) as direct:
        assert through.body("order-1") == direct.body("order-1")
        assert proxy.report().open == 1
    assert api.report().connections == 2
    up, down = proxy.tap()
    assert up.startswith(b"GET /orders/order-1 HTTP/1.1\r\n")
    assert down.startswith(b"HTTP/1.1 200 OK\r\n")
    report = proxy.report()
    assert (report.connections, report.up, report.down) == (1, len(up), len(down))
    proxy.reset()
    assert proxy.tap() == (b"", b"")
    assert (proxy.report().connections, proxy.report().up) == (0, 0)


def test_it_passes_on_at_once(proxy):
    with rest_shop.connect(proxy) as shop:
        seconds = measuring.closed_loop(shop.get, calls=60).seconds
    # Nagle's algorithm and late acknowledgements would make every third one 40 ms
    assert np.percentile(seconds, 80) < 0.03


def test_delay_comes_once_however_many_pieces_an_answer_has(api, proxy):
    api.behave(lines=2000)  # about 110 kB: many pieces
    proxy.behave("delay", seconds=0.5)
    said, seconds = get(proxy)
    assert (said, api.report().status) == ("DELIVERED", ["OK"])
    assert 0.5 < seconds < 1.0
    said, seconds = get(proxy, read=0.1)
    assert (said, len(api.report().status)) == ("ReadTimeout", 2)  # the request was not delayed
    assert 0.1 < seconds < 0.45


def test_a_black_hole_accepts_and_the_server_hears_nothing_until_it_is_over(api, proxy):
    proxy.behave("black hole")
    for _ in range(2):
        said, seconds = get(proxy, read=0.2)
        assert said == "ReadTimeout"  # the connect timeout did not fire: somebody accepted
        assert 0.2 < seconds < 1.5
    assert proxy.report().connections == 2
    assert proxy.report().up > 0 == proxy.report().down
    assert api.report().order == []
    proxy.behave()
    assert get(proxy)[0] == "DELIVERED"
    assert api.report().order == ["order-1"] * 3  # TCP sends again what nobody waits for any more


def test_a_black_hole_takes_open_connections_too(api, proxy):
    with rest_shop.connect(proxy, timeout=0.2) as shop:
        shop.get("order-1")
        proxy.behave("black hole")
        with pytest.raises(httpx.ReadTimeout):
            shop.get("order-2")
    assert api.report().order == ["order-1"]


def test_lost_answers_are_answers_to_work_that_was_done(api, proxy):
    proxy.behave("lost answers")
    assert get(proxy, read=0.2)[0] == "ReadTimeout"
    assert api.report().status == ["OK"]
    assert proxy.report().down == 0


def test_reset_is_an_error_at_once_on_new_connections_and_open_ones(api, proxy):
    with socket.create_connection(("127.0.0.1", proxy.port)) as line:
        line.settimeout(2)
        line.sendall(ASK)
        answer = http.client.HTTPResponse(line)
        answer.begin()
        assert (answer.status, b"order-1" in answer.read()) == (200, True)  # to its last byte
        proxy.behave("reset")
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    assert proxy.report().open == 0
    with socket.create_connection(("127.0.0.1", proxy.port)) as line:  # connecting works
        line.settimeout(2)
        line.sendall(ASK)
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    assert len(api.report().order) == 1
    said, seconds = get(proxy)
    assert (said, seconds < 0.5) == ("ReadError", True)


def test_refuse_is_nobody_listening(api, proxy):
    with rest_shop.connect(proxy) as shop:
        shop.get("order-1")
        proxy.behave("refuse")
        assert listening(proxy.pid) == [f"127.0.0.1:{proxy.control_port}"]
        with socket.socket() as door:
            assert door.connect_ex(("127.0.0.1", proxy.port)) == errno.ECONNREFUSED
        said, seconds = get(proxy)
        assert (said, seconds < 0.5) == ("ConnectError", True)
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            shop.get("order-2")
        proxy.behave()
        assert shop.get("order-3")["order_id"] == "order-3"


def test_a_drip_is_stopped_by_the_total_timeout_and_by_no_other(proxy):
    proxy.behave("drip", seconds=0.01)  # about 1270 bytes: 13 s
    said, seconds = get_with_total(proxy, total=0.6, read=0.2)
    assert said == "TimeoutError"  # aiohttp's SocketTimeoutError would be the read timeout
    assert 0.6 < seconds < 1.5
    assert 5 < proxy.report().down < 61  # so many times the read timeout started again
    proxy.behave("drip", seconds=0.4)
    said, seconds = get_with_total(proxy, total=5, read=0.2)
    assert said == "SocketTimeoutError"
    assert seconds < 3.0


def test_a_drip_ends_when_the_mode_does(proxy):
    proxy.behave("drip", seconds=0.05)
    with socket.create_connection(("127.0.0.1", proxy.port)) as line:
        line.settimeout(2)
        line.sendall(ASK)
        assert len(line.recv(65536)) == 1
        proxy.behave()
        got, deadline = 1, time.monotonic() + 2
        while got < 1200 and time.monotonic() < deadline:
            got += len(line.recv(65536))
        assert got > 1200


def test_a_full_backlog_leaves_who_connects_without_an_answer(api, proxy):
    if not proxy.can("backlog full"):
        pytest.skip("this system refuses when the queue is full")
    proxy.behave("backlog full")
    said, seconds = get(proxy, connect=0.3, read=0.1)
    assert said == "ConnectTimeout"
    assert 0.3 < seconds < 1.5
    with socket.socket() as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", proxy.port))
    assert (proxy.report().connections, api.report().order) == (0, [])
    assert set(listening(proxy.pid)) == {f"127.0.0.1:{p}" for p in (proxy.port, proxy.control_port)}
    proxy.behave()
    assert get(proxy)[0] == "DELIVERED"


def test_a_system_that_refuses_instead_says_so(proxy, monkeypatch):
    asked = []

    def ask(what, **arguments):
        asked.append(arguments.get("mode"))
        if arguments.get("mode") == "backlog full":
            raise ServerError("this system does not leave a client without an answer")

    monkeypatch.setattr(proxy, "ask", ask)
    assert not proxy.can("backlog full")
    assert asked == ["backlog full", "pass"]
    assert proxy.can("drip")


@pytest.mark.parametrize("mode", fault_proxy.MODES)
def test_after_every_mode_it_passes_again_and_nothing_stays_open(api, proxy, mode):
    if mode == "backlog full" and not proxy.can(mode):
        pytest.skip("this system refuses when the queue is full")
    proxy.behave(mode, seconds=0.01)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), 0.1) as line:
        line.sendall(ASK)
        line.recv(10)
    proxy.behave()
    assert get(proxy)[0] == "DELIVERED"
    assert all_closed(proxy)


def test_a_server_that_is_gone_is_an_error_not_a_wait(api, proxy):
    process = psutil.Process(api.pid)
    os.kill(api.pid, signal.SIGKILL)
    process.wait(5)
    said, seconds = get(proxy)
    assert said in ("ReadError", "RemoteProtocolError")
    assert seconds < 0.5
    api.start()
    assert get(proxy)[0] == "DELIVERED"


def test_kill_9_of_the_proxy_is_noticed(proxy):
    process = psutil.Process(proxy.pid)
    os.kill(proxy.pid, signal.SIGKILL)
    process.wait(5)
    assert get(proxy)[0] == "ConnectError"
    with pytest.raises(ServerError, match="proxy before orders"):
        proxy.behave("delay")
    proxy.start()
    assert get(proxy)[0] == "DELIVERED"


def test_a_wrong_mode_is_told(proxy):
    with pytest.raises(ArgumentError, match="mode is 'slow', but must be one of 'pass', 'delay', 'black h"):
        proxy.behave("slow")
    with pytest.raises(ArgumentError, match="seconds is -1, but must be a number at least 0"):
        proxy.behave("drip", seconds=-1)


def test_grpc_through_it(proxy):
    grpc = pytest.importorskip("grpc")
    with (
        grpc_orders.start() as server,
        fault_proxy.start(server) as between,
        grpc_orders.connect(between) as shop,
    ):
        direct = shop.get("order-1")
        between.behave("black hole")
        with pytest.raises(grpc.RpcError) as late:
            shop.get("order-2", timeout=0.2)
        between.behave()
        assert shop.get("order-1") == direct  # the same connection: nothing of it was lost
        assert between.report().connections == 1
        between.behave("reset")
        with pytest.raises(grpc.RpcError) as gone:
            shop.get("order-3", timeout=2)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert gone.value.code() == grpc.StatusCode.UNAVAILABLE

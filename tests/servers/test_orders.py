"""The same order over FastAPI, aiohttp and gRPC: real processes, the same work behind them, true counters."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from interplay import ArgumentError
from interplay.servers import ServerError, executable, grpc_orders, listening, measuring, proto, rest_shop
from interplay.servers.orders import STATUSES

grpc = pytest.importorskip("grpc")
httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("aiohttp")
json_format = pytest.importorskip("google.protobuf.json_format")
pytestmark = pytest.mark.servers

HTTP = ["fastapi", "aiohttp"]
KINDS = [*HTTP, "grpc"]


@pytest.fixture(scope="module")
def servers():
    started = {name: rest_shop.start(name) for name in HTTP} | {"grpc": grpc_orders.start()}
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture(params=KINDS)
def server(request, servers):
    return clean(servers[request.param])


@pytest.fixture(params=HTTP)
def api(request, servers):
    return clean(servers[request.param])


@pytest.fixture
def rpc(servers):
    return clean(servers["grpc"])


def clean(server):
    server.start()  # if a test has killed it
    server.behave()
    server.reset()
    return server


def connect(server, **options):
    return (grpc_orders if "grpc" in server.name else rest_shop).connect(server, **options)


def plain(order):
    """A message as the dict that JSON gives; protobuf's JSON writes 64-bit numbers as text."""
    if isinstance(order, dict):
        return order
    found = json_format.MessageToDict(order, preserving_proto_field_name=True)
    return found | {"total_cents": int(found["total_cents"])}


# ---------------------------------------------------------------- the processes


def test_each_is_a_real_process_on_loopback_only(server):
    ports = (server.port, server.control_port)
    assert listening(server.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
    assert executable(server.pid) == Path(sys.executable).resolve()
    assert "interplay.servers.orders_server" in psutil.Process(server.pid).cmdline()
    for port in ports:
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", port), timeout=1)


def test_kill_9_is_noticed_and_a_restart_is_a_new_server(server):
    with connect(server) as shop:
        shop.get("a")
        process = psutil.Process(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        process.wait(5)
        down = measuring.closed_loop(shop.get, calls=2)
        assert set(down.status) <= {"ConnectError", "ReadError", "RemoteProtocolError", "UNAVAILABLE"}
        with pytest.raises(ServerError, match=r"orders \(\w+\) (does not answer|is not running)"):
            server.report()
        server.start()
        back = measuring.closed_loop(shop.get, calls=1)
        for _ in range(50):  # gRPC looks again every half second
            if back.ok.all():
                break
            time.sleep(0.1)
            back = measuring.closed_loop(shop.get, calls=1)
    assert back.ok.all()
    assert set(server.report().order) == {"order-0"}  # its memory was lost with the process


def test_two_servers_never_share_a_port(server):
    second = type(server)("orders_server", *server.command[6:], name="second")
    second.port = server.port
    with pytest.raises(ServerError, match=r"second ended before it was ready(.|\n)*(in use|Failed to bind)"):
        second.start()


STARTS = """
import time
from interplay.servers import deadline_chain, fault_proxy, grpc_orders, rest_shop
started = [rest_shop.start("fastapi"), rest_shop.start("aiohttp"), grpc_orders.start()]
started.append(deadline_chain.start("inventory"))
started.append(fault_proxy.start(started[0]))
print(*(server.pid for server in started), flush=True)
time.sleep(60)
"""


def test_they_end_with_the_kernel_that_was_killed():
    kernel = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    pids = list(map(int, kernel.stdout.readline().split()))
    assert len(pids) == 5
    assert all(map(psutil.pid_exists, pids))
    kernel.kill()
    kernel.wait()
    deadline = time.monotonic() + 5
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def test_all_can_be_imported_without_their_packages():
    code = """
        import sys
        for name in ("grpc", "grpc_tools", "google.protobuf", "httpx", "fastapi", "uvicorn", "aiohttp"):
            sys.modules[name] = None
        from interplay.servers import deadline_chain, fault_proxy, grpc_orders, measuring, proto, require
        from interplay.servers import rest_shop
        assert not (require("httpx") and require("fastapi"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_wrong_name_or_value_is_told(rpc):
    with pytest.raises(TypeError, match="no behaviour called rate; there are: seconds, shape, seed"):
        rpc.behave(rate=0.3)
    with pytest.raises(ArgumentError, match="seconds is -1, but must be a number at least 0"):
        rest_shop.start("fastapi", seconds=-1)
    with pytest.raises(ArgumentError, match="shape is 'normal', but must be one of 'constant', 'exp"):
        rpc.behave(shape="normal")
    with pytest.raises(ArgumentError, match="workers is 0, but must be a number at least 1"):
        rpc.behave(workers=0)
    with pytest.raises(ArgumentError, match="framework is 'flask', but must be one of 'fastapi', 'aiohttp'"):
        rest_shop.start("flask")


def test_a_proxy_of_the_company_is_not_asked(server, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nobody there
    with connect(server) as shop:
        shop.get("a")


# ---------------------------------------------------------------- the same order


def test_the_order_is_the_same_everywhere(servers):
    found = {}
    for name, server in servers.items():
        with connect(clean(server)) as shop:
            found[name] = (shop.body("order-1"), plain(shop.get("order-1")))
    assert found["fastapi"] == found["aiohttp"]
    assert found["fastapi"][1] == found["grpc"][1]
    body, order = found["fastapi"]
    assert len(order["lines"]) == 20
    assert order["total_cents"] == sum(x["quantity"] * x["price_cents"] for x in order["lines"])
    assert (len(body), len(found["grpc"][0])) == (1140, 398)
    assert proto.shop().Order.FromString(found["grpc"][0]).lines[19].sku == "SKU-00019"


def test_an_order_has_as_many_lines_as_are_asked_for(server):
    server.behave(lines=3)
    with connect(server) as shop:
        assert len(plain(shop.get("a"))["lines"]) == 3
        placed = plain(shop.place("b", lines=5))
        assert len(placed["lines"]) == len(plain(shop.get("b"))["lines"]) == 5


# ---------------------------------------------------------------- queries, commands, streams


def test_http_says_200_201_and_202_and_where(api):
    api.behave(seconds=0.4)
    order = {"order_id": "a", "lines": []}
    with rest_shop.connect(api) as shop:
        assert shop.http.get("/orders/a").status_code == 200
        began = time.monotonic()
        placed = shop.http.post("/orders", json=order)
        waited = time.monotonic() - began
        assert (placed.status_code, placed.headers["Location"]) == (201, "/orders/a")
        noted = shop.http.post("/orders", json=order, headers={"Prefer": "respond-async"})
        assert (noted.status_code, noted.headers["Location"]) == (202, "/orders/a")
        assert waited > 0.4 > noted.elapsed.total_seconds()
        stream = shop.http.get("/orders/old/events")
        assert stream.headers["Content-Type"].split(";")[0] == "text/event-stream"
        assert stream.text.startswith('id: 0\nevent: status\ndata: {"seq":')
        assert stream.text.count("\n\n") == 5


def test_a_command_is_done_when_it_is_answered_or_afterwards(server):
    server.behave(seconds=0.5, every=2)
    with connect(server) as shop:
        assert plain(shop.place("now"))["status"] == "CONFIRMED"
        began = time.monotonic()
        assert plain(shop.place("later", wait=False))["status"] == "RECEIVED"
        assert time.monotonic() - began < 0.5
        server.behave(every=2)  # queries are at once from here on; the work in progress is not
        assert plain(shop.get("later"))["status"] == "RECEIVED"  # not yet: eventual consistency
        time.sleep(0.6)
        assert plain(shop.get("later"))["status"] == "CONFIRMED"
        assert plain(shop.get("nobody placed it"))["status"] == "DELIVERED"


def test_a_stream_tells_each_change_when_it_happens(server):
    server.behave(seconds=0.4, every=0.2)
    with connect(server) as shop:
        shop.place("a", wait=False)
        came = measuring.arrivals(shop.watch("a"))
        assert [u["status"] if isinstance(u, dict) else u.status for _, u in came] == STATUSES
        assert [u["seq"] if isinstance(u, dict) else u.seq for _, u in came] == [0, 1, 2, 3, 4]
        times = [seconds for seconds, _ in came]
        assert times[0] < 0.2 < 0.3 < times[1]
        assert all(0.08 < b - a < 0.6 for a, b in pairwise(times[1:]))
        assert measuring.arrivals(shop.watch("old"))[-1][0] < 0.4


def test_leaving_a_stream_ends_it_and_the_client_goes_on(server):
    server.behave(every=5)
    with connect(server) as shop:
        shop.place("a")
        began = time.monotonic()
        for _ in shop.watch("a"):
            break
        assert shop.get("a")
        assert time.monotonic() - began < 2


# ---------------------------------------------------------------- the work, and what the server counts


def test_the_server_counts_what_it_did(server):
    server.behave(seconds=0.1, workers=1)
    with connect(server) as shop:
        seen = measuring.closed_loop(shop.get, calls=3, together=3)
    report = server.report()
    assert sorted(report.order) == ["order-0", "order-1", "order-2"]
    assert report.status == ["OK"] * 3
    assert ((report.worked >= 0.1) & (report.worked < 0.2)).all()
    # in line: each waits for the ones before it
    ends = report.arrived + report.waited + report.worked
    assert report.waited[0] < 0.06
    assert np.allclose(report.arrived[1:] + report.waited[1:], ends[:-1], atol=0.05)
    inside = dict(zip(report.order, report.waited + report.worked, strict=True))
    for n in range(3):  # what the caller saw is that and the way there and back
        assert 0 < seen.seconds[n] - inside[f"order-{n}"] < 0.3
    server.reset()
    assert len(server.report().worked) == server.report().connections == 0


def test_more_workers_work_together(server):
    server.behave(seconds=0.4, workers=2)
    with connect(server) as shop:
        seen = measuring.closed_loop(shop.get, calls=4, together=4)
    waited = np.sort(server.report().waited)
    assert waited[1] < 0.15 < 0.25 < waited[2]
    assert np.sort(seen.seconds)[1] < 0.65 < np.sort(seen.seconds)[2]


def test_exponential_work_is_drawn_from_the_seed_and_the_order(server):
    server.behave(seconds=0.05, shape="exponential", seed=5)
    with connect(server) as shop:
        measuring.closed_loop(shop.get, calls=60, together=20)
    report = server.report()
    drawn = np.array([0.05 * random.Random(f"5/{order}").expovariate(1) for order in report.order])
    assert (report.worked > drawn - 0.001).all()
    assert np.median(report.worked - drawn) < 0.04
    assert np.corrcoef(report.worked, drawn)[0, 1] > 0.8


def test_the_line_has_an_end(server):
    server.behave(seconds=0.4, workers=1, waiting=1)
    with connect(server) as shop:
        seen = measuring.closed_loop(shop.get, calls=4, together=4)
        no = "RESOURCE_EXHAUSTED" if "grpc" in server.name else "503"
        assert sorted(seen.status) == sorted(["OK", "OK", no, no])
        assert seen.seconds[~seen.ok].max() < 0.35  # at once
        assert sorted(server.report().status) == ["OK", "OK", "REJECTED", "REJECTED"]
        shop.place("a", wait=False)
        shop.place("b", wait=False)
        refused = measuring.closed_loop(lambda order: shop.place(order, wait=False), calls=1)
        assert refused.status == [no]
        time.sleep(0.9)
        server.behave()
        assert plain(shop.get("order-0"))["status"] == "DELIVERED"  # it was not taken: an old one
        assert plain(shop.get("b"))["status"] != "RECEIVED"


def test_the_failing_requests_are_those_drawn(server):
    server.behave(fails=0.4, seed=3)
    with connect(server) as shop:
        orders = [f"order-{n % 15}" for n in range(30)]  # each order twice
        turns = iter(orders)
        seen = measuring.closed_loop(lambda _: shop.get(next(turns)), calls=30)
        no = "UNAVAILABLE" if "grpc" in server.name else "500"
        drawn = [random.Random(f"3/order-{n % 15}/{1 + n // 15}").random() < 0.4 for n in range(30)]
        assert seen.status == [no if fails else "OK" for fails in drawn]
        assert drawn[:15] != drawn[15:]  # the second request for an order is another draw
        assert server.report().status == ["FAILED" if fails else "OK" for fails in drawn]
        server.behave(fails=1)
        with pytest.raises((grpc.RpcError, httpx.HTTPError)):
            shop.place("a")
        server.behave(fails=1, seconds=0.01)
        shop.place("b", wait=False)
        time.sleep(0.1)
        server.behave()
        assert plain(shop.get("a"))["status"] == plain(shop.get("b"))["status"] == "DELIVERED"  # not placed
        assert server.calls() == 34
    assert "never retrieved" not in server.log()


def test_health_is_no_work(api):
    api.behave(fails=1, workers=1, waiting=0)
    with rest_shop.connect(api) as shop:
        assert shop.http.get("/healthz").status_code == 200
    assert api.calls() == 0
    with pytest.raises(ArgumentError, match=r"fails is 1\.5, but must be a number at least 0 and at most 1"):
        api.behave(fails=1.5)


def test_a_stall_stops_everything_and_ends_by_itself(server):
    with connect(server) as shop:
        shop.get("warm")
        server.behave(stall=0.8, after=0.6)
        before = measuring.closed_loop(shop.get, calls=3)
        time.sleep(0.7)
        during = measuring.closed_loop(shop.get, calls=1)
        after = measuring.closed_loop(shop.get, calls=3)
    assert before.seconds.max() < 0.3
    assert 0.35 < during.seconds[0] < 1.0
    assert after.seconds.max() < 0.3


@pytest.mark.parametrize(("reuse", "connections"), [(True, 1), (False, 5)])
def test_connections_are_kept_or_not(server, reuse, connections):
    with connect(server, reuse=reuse) as shop:
        measuring.closed_loop(shop.get, calls=5)
    report = server.report()
    assert report.connections == connections
    assert report.connection.tolist() == ([1] * 5 if reuse else [1, 2, 3, 4, 5])


def test_grpc_notices_a_caller_that_leaves_and_http_does_not(servers):
    for name, status in (("grpc", "LEFT"), ("fastapi", "OK"), ("aiohttp", "OK")):
        server = clean(servers[name])
        server.behave(seconds=0.4)
        with connect(server) as shop, contextlib.suppress(grpc.RpcError, httpx.ReadTimeout):
            if name == "grpc":
                shop.get("a", timeout=0.1)
            else:
                shop.http.get("/orders/a", timeout=0.1)
        time.sleep(0.8)
        report = server.report()
        assert report.status == [status], name
        assert report.worked[0] == 0 if name == "grpc" else report.worked[0] >= 0.4


# ---------------------------------------------------------------- contracts


def test_two_versions_of_a_contract_live_side_by_side():
    old = proto.messages('syntax = "proto3"; message Order { string id = 1; uint32 total = 2; }')
    new = proto.messages(
        'syntax = "proto3"; message Order { string id = 1; uint32 total = 2; string currency = 3; }'
    )
    moved = proto.messages('syntax = "proto3"; message Order { string id = 2; uint32 total = 1; }')
    data = new.Order(id="a", total=5, currency="EUR").SerializeToString()
    read = old.Order.FromString(data)
    assert (read.id, read.total) == ("a", 5)
    assert new.Order.FromString(read.SerializeToString()).currency == "EUR"  # kept, though not understood
    assert new.Order.FromString(old.Order(id="a").SerializeToString()).currency == ""
    with contextlib.suppress(Exception):  # numbers reused: a wrong answer or an error, never the right one
        wrong = moved.Order.FromString(data)
        assert (wrong.id, wrong.total) != ("a", 5)


def test_a_mistake_in_a_contract_is_told_in_the_compilers_words(capfd):
    with pytest.raises(ValueError, match=r'^contract.proto:1:\d+: "strin" is not defined.$'):
        proto.messages('syntax = "proto3"; message A { strin s = 1; }')
    assert capfd.readouterr() == ("", "")

"""Replicas, and who chooses among them: a gRPC channel, an Envoy for connections, an Envoy for calls."""

import os
import signal
import time
from collections import Counter

import psutil
import pytest

from interplay import ArgumentError
from interplay.servers import (
    ServerError,
    envoy,
    envoy_balancer,
    executable,
    grpc_orders,
    listening,
    measuring,
    replica_set,
    rest_shop,
)

pytest.importorskip("grpc")
pytest.importorskip("httpx")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(bool(envoy.missing()), reason=envoy.missing())]


@pytest.fixture(scope="module")
def started():
    with (
        replica_set.start(3) as replicas,
        envoy_balancer.start(replicas, level=4) as l4,
        envoy_balancer.start(replicas, level=7) as l7,
    ):
        yield replicas, l4, l7


@pytest.fixture
def replicas(started):
    for replica in started[0]:
        replica.start()  # if a test has killed it
    started[0].behave()
    started[0].reset()
    return started[0]


def counts(replicas, server, calls=30, **options):
    with grpc_orders.connect(server, **options) as rpc:
        if options.get("policy") == "round_robin":
            assert replicas.warm(rpc.get)
        replicas.reset()
        seen = measuring.closed_loop(rpc.get, calls=calls)
    return replicas.counts(), dict(Counter(seen.status))


def test_each_is_a_real_process_on_loopback_only(replicas, started):
    for proxy in started[1:]:
        ports = (proxy.port, proxy.admin_port)
        assert listening(proxy.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
        assert executable(proxy.pid) == envoy.program().resolve()
    assert len({replica.pid for replica in replicas}) == len(replicas) == 3
    assert [replica.port for replica in replicas] == replicas.ports


def test_level_4_pins_a_connection_and_level_7_balances_calls(replicas, started):
    _, l4, l7 = started
    pinned, status = counts(replicas, l4)
    assert (sorted(pinned), status) == ([0, 0, 30], {"OK": 30})
    assert counts(replicas, l4, reuse=False)[0] == [10, 10, 10]  # a connection each
    assert counts(replicas, l7) == ([10, 10, 10], {"OK": 30})
    assert l7.stat("cluster.orders.upstream_cx_active") == 3


def test_a_channel_with_all_addresses_balances_if_it_is_told_to(replicas):
    assert counts(replicas, replicas, policy="round_robin") == ([10, 10, 10], {"OK": 30})
    pinned, status = counts(replicas, replicas)
    assert (sorted(pinned), status) == ([0, 0, 30], {"OK": 30})


def test_warming_reaches_all_and_counts_from_zero(replicas):
    with grpc_orders.connect(replicas, policy="round_robin") as rpc:
        assert replicas.warm(rpc.get)
    assert replicas.counts() == [0, 0, 0]
    with grpc_orders.connect(replicas) as rpc:
        assert not replicas.warm(rpc.get, seconds=0.2)  # it stays with one
    assert replicas.counts() == [0, 0, 0]


def test_a_dead_replica_and_who_knows_of_it(replicas, started):
    _, l4, l7 = started
    with grpc_orders.connect(l4) as rpc:
        replicas.reset()
        measuring.closed_loop(rpc.get, calls=9)
        dead = replicas.counts().index(9)
        process = psutil.Process(replicas[dead].pid)
        os.kill(replicas[dead].pid, signal.SIGKILL)
        process.wait(5)
        assert replicas.counts()[dead] is None
        _, status = counts(replicas, l7)
        assert status == {"OK": 20, "UNAVAILABLE": 10}  # a static list, and nobody looks
        with grpc_orders.connect(replicas, policy="round_robin") as through:
            replicas.warm(through.get)
            assert measuring.closed_loop(through.get, calls=30).ok.all()  # it sees the connection break
            assert sum(count or 0 for count in replicas.counts()) == 30
        replicas[dead].start()
        assert counts(replicas, l7)[1] == {"OK": 30}
        for _ in range(50):  # gRPC looks again every half second
            if measuring.closed_loop(rpc.get, calls=1).ok.all():
                break
            time.sleep(0.1)
        replicas.reset()
        assert measuring.closed_loop(rpc.get, calls=9).ok.all()
        assert max(replicas.counts()) == 9  # pinned again, to one of them


def test_with_a_health_check_the_dead_one_is_left_out(replicas):
    with envoy_balancer.start(replicas, health_check=0.1) as watched:
        assert counts(replicas, watched, 9)[0] == [3, 3, 3]
        replicas[1].kill()
        deadline = time.monotonic() + 3
        while watched.stat("cluster.orders.membership_healthy") != 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        found, status = counts(replicas, watched, 10)
        assert (found, status) == ([5, None, 5], {"OK": 10})
        assert watched.stat("cluster.orders.membership_total") == 3


def test_the_slow_one_gets_less_where_loads_are_compared(replicas):
    replicas[0].behave(seconds=0.1)
    got = {}
    for policy in ("ROUND_ROBIN", "LEAST_REQUEST"):
        with envoy_balancer.start(replicas, policy=policy) as balancer:
            with grpc_orders.connect(balancer) as rpc:
                replicas.reset()
                measuring.closed_loop(rpc.get, calls=90, together=6)
            got[policy] = replicas.counts()[0]
    assert got["ROUND_ROBIN"] == 30
    assert got["LEAST_REQUEST"] < 22


def test_http_replicas_too():
    with replica_set.start(2, "aiohttp") as api, envoy_balancer.start(api) as balancer:
        with rest_shop.connect(balancer) as shop:
            measuring.closed_loop(shop.get, calls=20)
        assert api.counts() == [10, 10]
        pids = [replica.pid for replica in api]
    assert not any(map(psutil.pid_exists, pids))


def test_a_wrong_value_is_told(replicas):
    with pytest.raises(ArgumentError, match="level is 3, but must be one of 4, 7"):
        envoy_balancer.start(replicas, level=3)
    with pytest.raises(ArgumentError, match="policy is 'FASTEST'"):
        envoy_balancer.start(replicas, policy="FASTEST")
    with pytest.raises(
        ArgumentError, match="policy is 'least', but must be one of 'pick_first', 'round_robin'"
    ):
        grpc_orders.connect(replicas, policy="least")
    with pytest.raises(ArgumentError, match="framework is 'flask'"):
        replica_set.start(2, "flask")
    replicas[0].kill()
    with pytest.raises(ServerError, match=r"orders-0 \(grpc\) is not running"):
        replicas[0].report()

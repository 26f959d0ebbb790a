"""Real sidecars around the orders: what the policy says is what happens, and what Envoy counts."""

import os
import signal
import threading
import time
from collections import Counter

import psutil
import pytest

from interplay import ArgumentError, theory
from interplay.servers import (
    ServerError,
    envoy,
    envoy_mesh,
    executable,
    grpc_orders,
    listening,
    load,
    measuring,
    replica_set,
    rest_shop,
)

httpx = pytest.importorskip("httpx")
pytest.importorskip("aiohttp")
pytest.importorskip("cryptography")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(bool(envoy.missing()), reason=envoy.missing())]

RETRIES = {"attempts": 4, "per_try_timeout": 1.0, "base": 0.002, "cap": 0.02}
OUTLIER = {"consecutive": 3, "stdev_factor": None, "interval": 0.2, "base_ejection": 1.0}
OUTLIER |= {"max_ejection_percent": 50.0}


@pytest.fixture(scope="module")
def started():
    with replica_set.start(3, "aiohttp") as replicas:
        yield replicas


@pytest.fixture
def replicas(started):
    for replica in started:
        replica.start()  # if a test has killed it
    started.behave()
    started.reset()
    return started


@pytest.fixture
def plain(replicas):
    """Sidecars that add nothing, the replicas' and the caller's."""
    with envoy_mesh.start(replicas, {}) as mesh:
        yield mesh


def tally(seen):
    return dict(Counter(seen.status))


def call(target, calls=30, together=1):
    with rest_shop.connect(target) as shop:
        return measuring.closed_loop(shop.get, calls=calls, together=together)


def test_the_way_leads_through_real_sidecars_on_loopback(plain, replicas):
    sidecars = [plain.outbound, *plain.inbound]
    assert len({sidecar.pid for sidecar in sidecars}) == 4
    for sidecar in sidecars:
        assert executable(sidecar.pid) == envoy.program().resolve()
        ports = (sidecar.port, sidecar.admin_port)
        assert listening(sidecar.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
    assert tally(call(plain)) == {"OK": 30}
    assert replicas.counts() == [10, 10, 10]
    assert [one.stat("http.inbound.downstream_rq_total") for one in plain.inbound] == [10, 10, 10]
    assert (plain.stats()["requests"], plain.stats()["attempts"]) == (30, 30)
    assert plain.counts() == {"orders": 30}
    assert [host["rq_success"] for host in plain.outbound.hosts()] == [10, 10, 10]
    plain.reset()
    assert (plain.stats()["requests"], replicas.counts()) == (0, [0, 0, 0])
    # kill -9 a replica's sidecar: its third of the calls is lost
    process = psutil.Process(plain.inbound[0].pid)
    os.kill(plain.inbound[0].pid, signal.SIGKILL)
    process.wait(5)
    assert tally(call(plain)) == {"OK": 20, "503": 10}
    # and the caller's: all are
    process = psutil.Process(plain.outbound.pid)
    os.kill(plain.outbound.pid, signal.SIGKILL)
    process.wait(5)
    assert tally(call(plain, 3)) == {"ConnectError": 3}
    with pytest.raises(ServerError, match=r"sidecar of web (does not answer|is not running)"):
        plain.stats()


def test_faults_come_and_go(plain, replicas):
    for sidecar in plain.inbound:
        sidecar.fault(abort=1.0, status=418)
    assert tally(call(plain, 5)) == {"418": 5}
    assert replicas.counts() == [0, 0, 0]
    for sidecar in plain.inbound:
        sidecar.fault(delay=1.0, seconds=0.2)
    assert 0.19 < call(plain, 5).seconds.min() < 0.4
    for sidecar in plain.inbound:
        sidecar.fault()
    assert call(plain, 5).seconds.min() < 0.15
    plain.outbound.fault(abort=0.5)
    assert call(plain, 200, 4).status.count("503") == pytest.approx(100, abs=35)  # 5 standard deviations
    deadline = time.monotonic() + 3
    while not (found := plain.outbound.percentiles("cluster.orders.upstream_rq_time")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[100.0] > 199
    assert plain.outbound.percentiles("no such histogram") == {}
    with pytest.raises(ArgumentError, match="abort is 2"):
        plain.outbound.fault(abort=2)


def test_retries_and_the_limits_on_them(replicas):
    calls = 300
    with envoy_mesh.start(replicas, {"retries": RETRIES}, inbound=False, retries_at_once=100) as mesh:
        assert mesh.inbound == []
        replicas.behave(fails=0.3)
        seen = call(mesh, calls, 8)
        assert seen.ok.mean() == pytest.approx(theory.success_share(0.3, 4), abs=0.026)  # 5 deviations
        stats = mesh.stats()
        assert stats["requests"] == calls
        assert stats["attempts"] == calls + stats["retries"] == sum(replicas.counts())
        assert stats["attempts"] / calls == pytest.approx(theory.attempts_per_call(0.3, 4), abs=0.2)
        replicas.behave(fails=1.0)
        mesh.reset()
        assert tally(call(mesh, 50, 8)) == {"500": 50}
        assert mesh.stats()["attempts"] == 4 * 50  # amplification
        # in the caller's own sidecar the fault comes before the retries
        replicas.behave()
        mesh.outbound.fault(abort=1.0)
        mesh.reset()
        assert tally(call(mesh, 5)) == {"503": 5}
        assert mesh.stats()["attempts"] == 0
    # Envoy's own limit, when nobody says anything, is 3 retries at once
    with envoy_mesh.start(replicas, {"retries": RETRIES}, inbound=False, retries_at_once="default") as mesh:
        replicas.behave(fails=1.0)
        call(mesh, 50, 8)
        stats = mesh.stats()
        assert stats["retries_refused"] > 20
        assert stats["attempts"] < 4 * 50 - 20


def test_a_try_and_a_call_have_timeouts_of_their_own(replicas):
    replicas.behave(seconds=0.6)
    retries = {**RETRIES, "attempts": 2, "per_try_timeout": 0.2}
    with envoy_mesh.start(replicas, {"timeout": 1.0, "retries": retries}, inbound=False) as mesh:
        seen = call(mesh, 1)
        assert seen.status == ["504"]
        assert 0.39 < seen.seconds[0] < 0.6
        assert mesh.stats()["per_try_timeouts"] == 2
    with envoy_mesh.start(replicas, {"timeout": 0.3}, inbound=False) as mesh:
        seen = call(mesh, 1)
        assert seen.status == ["504"]
        assert 0.29 < seen.seconds[0] < 0.5


def test_more_than_the_breaker_takes_is_turned_away(replicas):
    breaker = {"max_requests": 3, "max_pending": 2}
    with envoy_mesh.start(replicas, {"breaker": breaker}, inbound=False) as mesh:
        call(mesh, 3)  # a call that waits for a new connection is a waiting one, too
        replicas.behave(seconds=0.4)
        seen = call(mesh, 12, 12)
        assert tally(seen) == {"OK": 5, "503": 7}
        assert mesh.stats()["overflow"] == 7


def test_a_bad_replica_is_ejected_and_comes_back(replicas):
    with envoy_mesh.start(replicas, {"outlier": OUTLIER}, inbound=False) as mesh:
        replicas[1].behave(fails=1.0)
        seen = load.offer(mesh, rate=60, seconds=0.6, seed=None)
        assert tally(seen) == {"OK": 33, "500": 3}
        stats = mesh.stats()
        assert (stats["ejections"], stats["ejected"], stats["healthy"], stats["hosts"]) == (1, 1, 2, 3)
        out = [host["why"] for host in mesh.outbound.hosts()]
        assert out == [[], ["failed_outlier_check"], []]
        # a second bad one stays: more than half would be out
        replicas[2].behave(fails=1.0)
        assert load.offer(mesh, rate=60, seconds=0.3, seed=None).status.count("500") == 9
        assert mesh.stats()["ejected"] == 1
        replicas.behave()
        deadline = time.monotonic() + 4
        while mesh.stats()["ejected"] and time.monotonic() < deadline:
            time.sleep(0.05)
        mesh.reset()
        assert tally(call(mesh)) == {"OK": 30}
        assert replicas.counts() == [10, 10, 10]


@pytest.mark.parametrize("panic", [0.5, 0.0])
def test_with_too_few_healthy_ones_panic_spreads_the_calls(replicas, panic):
    outlier = {**OUTLIER, "max_ejection_percent": 100.0, "base_ejection": 9.0, "panic": panic}
    with envoy_mesh.start(replicas, {"outlier": outlier}, inbound=False) as mesh:
        replicas[0].behave(fails=1.0)
        replicas[1].behave(fails=1.0)
        call(mesh, 12)
        deadline = time.monotonic() + 2
        while mesh.stats()["ejected"] < 2 and time.monotonic() < deadline:
            call(mesh, 3)
        mesh.reset()
        lost = call(mesh).status.count("500")
        assert lost == (20 if panic else 0)
        assert mesh.stats()["panic"] == (30 if panic else 0)


def test_versions_get_their_shares_and_copies(replicas):
    with replica_set.start(1, "aiohttp") as new:
        versions, canary = {"v1": replicas, "v2": new}, {"v1": 0.9, "v2": 0.1}
        with envoy_mesh.start(versions, {"canary": canary}, inbound=False) as mesh:
            call(mesh, 300, 4)
            assert mesh.counts()["v2"] == pytest.approx(30, abs=26)  # 5 deviations
            assert new.counts() == [mesh.counts()["v2"]]
            assert sum(replicas.counts()) == mesh.counts()["v1"] == 300 - new.counts()[0]
        new.behave(fails=1.0, seconds=0.5)
        new.reset()
        with envoy_mesh.start(versions, {}, inbound=False, mirror={"v2": 1.0}) as mesh:
            seen = call(mesh, 10)
            assert tally(seen) == {"OK": 10}  # its failures and its slowness reach nobody
            assert seen.seconds.min() < 0.3
            assert mesh.counts() == {"v1": 10, "v2": 10} == {"v1": 10, "v2": new.counts()[0]}


def test_mutual_tls_lets_in_who_can_show_a_name(replicas):
    with envoy_mesh.start(replicas, {"mtls": {"on": True}}) as mesh:
        assert tally(call(mesh, 6)) == {"OK": 6}
        assert mesh.outbound.stat("cluster.orders.ssl.handshake") == 3
        assert sum(mesh.inbound[0].stats(r"ssl\.versions\.TLSv1\.3").values()) == 1
        inside = mesh.inbound[0].address
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://{inside}/orders/a", trust_env=False)

        def knock(name, authority=mesh.authority):
            context = authority.issue(name).context()
            return httpx.get(f"https://{inside}/orders/a", verify=context, trust_env=False).status_code

        assert knock("web.shop") == 200
        before = replicas[0].calls()
        with pytest.raises(httpx.TransportError, match=r"(?i)certificate unknown"):
            knock("intruder.shop")
        with pytest.raises(httpx.TransportError, match=r"(?i)certificate verify failed"):
            knock("web.shop", type(mesh.authority)())  # signed by somebody else
        with pytest.raises(httpx.TransportError, match=r"(?i)certificate required"):
            httpx.get(f"https://{inside}/orders/a", verify=False, trust_env=False)
        assert replicas[0].calls() == before
        assert sum(mesh.inbound[0].stats(r"ssl\.fail_verify_san").values()) == 1
        assert sum(mesh.inbound[0].stats(r"ssl\.fail_verify_no_cert").values()) == 1


def test_a_drained_replica_is_left_before_it_goes(replicas):
    replicas.behave(seconds=0.05)
    with envoy_mesh.start(replicas, {}, health_check=0.1) as mesh:

        def lost(what):
            errand = threading.Timer(0.4, what)
            errand.start()
            seen = load.offer(mesh, rate=100, seconds=1.2, seed=None, deadline=3)
            errand.join()
            return len(seen.ok) - seen.ok.sum()

        def drain_and_kill():
            mesh.inbound[2].drain()
            time.sleep(0.4)
            replicas[2].kill()

        assert lost(drain_and_kill) == 0
        assert mesh.stats()["healthy"] == 2
        replicas[2].start()
        mesh.inbound[2].restore()
        deadline = time.monotonic() + 3
        while mesh.stats()["healthy"] < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        replicas.behave(seconds=0.05)
        assert lost(replicas[2].kill) > 0  # what it was working on, and what came until somebody looked
        assert mesh.outbound.hosts()[2]["why"] == ["failed_active_health_check"]


def test_a_mesh_that_cannot_start_leaves_nothing_behind(replicas, monkeypatch):
    begun = []

    def fails(self, *words, **more):
        begun.append(self)
        if len(begun) > 2:
            raise ServerError("no more")
        return envoy.Envoy.start(self)

    monkeypatch.setattr(envoy_mesh.Sidecar, "start", fails)
    with pytest.raises(ServerError, match="no more"):
        envoy_mesh.start(replicas, {})
    assert [sidecar.alive for sidecar in begun] == [False] * 3


def test_a_wrong_argument_is_told(replicas):
    with pytest.raises(ArgumentError, match="A key of policy is 'retry'"):
        envoy_mesh.start(replicas, {"retry": {}})
    with pytest.raises(ArgumentError, match=r"replicas is \['orders'\], .* that are named: v1, v2"):
        envoy_mesh.start(replicas, {"canary": {"v1": 0.5, "v2": 0.5}})
    with pytest.raises(ArgumentError, match=r"mirror\.orders is 3"):
        envoy_mesh.start(replicas, {}, mirror={"orders": 3})
    with pytest.raises(ArgumentError, match="inbound is False, but must be True with mutual TLS"):
        envoy_mesh.start(replicas, {"mtls": {"on": True}}, inbound=False)
    with pytest.raises(ArgumentError, match="health_check is 0"):
        envoy_mesh.start(replicas, {}, health_check=0)
    pytest.importorskip("grpc")
    with grpc_orders.start() as one, pytest.raises(ArgumentError, match="replicas is 'of gRPC'"):
        envoy_mesh.start(replica_set.ReplicaSet([one]), {})

"""Deadlines and cancellation over real gRPC processes: what each service of the chain sees and does."""

import math
import os
import random
import re
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from interplay import ArgumentError
from interplay.servers import ServerError, deadline_chain, executable, fault_proxy, grpc_shop, listening

grpc = pytest.importorskip("grpc")
pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def started():
    inventory = deadline_chain.start("inventory")
    orders = deadline_chain.start("orders", calls=inventory)
    gateway = deadline_chain.start("gateway", calls=orders)
    yield gateway, orders, inventory
    for server in (gateway, orders, inventory):
        server.stop()


@pytest.fixture
def chain(started):
    """gateway, orders, inventory: 0.1 s of work in orders, 0.8 s in inventory."""
    set_up(started)
    for server in started:
        server.settle()
        server.reset()
    return started


def set_up(chain, **behaviour):
    gateway, orders, inventory = chain
    for server in chain:
        server.start()  # if a test has killed it
    gateway.behave(**behaviour)
    orders.behave(work=0.1, **behaviour)
    inventory.behave(work=0.8, **behaviour)


def buy(server, timeout, orders=("order-1",), together=1):
    with deadline_chain.connect(server) as web:
        return grpc_shop.measure(lambda order: web.buy(order, timeout=timeout), orders, together)


def reports(chain):
    for server in chain:
        server.settle()
    return [server.report() for server in chain]


# ---------------------------------------------------------------- the process


def test_each_is_a_real_process_on_loopback_only(chain):
    for server in chain:
        ports = (server.port, server.control_port)
        assert listening(server.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
        assert executable(server.pid) == Path(sys.executable).resolve()
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("::1", port), timeout=1)


def test_kill_9_is_noticed_by_the_caller_and_by_the_service_before_it(chain):
    gateway, orders, inventory = chain
    process = psutil.Process(inventory.pid)
    os.kill(inventory.pid, signal.SIGKILL)
    process.wait(5)
    assert buy(gateway, 5).status == ["UNAVAILABLE"]
    assert gateway.report().status == orders.report().status == ["UNAVAILABLE"]
    with pytest.raises(ServerError, match=r"inventory (does not answer|is not running)"):
        inventory.report()
    inventory.start()
    for _ in range(50):  # gRPC looks again every half second
        if (seen := buy(gateway, 5)).ok.all():
            break
        time.sleep(0.1)
    assert seen.ok.all()


def test_a_wrong_name_or_value_is_told(chain):
    with pytest.raises(TypeError, match="no behaviour called speed; there are: work, slow, slow_work"):
        chain[0].behave(speed=1)
    with pytest.raises(ArgumentError, match="slow is 2, but must be a number at least 0 and at most 1"):
        deadline_chain.start("a", slow=2)
    with pytest.raises(ArgumentError, match="workers is 0, but must be a whole number"):
        deadline_chain.start("a", workers=0)


# ---------------------------------------------------------------- the deadline


def test_without_a_deadline_the_call_takes_its_time(chain):
    with deadline_chain.connect(chain[0]) as web:
        assert web.buy("a") == {"order": "a", "path": ["gateway", "orders", "inventory"]}
    gateway, orders, inventory = reports(chain)
    for report in (gateway, orders, inventory):
        assert report.left.tolist() == [math.inf]
        assert (report.status, report.received) == (["OK"], 1)
        assert math.isnan(report.noticed[0])
        assert (report.late.sum(), report.useless.sum()) == (0, 0)
    assert orders.worked[0] == pytest.approx(0.1, abs=0.06)
    assert inventory.worked[0] == pytest.approx(0.8, abs=0.1)
    assert inventory.held[0] == pytest.approx(inventory.worked[0], abs=0.05)
    # who calls holds its worker until the answer is there
    assert gateway.held[0] > orders.held[0] > inventory.held[0] + orders.worked[0]


def test_each_hop_sees_what_is_left(chain):
    seen = buy(chain[0], timeout=0.4)
    assert seen.status == ["DEADLINE_EXCEEDED"]
    assert 0.39 < seen.seconds[0] < 0.7
    gateway, orders, inventory = reports(chain)
    assert 0.25 < gateway.left[0] <= 0.404  # gRPC rounds up, by 1 % at most
    assert 0.2 < orders.left[0] <= gateway.left[0] * 1.01
    assert orders.left[0] - inventory.left[0] == pytest.approx(0.1, abs=0.06)  # the work of orders
    # and nobody works long for nobody
    for report in (gateway, orders, inventory):
        assert report.late[0] < 0.1
        assert report.useless[0] < 0.1
        assert report.status[0] in ("CANCELLED", "DEADLINE_EXCEEDED")
    assert inventory.worked[0] < 0.5


def test_what_goes_over_the_wire_is_relative(started):
    inventory = started[2]
    inventory.behave()
    sent = []
    for timeout in (0.2, 3):
        with fault_proxy.start(inventory) as proxy, deadline_chain.connect(proxy) as web:
            before = time.time()
            web.buy("a", timeout=timeout)
            value, unit = re.search(rb"grpc-timeout.(\d+)([mS])", proxy.tap()[0], re.DOTALL).groups()
            sent.append(int(value) * {b"m": 0.001, b"S": 1}[unit])
            assert str(int(before)).encode()[:6] not in value
    assert sent == pytest.approx([0.2, 3], abs=0.12)


def test_without_propagation_the_next_service_has_a_deadline_of_its_own_or_none(chain):
    gateway, orders, _ = chain
    gateway.behave(propagate=False, own=2.0)
    orders.behave(propagate=False)
    buy(gateway, timeout=0.5)
    _, from_gateway, from_orders = reports(chain)
    assert from_gateway.left[0] == pytest.approx(2.0, abs=0.2)  # started afresh, longer than the user waits
    assert from_orders.left[0] == math.inf
    gateway.behave(own=0.2)  # with propagation it is the shorter of the two
    for server in chain:
        server.reset()
    buy(gateway, timeout=1.0)
    assert reports(chain)[1].left[0] == pytest.approx(0.2, abs=0.1)


def test_a_reserve_is_kept_and_with_nothing_left_nobody_is_called(chain):
    gateway, _, inventory = chain
    gateway.behave(reserve=0.3)
    inventory.behave()
    assert buy(gateway, timeout=1.0).status == ["OK"]
    first, second, _ = reports(chain)
    assert first.left[0] - second.left[0] == pytest.approx(0.3, abs=0.1)
    gateway.behave(reserve=1.1)
    for server in chain:
        server.reset()
    seen = buy(gateway, timeout=1.0)
    assert (seen.status, seen.seconds[0] < 0.7) == (["DEADLINE_EXCEEDED"], True)  # it does not wait for it
    first, second, _ = reports(chain)
    assert (first.status, second.received) == (["DEADLINE_EXCEEDED"], 0)


# ---------------------------------------------------------------- the caller has left


@pytest.mark.parametrize("propagate", [True, False])
def test_a_service_that_stops_and_one_that_works_on(chain, propagate):
    wasted = {}
    for stops in (True, False):
        set_up(chain, stops=stops, propagate=propagate)
        for server in chain:
            server.reset()
        assert buy(chain[0], timeout=0.4).status == ["DEADLINE_EXCEEDED"]
        gateway, _, inventory = reports(chain)
        wasted[stops] = inventory.useless[0]
        assert inventory.worked[0] == pytest.approx(0.3 if stops else 0.8, abs=0.12)
        # the inventory's own caller leaves at the deadline only if somebody told it, or cancelled
        assert math.isnan(inventory.noticed[0]) == (not propagate and not stops)
        assert inventory.status == (["OK"] if not propagate and not stops else ["CANCELLED"])
        if not propagate:  # else its call onward may expire a moment before
            assert gateway.noticed[0] == pytest.approx(0.4, abs=0.12)
        assert (gateway.late[0] > 0.2) == (not propagate and not stops)  # a worker held for nobody
        assert (inventory.late[0] > 0.2) == (propagate and not stops)
    assert wasted[True] < 0.2
    assert wasted[False] == pytest.approx(0.5, abs=0.12)


def test_a_cancelled_call_is_cancelled_along_the_chain(chain):
    with deadline_chain.connect(chain[0]) as web:
        call = web.begin("a")
        time.sleep(0.3)
        assert chain[2].report().status == ["OPEN"]  # at work
        assert call.cancel()
        time.sleep(0.1)
        assert call.cancelled()
        for report in reports(chain):
            assert report.status == ["CANCELLED"]
            assert report.noticed[0] < 0.5
            assert report.held[0] < 0.6


def test_a_cancelled_call_goes_on_where_nobody_hands_it_on(chain):
    set_up(chain, stops=False)
    with deadline_chain.connect(chain[0]) as web:
        call = web.begin("a")
        time.sleep(0.3)
        call.cancel()
        gateway, _, inventory = reports(chain)
    assert (gateway.status, inventory.status) == (["CANCELLED"], ["OK"])
    assert inventory.worked[0] > 0.79
    assert gateway.late[0] == pytest.approx(0.6, abs=0.2)


def test_what_expired_in_the_queue_is_dropped_by_grpc_itself():
    with deadline_chain.start("inventory", workers=1, work=0.8, stops=False) as one:
        seen = buy(one, 0.3, [f"order-{n}" for n in range(4)], together=4)
        assert seen.status == ["DEADLINE_EXCEEDED"] * 4
        one.settle()
        time.sleep(0.1)  # so that it could begin another
        report = one.report()
        assert (report.received, len(report.order)) == (4, 1)
        assert report.late[0] == pytest.approx(0.5, abs=0.15)
        # the worker is held for nobody, and the next caller pays for it
        buy(one, 0.2)
        assert buy(one, 5.0).seconds[0] == pytest.approx(0.6 + 0.8, abs=0.2)
        one.behave(work=0.8)  # it stops
        buy(one, 0.2)
        assert buy(one, 5.0).seconds[0] == pytest.approx(0.8, abs=0.2)


def test_the_slow_orders_are_those_drawn(chain):
    inventory = chain[2]
    inventory.behave(work=0.01, slow=0.2, slow_work=0.5, seed=4)
    orders = [f"order-{n}" for n in range(40)]
    seen = buy(inventory, 0.25, orders, together=4)
    slow = [random.Random(f"4/{order}").random() < 0.2 for order in orders]
    assert 3 < sum(slow) < 15
    assert seen.status == ["DEADLINE_EXCEEDED" if s else "OK" for s in slow]
    inventory.settle()
    report = inventory.report()
    worked = dict(zip(report.order, report.worked, strict=True))
    assert np.allclose([worked[o] for o, s in zip(orders, slow, strict=True) if not s], 0.01, atol=0.1)


def test_settle_gives_up_in_words(chain):
    inventory = chain[2]
    inventory.behave(work=1.0)
    with deadline_chain.connect(inventory) as web:
        call = web.begin("a", timeout=5)
        while not inventory.report().order:
            time.sleep(0.01)
        with pytest.raises(ServerError, match=r"inventory is still at work after 0\.1 seconds"):
            inventory.settle(patience=0.1)
        call.cancel()
    inventory.settle()
    inventory.reset()
    assert (inventory.report().received, len(inventory.report().left)) == (0, 0)

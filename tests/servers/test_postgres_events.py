"""The event store: a version is appended once, and a reader skips nothing, whoever commits when."""

import threading

import pytest

from interplay.servers import postgres_events
from interplay.servers.postgres_events import ConflictError, Reader

pytest.importorskip("psycopg")
pytestmark = pytest.mark.servers
PLACED = ("OrderPlaced", {"total": 120})


@pytest.fixture
def store(db):
    return postgres_events.create(db)


def streams(events):
    return [event.stream for event in events]


def test_a_stream_grows_from_the_version_that_the_writer_has_seen(store):
    assert store.append("order-1", 0, [PLACED, ("OrderPaid", {})]) == 2
    for expected in (0, 1, 3):
        with pytest.raises(ConflictError, match=f"order-1 is not at version {expected}"):
            store.append("order-1", expected, [PLACED])
    assert store.append("order-2", 0, [PLACED]) == 1
    assert store.append("order-1", 2, [("OrderShipped", {})]) == 3
    events = store.read("order-1", after=1)
    assert [(e.version, e.type, e.data) for e in events] == [(2, "OrderPaid", {}), (3, "OrderShipped", {})]
    assert store.read("order-1")[0].data == {"total": 120}
    assert store.read("order-3") == []


def test_of_two_that_write_at_once_one_is_refused(store):
    refused = []

    def late():
        try:
            store.append("order-1", 0, [("late", {})])
        except ConflictError as error:
            refused.append(str(error))

    with store.writing("order-1", 0, [("first", {})]):
        other = threading.Thread(target=late)
        other.start()
        other.join(0.2)
        assert other.is_alive()  # it waits for the first one to end
    other.join(5)
    assert refused == ["order-1 has gone on from version 0 meanwhile"]
    assert [e.type for e in store.read("order-1")] == ["first"]


def test_a_naive_reader_skips_what_commits_late_and_a_safe_one_waits_for_it(store):
    naive, safe = Reader(store), Reader(store, safe=True)
    store.append("order-1", 0, [PLACED])
    assert streams(naive.poll()) == streams(safe.poll()) == ["order-1"]
    with store.writing("order-2", 0, [PLACED]):
        store.append("order-3", 0, [PLACED])
        assert streams(naive.poll()) == ["order-3"]
        assert safe.poll() == []
    assert naive.poll() == []  # order-2 is lost to it
    assert streams(safe.poll()) == ["order-2", "order-3"]
    assert safe.poll() == []
    store.append("order-4", 0, [PLACED, PLACED])
    assert [e.position for e in safe.poll()] == [4, 5]
    assert streams(Reader(store).poll()) == ["order-1", "order-2", "order-3", "order-4", "order-4"]


def test_a_safe_reader_misses_nothing_when_an_older_transaction_draws_a_later_position(db, store):
    """By position alone it would go past the event of the younger one."""
    safe = Reader(store, safe=True)
    older, younger = db.connect(), db.connect()
    older.execute("BEGIN")
    older.execute(postgres_events.APPEND, ("older", 1, "a", "{}"))
    younger.execute("BEGIN")
    younger.execute(postgres_events.APPEND, ("younger", 1, "b", "{}"))
    older.execute(postgres_events.APPEND, ("older", 2, "c", "{}"))
    older.execute("COMMIT")
    assert [(e.position, e.type) for e in safe.poll()] == [(1, "a"), (3, "c")]
    younger.execute("COMMIT")
    assert [(e.position, e.type) for e in safe.poll()] == [(2, "b")]
    older.close()
    younger.close()


def test_the_library_uses_the_same_database(db, store):
    pytest.importorskip("psycopg_pool")
    application = pytest.importorskip("eventsourcing.application")
    domain = pytest.importorskip("eventsourcing.domain")
    persistence = pytest.importorskip("eventsourcing.persistence")

    class Account(domain.Aggregate):
        @domain.event("Opened")
        def __init__(self) -> None:
            self.balance = 0

        @domain.event("Deposited")
        def deposit(self, cents: int) -> None:
            self.balance += cents

    bank = application.Application(env=postgres_events.environment(db))
    account = Account()
    account.deposit(5)
    bank.save(account)
    first, second = (bank.repository.get(account.id) for _ in range(2))
    assert first.balance == 5
    for stale in (first, second):
        stale.deposit(1)
    bank.save(first)
    with pytest.raises(persistence.IntegrityError):
        bank.save(second)
    assert db.sql.execute("SELECT count(*) FROM application_events").fetchone() == (3,)
    bank.close()

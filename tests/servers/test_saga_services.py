"""A saga on PostgreSQL and NATS, and in DBOS: money and stock are conserved, whatever is killed where."""

import pytest

from interplay import ArgumentError
from interplay.servers import (
    dbos_saga,
    listening,
    saga_orchestrator,
    saga_services,
    saga_tables,
    workers,
)
from interplay.servers.saga_tables import following

pytest.importorskip("psycopg")
pytest.importorskip("nats")
pytestmark = pytest.mark.servers
GOOD = [("reserve", "done"), ("charge", "done"), ("ship", "done")]
BACK = [*GOOD[:2], ("ship", "refused"), ("refund", "done"), ("release", "done")]
END = {"stock": 9, "charged": 100, "shipped": ["order-0"]}


@pytest.fixture
def run(db, nats):
    shop = saga_tables.create(db)
    started = []

    def start(module, *arguments, **settings):
        started.append(module.start(shop, *arguments, **settings))
        return started[-1]

    start.shop, start.nats = shop, nats
    yield start
    for worker in started:
        worker.kill()


def test_what_follows_from_a_log():
    for log in (GOOD, BACK):
        for n in range(len(log)):
            undoing = any(answer == "refused" for _, answer in log[:n])
            assert following(log[:n]) == (log[n][0], undoing)
    assert following(GOOD) == ("", False)
    assert following(BACK) == ("", True)
    assert following([("reserve", "refused")]) == ("", True)


@pytest.mark.parametrize(
    "dies", [None, ("before command", 4), ("after command", 2), ("after command", 7), ("after note", 6)]
)
def test_an_orchestrator_that_dies_goes_on_where_it_was(run, dies):
    services = run(saga_services, run.nats, declines={"shipping": ["order-1"]})
    orchestrator = run(saga_orchestrator, run.nats, dies=dies)
    for n, total in enumerate((100, 50)):
        run.shop.begin(f"order-{n}", total)
    if dies:
        assert orchestrator.wait()
        orchestrator.start()
    assert run.shop.settled()
    assert run.shop.status() == {"order-0": "done", "order-1": "compensated"}
    assert run.shop.log("order-0") == GOOD
    assert run.shop.log("order-1") == BACK
    assert run.shop.state() == END
    repeated = sum(row.get("repeated", False) for row in services.report().rows)
    assert repeated == (dies is not None and dies[0] == "after command")


def test_without_idempotent_services_a_repeated_command_is_done_twice(run):
    run(saga_services, run.nats, idempotent=False)
    orchestrator = run(saga_orchestrator, run.nats, dies=("after command", 2))
    run.shop.begin("order-0", 100)
    assert orchestrator.wait()
    orchestrator.start()
    assert run.shop.settled()
    assert run.shop.state() == {"stock": 9, "charged": 200, "shipped": ["order-0"]}


def test_a_service_that_dies_is_asked_again_and_an_empty_stock_refuses(run):
    run.shop.database.sql.execute("UPDATE stock SET pieces = 1")
    services = run(saga_services, run.nats, dies=("after work", 2))
    orchestrator = run(saga_orchestrator, run.nats, patience=0.2)
    run.shop.begin("order-0", 100)
    assert services.wait()
    services.start()
    assert run.shop.settled()
    assert "order-0" in orchestrator.report().of("asks again")
    run.shop.begin("order-1", 50)
    assert run.shop.settled()
    assert run.shop.log("order-1") == [("reserve", "refused")]
    assert run.shop.state() == {"stock": 0, "charged": 100, "shipped": ["order-0"]}


@pytest.mark.parametrize("dies", [None, ("in step", 2)])
def test_dbos_does_not_run_again_what_had_ended(run, dies):
    if sentence := dbos_saga.missing():
        pytest.skip(sentence)
    for n, total in enumerate((100, 50)):
        run.shop.begin(f"order-{n}", total)
    saga = run(dbos_saga, refuses=["order-1"], dies=dies, seconds=0.02)
    assert listening(saga.pid) == []
    assert saga.wait(20)
    if dies:
        assert run.shop.state() == {"stock": 9, "charged": 100, "shipped": []}
        saga.start()
        assert saga.wait(20)
    assert run.shop.status() == {"order-0": "done", "order-1": "compensated"}
    assert run.shop.state() == END
    steps = [(row["message"], row["action"]) for row in saga.report().rows if row["what"] == "got"]
    assert len(steps) - len(set(steps)) == (dies is not None)  # only the one that was running
    assert [step for step in steps if steps.count(step) > 1][:1] == ([("order-0", "charge")] if dies else [])


def test_what_cannot_be_is_refused(run):
    with pytest.raises(ArgumentError, match="declines"):
        run(saga_services, run.nats, declines={"weather": []})
    with pytest.raises(ArgumentError, match="dies"):
        run(saga_orchestrator, run.nats, dies=("at lunch", 1))
    assert not workers.wait_for(lambda: False, 0.01)

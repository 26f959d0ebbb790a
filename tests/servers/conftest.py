"""One broker of each kind for the whole session; each skips, in words, where it cannot run."""

from pathlib import Path

import pytest

from interplay.servers import aws, kafka, nats_server, postgres, rabbitmq


def pytest_collection_modifyitems(items):
    """Real servers in real time: on a machine that is busy with others, a test may be tried three times."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=2))


def one(module):
    """A broker of this module, started once."""
    if sentence := module.missing():
        pytest.skip(sentence)
    broker = module.start(quiet=True)
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def mq():
    yield from one(rabbitmq)


@pytest.fixture(scope="session")
def cloud():
    yield from one(aws)


@pytest.fixture(scope="session")
def cluster():
    yield from one(kafka)


@pytest.fixture(scope="session")
def nats():
    yield from one(nats_server)


@pytest.fixture(scope="session")
def db():
    yield from one(postgres)

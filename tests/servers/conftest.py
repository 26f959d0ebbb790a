"""One broker of each kind for the whole session; each skips, in words, where it cannot run."""

import contextlib
import time

import psutil
import pytest

from interplay.servers import aws, kafka, rabbitmq


def gone(pid: int, within: float) -> bool:
    """Whether the process has ended within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                return False
        return True


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

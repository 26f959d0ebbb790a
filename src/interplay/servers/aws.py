"""SQS, SNS and EventBridge on this machine: moto, an emulator, with boto3, Amazon's own client.

moto answers the calls and keeps the rules of visibility, redrive, FIFO and event patterns, in memory. Its
standard queues never deliver twice and never out of order, which the real ones may (SQS Developer Guide,
"At-least-once delivery"): `client("sqs", duplicates=…, reorder=…)` adds that (`aws_unreliable.py`).
AWS_ENDPOINT_URL names another address to be used instead, with boto3's own ways to find credentials.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..arguments import number
from . import process
from .aws_events import Events
from .aws_queues import Queues
from .aws_unreliable import Unreliable
from .broker import Broker
from .process import HOST, ServerError

REGION = "us-east-1"


class Aws(Queues, Events, Broker):
    """A running moto: a broker, with what `Queues` and `Events` do."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__("moto", "AWS_ENDPOINT_URL", quiet=quiet, reach=self._reach)
        self._clients: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """The endpoint that a client is given, such as "http://127.0.0.1:5000"."""
        return self.given_url or f"http://{self.address}"

    def prepare(self, folder: Path) -> Sequence[str | Path]:
        """moto keeps nothing on disk."""
        # -P: the notebook's folder is not searched for modules
        return [sys.executable, "-P", "-m", "moto.server", "-H", HOST, "-p", "{port}"]

    def start(self) -> Aws:
        """Start it and wait until it is ready; raises ServerError when it cannot be."""
        self._clients = {}
        super().start()
        return self

    def client(self, service: str, duplicates: float = 0.0, reorder: float = 0.0, seed: int = 1) -> Any:
        """A boto3 client of "sqs", "sns" or "events".

        For "sqs": `duplicates` is the share of deliveries that come once more, `reorder` the share that come
        after some of those behind them, drawn with `seed`.
        """
        if service not in self._clients:
            self._clients[service] = self._connect(service)
        number("duplicates", duplicates, least=0, most=1)
        number("reorder", reorder, least=0, most=1)
        plain = self._clients[service]
        return Unreliable(plain, duplicates, reorder, seed) if duplicates or reorder else plain

    def _connect(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        if self.given and not self.address.startswith((HOST, "localhost")):
            return boto3.client(service, endpoint_url=self.url)
        keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}  # moto does not look
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        where = {"endpoint_url": self.url, "region_name": os.environ.get("AWS_DEFAULT_REGION", REGION)}
        return boto3.client(service, config=config, **keys, **where)

    def _reach(self) -> None:
        self.client("sqs").list_queues()


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    return process.missing("boto3") or (
        "" if os.environ.get("AWS_ENDPOINT_URL") else process.missing("moto.server", "moto")
    )


def require() -> bool:
    """Whether it can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(quiet: bool = False) -> Aws:
    """Start moto, in about 2 s, or take what AWS_ENDPOINT_URL names; raises ServerError when that fails."""
    if sentence := missing():
        raise ServerError(sentence)
    cloud = Aws(quiet)
    cloud.start()
    return cloud

"""Start a real RabbitMQ, and do with its queues what a notebook does often; the rest is pika's own.

RabbitMQ comes from the operating system (`sudo apt-get install rabbitmq-server`), with Erlang. It asks epmd,
Erlang's small name server, for nothing but its own name: ours runs beside it, on 127.0.0.1 as well. The
script in /usr/sbin wants to be root or `rabbitmq`; the one that it calls, in /usr/lib/rabbitmq, does not.
RABBITMQ_URL, such as amqp://guest:guest@127.0.0.1:5672, names one that is to be used instead.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from . import process
from .broker import Broker
from .process import HOST, Server, ServerError, free_port
from .rabbitmq_queues import Message, Queues

__all__ = ["Message", "RabbitMQ", "missing", "require", "start"]
BIN = Path("/usr/lib/rabbitmq/bin")  # Debian's and Ubuntu's
CONFIG = """\
[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {port}}}]}},
           {{log, [{{console, [{{enabled, true}}, {{level, warning}}]}}, {{file, [{{file, false}}]}}]}},
           {{vm_memory_high_watermark, {{absolute, 536870912}}}},
           {{disk_free_limit, 52428800}}]}},
 {{ra, [{{wal_max_size_bytes, 8388608}}]}}].
"""
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none"


class RabbitMQ(Queues, Broker):
    """A running RabbitMQ: a broker, with what `Queues` does."""

    def __init__(self, quiet: bool = False) -> None:
        Queues.__init__(self)
        Broker.__init__(self, "RabbitMQ", "RABBITMQ_URL", quiet=quiet, ready=_answers, reach=self._line)
        self._names: Server | None = None  # epmd

    @property
    def url(self) -> str:  # type: ignore[override]
        """What a client is given, such as "amqp://guest:guest@127.0.0.1:5672"."""
        return self.given_url or f"amqp://guest:guest@{self.address}"

    def prepare(self, folder: Path) -> list[str | Path]:
        """Write its configuration, and start epmd."""
        self.port = self.port or free_port()
        self._names = Server([str(_program("epmd")), "-address", HOST, "-port", "{port}"], name="epmd")
        self._names.start()
        (folder / "rabbitmq.config").write_text(CONFIG.format(port=self.port))
        (folder / "plugins").write_text("[].\n")
        self.env = {
            "HOME": str(folder),  # for Erlang's cookie
            "RUNNING_UNDER_SYSTEMD": "true",  # no shell around it, and no waiting for input
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._names.port),
            "RABBITMQ_NODENAME": f"course{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder),
        }
        self.cwd = folder
        return [_program("rabbitmq-server")]

    def kill(self) -> None:
        """End it at once, with no chance to tidy up; what is durable is there at the next start."""
        super().kill()
        self.hang_up()

    def stop(self, patience: float = 8.0) -> None:
        """End it and its epmd, and remove its data; a given one is left as it is."""
        self.hang_up()
        super().stop(patience)
        if self._names:
            self._names.stop()


def _answers(server: Server) -> bool:
    assert isinstance(server, RabbitMQ)
    with contextlib.suppress(Exception):
        server._line()
        return True
    return False


def _program(name: str) -> Path:
    """The path of one of RabbitMQ's programs; raises ServerError, in a sentence, where it is not there."""
    found = BIN / name if (BIN / name).exists() else shutil.which(name)
    if not found:
        raise ServerError(
            "This section is skipped, because RabbitMQ is not installed here: `sudo apt-get install "
            "rabbitmq-server` (Debian, Ubuntu) or `brew install rabbitmq` (macOS) brings it."
        )
    return Path(found)


def missing() -> str:
    """ "" when RabbitMQ can be used here; else one sentence that says why not."""
    sentence = process.missing("pika")
    if sentence or RabbitMQ(quiet=True).given:
        return sentence
    try:
        _program("epmd"), _program("rabbitmq-server")
    except ServerError as error:
        return str(error)
    return ""


def require() -> bool:
    """Whether RabbitMQ can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(quiet: bool = False) -> RabbitMQ:
    """Start RabbitMQ, in 4 to 8 s, or take the one that RABBITMQ_URL names; ServerError when that fails."""
    if sentence := missing():
        raise ServerError(sentence)
    broker = RabbitMQ(quiet)
    broker.start()
    return broker

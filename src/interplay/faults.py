"""What breaks, and when: faults of a service, and links that are cut."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event, Timeout

from .trace import UP

if TYPE_CHECKING:
    from .part import Part
    from .simulation import Simulation

FAULTS = {
    "outage": "nothing is served, what arrives waits",
    "crash": "what was in work or waiting is lost, what arrives is refused",
    "slow": "work takes `factor` times as long",
    "errors": "a `share` of the work ends in an error",
}
Begin = Callable[[], Callable[[], None]]  # starts a fault now; what it returns ends it


def fault(service: Part, kind: str, amount: float) -> Begin:
    """A fault of this kind at a service: `amount` is the factor of "slow", the share of "errors"."""

    def begin() -> Callable[[], None]:
        if kind == "outage":
            service.holding += 1
        elif kind == "crash":
            service.crashed += 1
            service.crash()
        elif kind == "slow":
            service.slowness.append(amount)
        elif kind == "errors":
            service.failing.append(amount)
        _note(service)
        return end

    def end() -> None:
        if kind == "outage":
            service.holding -= 1
            service.resume()
        elif kind == "crash":
            service.crashed -= 1
            service.started_at = service.env.now
            if not service.crashed:
                service.restart()
        elif kind == "slow":
            service.slowness.remove(amount)
        elif kind == "errors":
            service.failing.remove(amount)
        _note(service)

    return begin


def cut(sim: Simulation, pair: frozenset[int]) -> Begin:
    """No message passes between these two nodes."""

    def begin() -> Callable[[], None]:
        sim.network.cut.append(pair)
        return lambda: sim.network.cut.remove(pair)

    return begin


def schedule(sim: Simulation, begin: Begin, start: float, end: float, label: str, node: int = -1) -> None:
    """Let it happen from `start` to `end` (s), with a marker in the trace for both."""

    def happen() -> Generator[Event, Any, None]:
        yield Timeout(sim.env, start - sim.env.now)
        finish = begin()
        sim.trace.markers.append((sim.env.now, f"{label} starts", node))
        yield Timeout(sim.env, end - start)
        finish()
        sim.trace.markers.append((sim.env.now, f"{label} ends", node))

    sim.env.process(happen())


def _note(service: Part) -> None:
    degraded = service.slowness or service.failing
    service.note(UP, 0.0 if not service.healthy else 0.5 if degraded else 1.0, service.env.now)

"""What every part of the shop has in common, be it a service, a process or a broker: a node that can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .trace import Node

if TYPE_CHECKING:
    from .simulation import Simulation


class Part:
    """A node of the shop, with the faults that are in force."""

    def __init__(self, sim: Simulation, name: str, kind: str, workers: int | None = None) -> None:
        self.sim, self.env, self.trace, self.name = sim, sim.env, sim.trace, name
        self.node = len(sim.trace.nodes)
        sim.trace.nodes.append(Node(name, kind, workers))
        self._next_span, self._record, self._send = sim.next_span, sim.trace.spans.append, sim.network.send
        self._watched = sim.trace.watched
        self.started_at = 0.0  # when it last came up, for slow start
        self.holding = 0  # outages in force: nothing new starts
        self.crashed = 0  # crashes in force: everything is refused
        self.slowness: list[float] = []  # factors in force
        self.failing: list[float] = []  # error shares in force

    @property
    def healthy(self) -> bool:
        """What a health check is told."""
        return not (self.holding or self.crashed)

    def note(self, gauge: int, value: float, now: float) -> None:
        """Record a gauge, if anybody will look at it."""
        if self._watched:
            self.trace.states.append((now, self.node, gauge, value))

    def crash(self) -> None:
        """Everything that is in memory is lost."""

    def restart(self) -> None:
        """It is back after a crash."""

    def resume(self) -> None:
        """An outage is over: take up what waits."""

    def close(self) -> None:
        """The run is over: record what is still open."""

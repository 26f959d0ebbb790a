"""The decision explorer: move what an interaction requires, and see the pattern, the reason and the cost."""

from __future__ import annotations

import functools
from typing import Any

from ..player import Choice, Player, Slider
from ..run import Run
from ..simulation import Simulation
from .costs import Costs, costs
from .interaction import Interaction
from .rules import PATTERNS, recommend
from .runs import RUNS
from .shops import FAULTS, SERVICES, UNTIL, Shop

SHOWN = {
    "answered well": lambda c: f"{100 * c.ok:.0f} %",
    "p50, p99": lambda c: f"{c.p50:.3f}, {c.p99:.3f} s",
    "work done": lambda c: f"{100 * c.done:.0f} %",
    "behind, p99": lambda c: f"{c.behind:.2f} s",
    "promised, lost": lambda c: f"{100 * c.lost:.0f} %",
    "in disorder": lambda c: f"{100 * c.disorder:.0f} %",
    "messages": lambda c: f"{c.messages:.1f}",
    "rows": lambda c: f"{c.rows:.1f}",
    "parts": lambda c: f"{c.parts}",
}


def layout() -> dict[str, tuple[float, float]]:
    """Where each part stands, in whatever pattern: the caller left, the services right."""
    places: dict[str, tuple[float, float]] = {
        "web": (0, 1),
        "shop": (1, 1),
        "orders": (1, 1),
        "relay": (2, 1),
        "line": (2, 1),
        "store": (2, 2),
    }
    places |= {"jobs": (2, 1), "news": (3, 1)}
    for row, name in zip((1, 0, 2, 3, 4), SERVICES, strict=True):
        places |= {f"jobs of {name}": (2, row), name: (4, row)}
        places |= {f"{name} {n}": (4 + 0.9 * (n - 1), row) for n in range(1, 9)}
    return places


def built(choice: str, answers: dict[str, Any]) -> Shop:
    """The shop of the "first" or the "second" choice, under the fault of the rule's run."""
    chosen = recommend(answers)
    evidence = RUNS[chosen.rule]
    pattern = chosen.pattern if choice == "first" else chosen.runner_up
    return Shop(pattern, answers, fault=evidence.fault, knobs=evidence.knobs)


def interaction(choice: str = "first", **answers: Any) -> Simulation:
    """A shop for these answers, ready to run: what the explorer's copied call gives again."""
    return built(choice, answers).simulation


class Explorer:
    """The model and the words of the explorer."""

    def __init__(self) -> None:
        self._shops: list[tuple[Any, Shop]] = []  # the latest, by their trace

    def model(self, choice: str = "first", **answers: Any) -> Simulation:
        """The same as `interaction`; the shop is remembered, for its costs."""
        shop = built(choice, answers)
        self._shops = [*self._shops[-3:], (shop.simulation.trace, shop)]
        return shop.simulation

    def says(self, values: dict[str, Any], runs: list[Run]) -> list[str | list[str]]:
        """The pattern, why, the runner-up, and what each cost."""
        chosen = recommend(values)
        both = [self._costs(run) for run in runs]
        if len(both) < 2:
            second = built("second", values)
            both.append(costs(second, second.simulation.run(until=UNTIL)))
        lines: list[str | list[str]] = [
            f"Take {PATTERNS[chosen.pattern].says} (unit {chosen.unit[:2]}).",
            chosen.why,
            f"Second comes {PATTERNS[chosen.runner_up].says}. {chosen.why_not}",
            *(f"And: {words}" for words in chosen.also),
            f"In the run {FAULTS[RUNS[chosen.rule].fault]}. Messages and rows are for one request.",
        ]
        table = [[name, *map(show, both)] for name, show in SHOWN.items()]
        return [*lines, ["", chosen.pattern, chosen.runner_up], *table]

    def _costs(self, run: Run) -> Costs:
        (shop,) = (shop for trace, shop in self._shops if trace is run.trace)
        return costs(shop, run)


def explorer(**start: Any) -> Player:
    """The decision explorer, which begins with the answers `start` (see QUESTIONS)."""
    first, explore = Interaction(**start), Explorer()

    return Player(
        functools.update_wrapper(lambda **values: explore.model(**values), interaction),
        until=UNTIL,
        controls=[
            Choice("answer", "Answer needed", {"now": "now", "soon": "soon", "never": "never"}, first.answer),
            Slider("stale", "May be old by", 0, 10, first.stale, 0.5, "s"),
            Choice(
                "may_fail",
                "Called one down",
                {True: "caller may fail", False: "caller goes on"},
                first.may_fail,
            ),
            Slider("listeners", "For services", 1, 5, first.listeners),
            Choice("order", "Order", {"none": "of no matter", "by key": "by key"}, first.order),
            Choice("audit", "Audit", {False: "not needed", True: "every past state"}, first.audit),
            Slider("changes", "Change together", 0, 3, first.changes),
            Slider("payload", "Payload", 1, 4001, first.payload, 100, "kB"),
            Slider("rate", "Rate", 5, 80, first.rate, 5, "/s"),
            Slider("teams", "Teams", 1, 8, first.teams),
        ],
        compare={"the runner-up": {"choice": "second"}},
        layout=layout(),
        says=explore.says,
        try_this="One thing at a time: let the caller go on while the called one is down; let it be 5 s old; "
        "then make it a change. When does the monolith win? Compare with the runner-up, and play.",
    )

"""Player: runs a model when the page asks, and sends the trace. The page does the rest (see page/).

The page asks by a message {"do": "run", "number", "values", "faults", "compare"} and is answered by the trait
`answer` (or `problem`) with the same number. It asks again only when it has its answer, so there is never a
backlog. A run that takes longer than a moment goes on in a thread, with progress, and can be stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import anywidget
import traitlets

from ..arguments import number, refuse
from ..run import Run
from ..simulation import Simulation
from . import moments as moments_module
from .alternative import Seen, bundle
from .controls import Choice, Slider
from .errors import describe
from .measures import Tables, difference, measure, sliding, totals
from .page import PLAYER, script, style

Model = Callable[..., Simulation]
Break = Callable[[Any, float], Any]
Line = str | list[str]
Says = Callable[[dict[str, Any], list[Run]], Iterable[str | Sequence[str]]]
MOMENT = 0.25  # s: a run that is ready by then is answered at once


class Player(anywidget.AnyWidget):
    """A live simulation: controls, topology, messages, chart, moments.

    `model` is called with the controls' values (by name) and returns a Simulation that is ready to run; it
    runs for `until` simulated seconds. `faults` maps a button's label to a function (shop, at) that breaks
    the shop at time `at`. `compare` maps a label to the values that are different in the run beside. `layout`
    maps a node's name to (column, row). `try_this` is the sentence that says what to try.

    `says(values, runs)` returns what is to be read beside the run, for the controls' values and one or two
    runs: sentences (str), and rows of a table (lists of str), the first of which is its head.

    A schedule that a search found is replayed by its `replay` (see interplay.search.Found), with what would
    have been without the faults beside it:

        Player(found.replay, until=5, compare={"no fault": {"faults": False}})

    In such a short run, in which messages take no time to speak of, time goes on message by message.

    `run` is the last Run, `beside` the one compared with (or None), `values` the controls' values.
    """

    _esm = script(PLAYER)
    _css = style("tokens.css", "player.css")
    setup = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    problem = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        model: Model,
        *,
        until: float,
        controls: Iterable[Slider | Choice] = (),
        faults: Mapping[str, Break] | None = None,
        compare: Mapping[str, Mapping[str, Any]] | None = None,
        layout: Mapping[str, tuple[float, float]] | None = None,
        try_this: str = "",
        says: Says | None = None,
    ) -> None:
        self._model = model
        self._says, self._said = says, cast(list[Line], [])
        self._until = number("until", until, above=0)
        self._controls = {control.name: control for control in controls}
        self._faults = dict(faults or {})
        self._compare = {label: dict(changes) for label, changes in (compare or {}).items()}
        self._name = getattr(model, "__name__", "model").replace("<lambda>", "model")
        self._check()
        self.run: Run | None = None
        self.beside: Run | None = None
        self.values = {name: control.value for name, control in self._controls.items()}
        self._seen: list[Seen] = []
        self._wanted: dict[str, Any] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._share = 0.0
        super().__init__(
            setup={
                "name": self._name.replace("_", " "),
                "controls": [control.page() for control in self._controls.values()],
                "faults": list(self._faults),
                "compare": list(self._compare),
                "layout": {name: list(place) for name, place in (layout or {}).items()},
                "until": self._until,
                "tryThis": try_this,
            }
        )
        values = {c["name"]: c["value"] for c in self.setup["controls"]}
        self._publish(*self._work({"number": 0, "values": values, "faults": [], "compare": ""}))
        self.on_msg(self._hear)

    def _check(self) -> None:
        """Refuse controls and comparisons that the model has no argument for."""
        try:
            parameters = inspect.signature(self._model).parameters.values()
        except (TypeError, ValueError):
            return
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return
        names = [p.name for p in parameters]
        for name in [*self._controls, *(name for changes in self._compare.values() for name in changes)]:
            if name not in names:
                allowed = f"an argument of {self._name}: " + ", ".join(names)
                refuse("a control's or comparison's name", name, allowed)

    # -- what the page asks -----------------------------------------------------------------------

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if content.get("do") == "stop":
            self._stop.set()
        elif content.get("do") == "run":
            self._wanted = content
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        """Run what is wanted in a thread: answer at once when it is quick, else let the kernel go on."""
        asked, self._wanted = self._wanted or {}, None
        result: list[tuple[dict[str, Any], dict[str, Any] | None, list[Any]]] = []
        loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):  # outside a kernel there is none
            loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def work() -> None:
            result.append(self._work(asked))
            if loop is not None:
                with contextlib.suppress(RuntimeError):  # the kernel is going down
                    loop.call_soon_threadsafe(done.set)

        self._stop.clear()
        self._share = 0.0
        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        self._thread.join(MOMENT if loop is not None else None)
        if loop is None or not self._thread.is_alive():
            self._thread = None
            self._publish(*result[0])
        else:
            self._waiting = loop.create_task(self._wait(asked, result, done))

    async def _wait(self, asked: dict[str, Any], result: list[Any], done: asyncio.Event) -> None:
        while not done.is_set():
            self.send({"progress": round(self._share, 3), "number": asked.get("number")})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 0.1)
        self._thread = None
        self._publish(*result[0])
        if self._wanted is not None:
            self._start()

    # -- running ----------------------------------------------------------------------------------

    def _work(self, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None, list[Any]]:
        """Simulate what is asked: a problem (or {}), the answer (or None), the values and what was seen."""
        about = {"number": asked.get("number", 0)}
        try:
            values = {
                name: c.read(asked.get("values", {}).get(name, c.page()["value"]))
                for name, c in self._controls.items()
            }
            faults = [(f["label"], round(float(f["at"]), 3)) for f in asked.get("faults", [])]
            beside = asked.get("compare", "")
            labels = ["", beside] if beside in self._compare else [""]
            with _no_collection():
                sights = [
                    self._simulate(label, {**values, **self._compare.get(label, {})}, faults, i, len(labels))
                    for i, label in enumerate(labels)
                ]
                said = self._lines(values, [seen.run for seen in sights])
        except _Stopped:
            return about | {"kind": "stopped"}, None, []
        except Exception as error:  # whatever a learner's model does wrong is shown in the widget
            return about | describe(error), None, []
        answer = about | {
            "values": {name: asked["values"][name] for name in self._controls if name in asked["values"]},
            "faults": [{"label": label, "at": at} for label, at in faults],
            "compare": labels[-1],
            "start": moments_module.telling(sights[0].moments, sights[0].tables.until),
            "call": "\n".join(seen.call for seen in sights),
            "says": said,
            "runs": [_for_page(seen) for seen in sights],
        }
        if len(sights) == 2:
            one, other = sights[0].tables, sights[1].tables
            answer["difference"] = difference(one, other)
        return {}, answer, [values, *sights]

    def _simulate(
        self, label: str, values: dict[str, Any], faults: list[tuple[str, float]], i: int, of: int
    ) -> Seen:
        shop = self._model(**values)
        if not isinstance(shop, Simulation):
            got = "nothing (is `return shop` missing?)" if shop is None else repr(shop)
            raise TypeError(f"{self._name} returned {got}, but must return a Simulation.")
        told = _Telling(shop)
        for name, at in faults:
            if at < self._until:
                self._faults[name](told, at)

        began = time.monotonic()

        def progress(share: float) -> bool:
            self._share = (i + share) / of
            if time.monotonic() - began > 1:
                gc.enable()
            return not self._stop.is_set()

        run = shop.run(until=self._until, progress=progress)
        if self._stop.is_set():
            raise _Stopped
        tables = Tables.of(run.trace)
        found = moments_module.find_moments(tables)
        call = self._call(values, told.lines, run.seed)
        return Seen(label, run, tables, measure(tables), totals(tables), found, call)

    def _lines(self, values: dict[str, Any], runs: list[Run]) -> list[Line]:
        """What `says` has to say about these runs."""
        lines = self._says(dict(values), runs) if self._says is not None else ()
        return [line if isinstance(line, str) else [str(cell) for cell in line] for line in lines]

    def _call(self, values: dict[str, Any], faults: list[str], seed: int) -> str:
        """The Python that gives this run again."""
        arguments = ", ".join(f"{name}={_literal(value)}" for name, value in values.items())
        if not faults:
            return f"run = {self._name}({arguments}).run(until={self._until:g})  # seed {seed}"
        lines = [f"shop = {self._name}({arguments})  # seed {seed}", *faults]
        return "\n".join([*lines, f"run = shop.run(until={self._until:g})"])

    def _publish(self, problem: dict[str, Any], answer: dict[str, Any] | None, made: list[Any]) -> None:
        with self.hold_sync():
            if answer is not None:
                self.values, self._seen = made[0], made[1:]
                self.run = self._seen[0].run
                self.beside = self._seen[1].run if len(self._seen) > 1 else None
                self.answer, self._said = answer, answer["says"]
            self.problem = problem

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = cast(Any, super()._repr_mimebundle_(**kwargs))
        return {**data, **bundle(self._name, self._seen, self.values, self.problem, self._said)}, metadata


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A short run makes many objects and no garbage; looking for some would double the time to repaint."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Stopped(Exception):
    """The learner pressed Stop."""


class _Telling:
    """The shop, noting in Python what faults are put into it."""

    def __init__(self, shop: Simulation) -> None:
        self._shop = shop
        self.lines: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shop, name)

    def fault(self, kind: str, service: Any, **how: Any) -> None:
        words = [_literal(kind), _literal(getattr(service, "name", service))]
        words += [f"{name}={_literal(value)}" for name, value in how.items()]
        self.lines.append(f"shop.fault({', '.join(words)})")
        self._shop.fault(kind, service, **how)


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(round(value, 6)) if isinstance(value, float) else repr(value)


def _for_page(seen: Seen) -> dict[str, Any]:
    trace = seen.run.trace
    return {
        "label": seen.label,
        "seed": seen.run.seed,
        "until": trace.until,
        "nodes": [{"name": n.name, "kind": n.kind, "workers": n.workers} for n in trace.nodes],
        "links": [list(link) for link in trace.links],
        "words": list(trace.words),
        "groups": [name for _, name in trace.groups],
        "window": sliding(trace.until),
        "totals": seen.totals,
        "moments": moments_module.page(seen.moments),
        **seen.tables.packed,
    }

"""For readers without JavaScript: a picture of the run and a table, in the player's own output."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ..run import Run
from ..trace import DEAD, LEASED, QUEUE
from .measures import FINE, Measures, Tables
from .moments import Moment

BLUE, GREEN, ORANGE, VERMILLION, GREY = "#0072B2", "#009E73", "#E69F00", "#D55E00", "#555555"
HELD = {"queue": "ready, on lease, dead", "log": "still to be read"}
DASHES = ("-", "--", ":", "-.")
LINES = (ORANGE, BLUE, VERMILLION, GREEN)
MOST = len(LINES)  # queues in the picture


@dataclass(frozen=True)
class Seen:
    """A run and what was found in it."""

    label: str
    run: Run
    tables: Tables
    measures: Measures
    totals: dict[str, float]
    moments: list[Moment]
    call: str


def bundle(
    name: str,
    seen: list[Seen],
    values: dict[str, Any],
    problem: dict[str, Any],
    said: Sequence[str | list[str]] = (),
) -> dict[str, str | bytes]:
    """image/png, text/html and text/plain for the output, beside the widget itself."""
    if not seen:
        words = " ".join(filter(None, (problem.get("title"), problem.get("message"), problem.get("where"))))
        return {"text/plain": f"{name} did not run. {words}"}
    image = base64.b64encode(picture(seen)).decode()
    alt = f"{name}: goodput, queue and response time over {seen[0].run.until:g} s. {sentence(seen[0])}"
    shown = f'<img alt="{escape(alt)}" src="data:image/png;base64,{image}">'
    return {
        "image/png": image,
        "text/html": f"<figure>{shown}{_said_html(said)}{table_html(name, seen, values)}</figure>",
        "text/plain": _said_text(said) + table_text(name, seen, values),
    }


def _said_text(said: Sequence[str | list[str]]) -> str:
    """What the player says beside the run, as plain text."""
    lines = [line if isinstance(line, str) else "  ".join(line) for line in said]
    return "".join(f"{line}\n" for line in lines) + ("\n" if lines else "")


def _said_html(said: Sequence[str | list[str]]) -> str:
    """The same as HTML; rows are a table, and the first of them its head."""
    out, head = [], True
    for line in said:
        if isinstance(line, str):
            out.append(f"<p>{escape(line)}</p>")
            continue
        first, *others = map(escape, line)
        tag = "th scope='col'" if head else "td"
        cells = "".join(f"<{tag}>{cell}</{tag.split()[0]}>" for cell in others)
        out.append(f"<tr><th scope='{'col' if head else 'row'}'>{first}</th>{cells}</tr>")
        head = False
    return re.sub(r"((?:<tr>.*?</tr>)+)", r"<table>\1</table>", "".join(out))


def sentence(seen: Seen) -> str:
    """One sentence about the whole run."""
    t = seen.totals
    text = f"Of {t['asked']} requests {t['ok']} were served and {t['failed']} failed"
    return text + (f"; {t['retries']} of {t['attempts']} attempts were retries." if t["retries"] else ".")


def rows(seen: list[Seen]) -> list[list[str]]:
    """The table: a head, then one row for each number."""
    head = ["", *(s.label or "this run" for s in seen)]
    retries = any(s.totals["retries"] for s in seen)
    numbers = [
        ("requests", lambda s: f"{s.totals['asked']}"),
        ("served", lambda s: f"{s.totals['ok']}"),
        ("failed", lambda s: f"{s.totals['failed']}"),
        ("attempts (retries)", lambda s: f"{s.totals['attempts']} ({s.totals['retries']})")
        if retries
        else ("calls", lambda s: f"{s.totals['attempts']}")
        if any(s.tables.services for s in seen)
        else ("messages", lambda s: f"{len(s.tables.messages)}"),
        ("goodput, per second", lambda s: f"{s.run.goodput:.1f}"),
        ("p50 and p99 of the served, seconds", lambda s: f"{s.run.latency.p50:.2f}, {s.run.latency.p99:.2f}"),
        *(
            (f"{name}, at the end: {HELD[kind]}", lambda s, name=name, kind=kind: _held(s, name, kind))
            for name, kind in _brokers(seen)
        ),
    ]
    return [head, *([label, *(number(s) for s in seen)] for label, number in numbers)]


def _brokers(seen: list[Seen]) -> list[tuple[str, str]]:
    """Name and kind of the queues and logs, each once."""
    nodes = [s.tables.nodes[i] for s in seen for i in s.tables.of_kind("queue", "log")]
    return list(dict.fromkeys((node.name, node.kind) for node in nodes))


def _held(s: Seen, name: str, kind: str) -> str:
    """What a broker holds when the run ends."""
    node = next((i for i, n in enumerate(s.tables.nodes) if n.name == name), None)
    if node is None:
        return "-"
    gauges = (QUEUE, LEASED, DEAD) if kind == "queue" else (QUEUE,)
    return ", ".join(f"{s.tables.at(node, g, np.array([s.tables.until]))[0]:.0f}" for g in gauges)


def _title(name: str, seen: list[Seen], values: dict[str, Any]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in values.items())
    return f"{name}: {seen[0].run.until:g} simulated seconds" + (f", {settings}" if settings else "")


def table_text(name: str, seen: list[Seen], values: dict[str, Any]) -> str:
    """Title, table and moments as plain text."""
    table = rows(seen)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table[1:]
    ]
    if len(seen) > 1:
        lines.insert(0, "  ".join(cell.ljust(w) for cell, w in zip(table[0], widths, strict=True)).rstrip())
    found = [f"{m.time:7.1f} s  {m.what}" + (f" ({m.why})" if m.why else "") for m in seen[0].moments]
    return "\n".join([_title(name, seen, values), "", *lines, "", *found]).rstrip()


def table_html(name: str, seen: list[Seen], values: dict[str, Any]) -> str:
    """Caption, table and moments as HTML."""
    head, *body = rows(seen)
    top = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr><th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(c)}</td>" for c in row[1:])
        + "</tr>"
        for row in body
    )
    found = "".join(
        f"<li>{m.time:.1f} s: {escape(m.what)}{escape(f' ({m.why})') if m.why else ''}</li>"
        for m in seen[0].moments
    )
    caption = f"<figcaption>{escape(_title(name, seen, values))}</figcaption>"
    return f"{caption}<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table><ol>{found}</ol>"


def picture(seen: list[Seen]) -> bytes:
    """A PNG: users, queues and response time over the same axis, with the moments. Drawn only for display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.6), dpi=90, layout="constrained")
    users, queues, slow = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    for i, s in enumerate(seen):
        m, dash, label = s.measures, DASHES[i], f", {s.label}" if s.label else ""
        if i == 0:
            users.plot(m.time, m.offered, color=GREY, linestyle=":", label="offered")
        users.plot(m.time, m.goodput, color=(GREEN, BLUE)[i], linestyle=dash, label="goodput" + label)
        longest = sorted(m.queue, key=lambda node: -m.queue[node].max())[:MOST]
        for k, node in enumerate(sorted(node for node in longest if m.queue[node].max() > 0)):
            fine = [j * m.window / FINE for j in range(len(m.queue[node]))]
            which = s.tables.nodes[node]
            name = ("lag of " if which.kind == "log" else "") + which.name + label
            style = dash if len(seen) > 1 else DASHES[k]
            queues.plot(fine, m.queue[node], color=LINES[k], linestyle=style, label=name)
        slow.plot(m.time, m.p99, color=(VERMILLION, BLUE)[i], linestyle=dash, label="p99" + label)
    for axes, label in ((users, "requests/s"), (queues, "waiting"), (slow, "seconds")):
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        for k, moment in enumerate(seen[0].moments, 1):
            axes.axvline(moment.time, color=GREY, linewidth=0.6, linestyle=(0, (2, 3)))
            if axes is users:
                axes.annotate(
                    str(k), (moment.time, 1), xycoords=("data", "axes fraction"), fontsize=8,
                    xytext=(2, -8 - 9 * ((k - 1) % 2)), textcoords="offset points",
                )  # fmt: skip
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    slow.set_xlabel("simulated seconds")
    slow.set_xlim(0, seen[0].run.until)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()

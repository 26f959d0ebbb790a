"""A retry topic: what a reader of a log cannot handle now goes aside, and does not hold up its partition.

The price is its place in the order. And while it is on the way, nobody has it: until the other queue has
confirmed it, no offset after it may be committed, or a crash would lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .actions import Action, Answer, Event, Write, commit_offset, put, step, timer, write
from .arguments import number
from .consumers import Handle, commit_all


def reader(handle: Handle, retries: str, *, again: float = 1.0) -> Callable[[Any, Event], Answer]:
    """A STEP for a log: it commits the effects of a batch, and then how far it is.

    What `handle` (see consumers.py) cannot do, or calls invalid, is sent to the queue `retries`, each `again`
    seconds until that one confirms it. There a `consumer` tries again, and gives up in the end.
    """
    number("again", again, above=0)

    def aside(tag: str, message: Any) -> Iterator[Action]:
        yield put(retries, message, confirm=tag)
        yield timer(again, {"kind": "send aside again", "tag": tag})

    def read(state: Any, event: Event) -> Answer:
        unsafe, read_to = state.get("unsafe", {}), state.get("read to", {})
        kind, actions = event["kind"], []
        if kind == "records":
            partition = event["partition"]
            writes, failed = _handle_all(handle, state["stored"], event["records"])
            tags = {f"{partition}/{record['offset']}": record["body"] for record in failed}
            unsafe, read_to = unsafe | tags, read_to | {partition: commit_offset(event)}
            actions = [commit_all(writes), *(action for tag in tags for action in aside(tag, tags[tag]))]
        elif kind == "send aside again" and event["tag"] in unsafe:
            return step(state, *aside(event["tag"], unsafe[event["tag"]]))
        elif kind == "confirmed" and event["tag"] in unsafe:
            partition = int(event["tag"].split("/")[0])
            unsafe = {tag: message for tag, message in unsafe.items() if tag != event["tag"]}
        else:
            return step(state)
        if not any(tag.startswith(f"{partition}/") for tag in unsafe):
            actions.append(dict(read_to[partition]))
        return step({**state, "unsafe": unsafe, "read to": read_to}, *actions)

    return read


def _handle_all(
    handle: Handle, stored: dict[str, Any], records: list[Event]
) -> tuple[list[Write], list[Event]]:
    """The writes of a batch, and the records that failed. Each sees what those before it will have done."""
    if len(records) > 1:
        stored = {table: rows.copy() for table, rows in stored.items()}
    writes: list[Write] = []
    failed = []
    for record in records:
        more = handle(stored, record["body"])
        if more is None or more == "invalid":
            failed.append(record)
            continue
        more = list(more)
        writes += more
        if len(records) > 1:
            write(stored, more)
    return writes, failed

"""A kernel: ipykernel's shell in a forked process, which runs cells and answers calls over a socket.

It is the shell of every notebook, without the message queues round it: what a cell displays is recorded by
`Recorder` and sent back as nbformat's outputs when the cell has ended.
"""

import json
import random
import select
import signal
import socket
import sys
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.session import Session
from traitlets.config import Config

from coursework.marking import answers, examiner
from coursework.marking.wire import Gone, Reader, send

MOST = 4 << 20
"""Bytes of output that are kept of a whole notebook."""


FIELDS = {
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}
"""The outputs of a cell, beside those of its streams: what nbformat keeps of ipykernel's messages."""


def error(name: str, why: str) -> dict[str, Any]:
    """An output that says why there is no other."""
    return {"output_type": "error", "ename": name, "evalue": why, "traceback": [why]}


class Recorder(Session):
    """Takes ipykernel's messages in place of a socket, and keeps them as outputs of the running cell."""

    outputs: list[dict[str, Any]]
    room = MOST

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, *_: Any, **named: Any) -> Any:
        """Record one message."""
        message = msg_or_type if isinstance(msg_or_type, dict) else self.msg(msg_or_type, content)
        kind, content = message["header"]["msg_type"], message["content"]
        shown = (content.get("transient") or {}).get("display_id")
        if kind == "clear_output":
            self.outputs.clear()
        elif kind == "update_display_data":
            for output in self.outputs:
                if shown and output.get("display_id") == shown:
                    output.update(data=content["data"], metadata=content["metadata"])
        elif kind in FIELDS:
            output = {name: content[name] for name in FIELDS[kind]}
            self.keep({"output_type": kind, **output, **({"display_id": shown} if shown else {})})
        return message

    def keep(self, output: dict[str, Any]) -> None:
        """Append an output; what one stream writes in a row is one output."""
        if self.room <= 0:
            return
        self.room -= len(json.dumps(output))
        if self.room <= 0:
            note = f"The notebook's output is cut here: more than {MOST >> 20} MB of it."
            output = error("TooMuchOutput", note)
        last = self.outputs[-1] if self.outputs else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
        else:
            self.outputs.append(output)

    def taken(self) -> list[dict[str, Any]]:
        """The outputs so far, and an empty list for the next cell."""
        outputs, self.outputs = self.outputs, []
        for output in outputs:
            output.pop("display_id", None)
        return outputs


class Stream:
    """Standard output or error, as text that is recorded."""

    encoding, errors, closed, mode = "utf-8", "replace", False, "w"

    def __init__(self, name: str, recorder: Recorder):
        self.name, self._recorder = name, recorder

    def write(self, text: str) -> int:
        """Record `text`."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            self._recorder.keep({"output_type": "stream", "name": self.name, "text": text})
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Record each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        """Never."""
        return False

    writable = staticmethod(lambda: True)
    readable = seekable = staticmethod(lambda: False)

    def fileno(self) -> int:
        """There is none."""
        raise OSError("this stream has no file")


def new_shell() -> InteractiveShell:
    """ipykernel's shell, made before the fork."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = ZMQInteractiveShell.instance(config=config)
    recorder = Recorder()
    recorder.outputs = []
    for part in (shell.displayhook, shell.display_pub):
        part.session = recorder
    shell.displayhook.topic = b"execute_result"
    sys.stdout, sys.stderr = Stream("stdout", recorder), Stream("stderr", recorder)
    return shell


def run(shell: Any, source: str) -> dict[str, Any]:
    """Run one cell; what it displayed, and whether it ended well."""
    recorder = shell.displayhook.session
    result = shell.run_cell(source, store_history=True)
    outputs = recorder.taken()
    if not result.success and not any(output["output_type"] == "error" for output in outputs):
        outputs.append(error(type(result.error_before_exec or result.error_in_exec).__name__, ""))
    return {"outputs": outputs, "count": shell.execution_count - 1}


def serve(shell: Any, sockets: list[socket.socket], role: str) -> None:
    """Do what the marker and the examiner ask, until one of them has gone."""
    random.seed()
    sys.modules["numpy"].random.seed()
    readers = {each: Reader(each) for each in sockets}
    marker, *other = sockets
    examining = examiner.Examiner(shell.user_ns, readers[other[0]]) if role == "examiner" and other else None
    listened = [marker] if examining else sockets
    send(marker, {"ready": True})
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt that comes late is nobody's
        (ready, *_), _, _ = select.select(listened, [], [])
        try:
            request = readers[ready].receive()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if ready is not marker:
                reply = answers.answer(shell.user_ns, request)
            elif "files" in request:
                reply = answers.unpack(request["files"])
            else:
                if examining:
                    examining.borrow(shell.transform_cell(request["run"]))
                reply = run(shell, request["run"])
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            send(ready, reply)
        except Gone:
            return
        except KeyboardInterrupt:
            send(ready, {"stopped": "it was interrupted", "outputs": shell.displayhook.session.taken()})

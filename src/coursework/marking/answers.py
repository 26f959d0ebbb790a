"""In the learner's kernel: what names there are, and calls of the learner's functions, as plain data.

Whatever a learner's code does to this module, it changes its own answers only.
"""

import base64
import contextlib
import json
import time
from pathlib import Path
from typing import Any

from coursework import checks
from coursework.plain import NotPlain, plain


def unpack(files: dict[str, str]) -> dict[str, Any]:
    """Write the files that were handed in beside the notebook into the working directory."""
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    return {}


def answer(namespace: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Answer one question of the examiner's."""
    if "names" in request:
        return {"names": {name: _known(namespace[name]) for name in request["names"] if name in namespace}}
    printed, began = checks._Bounded(), time.process_time()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        reply = _call(namespace, request)
    return reply | {"printed": printed.getvalue(), "seconds": time.process_time() - began}


def _known(value: Any) -> dict[str, Any]:
    if callable(value):
        return {"call": True}
    with contextlib.suppress(Exception):
        return {"value": json.loads(json.dumps(plain(value)))}
    return {}


def _call(namespace: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    try:
        with checks._processor_time(request["left"] or 1e6):
            value = namespace[request["call"]](*request["args"], **request["named"])
    except checks._TooLong:
        return {"too_long": True}
    except KeyboardInterrupt:
        return {"interrupted": True}
    except BaseException as error:
        return {"error": _told(error, namespace)}
    try:
        return {"value": json.loads(json.dumps(plain(value)))}
    except NotPlain as error:
        return {"not_plain": str(error)}


def _told(error: BaseException, namespace: dict[str, Any]) -> list[str]:
    """An exception as its type, whose type that is, its message, and where it came from."""
    try:
        message = str(error)[:2000]
    except Exception:  # a learner's exception may fail to show itself
        message = ""
    given, line = checks.learners(error, namespace)
    return [type(error).__name__, type(error).__module__, message, given, line]

"""Real servers on 127.0.0.1, for the fourth part of each unit: the same pattern, on the real thing.

Each server is a process of its own. It is ready when `start` returns and gone when the notebook's kernel is.
"""

from .process import Server, ServerError, executable, free_port, listening, missing, reap, require

__all__ = [
    "Server",
    "ServerError",
    "executable",
    "free_port",
    "listening",
    "missing",
    "reap",
    "require",
]

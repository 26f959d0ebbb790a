"""Protocol Buffers messages from the text of a contract, with the real compiler and no generated files.

`protoc` (it comes with grpcio-tools) checks the text and describes it; the classes are made from that
description. Each text has a pool of its own, so two versions of one contract can live side by side.
Source: protobuf.dev, "Self-describing Messages", and the Python API's message_factory.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace


def messages(text: str) -> SimpleNamespace:
    """The message classes of a .proto text, by name: `messages(text).Order(order_id="order-1")`.

    Raises ValueError, with the compiler's own words, when the text is wrong.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, described = folder / "contract.proto", folder / "described"
        source.write_text(text, encoding="utf-8")
        with _stderr_to(folder / "said"):
            failed = protoc.main(["protoc", f"-I{folder}", f"--descriptor_set_out={described}", str(source)])
        if failed:
            said = (folder / "said").read_text(encoding="utf-8").strip()
            raise ValueError(said.replace(f"{folder}{os.sep}", ""))
        (file,) = descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    types = pool.FindFileByName(file.name).message_types_by_name
    return SimpleNamespace(**{name: message_factory.GetMessageClass(kind) for name, kind in types.items()})


@functools.cache
def shop() -> SimpleNamespace:
    """The messages of the shop's own contract, shop.proto: Order, Line, OrderRequest, PlaceRequest, …"""
    return messages(Path(__file__).with_name("shop.proto").read_text(encoding="utf-8"))


@contextlib.contextmanager
def _stderr_to(path: Path):  # type: ignore[no-untyped-def]
    """protoc is C++ and writes past sys.stderr: turn the file descriptor round for as long as it runs."""
    kept = os.dup(2)
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

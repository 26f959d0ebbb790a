"""The shop's inventory as a real gRPC server that fails on purpose; `grpc_shop.py` starts it and talks to it.

It runs as a script and imports nothing of the course. Messages are JSON, so no code has to be generated.
Methods of the service "shop.Inventory": Reserve (the business), Behave, Report and Reset (the controls).

It draws each failure from (seed, order, number of the attempt), not from one stream: the same orders meet the
same failures, however they are mixed.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

import grpc
import grpc.aio

SERVICE = "shop.Inventory"
NORMAL: dict[str, Any] = {
    "seed": 1,
    "share": 0.0,  # share of the attempts that fail
    "first": 0,  # the first so many attempts of each order fail
    "outage": 0.0,  # seconds from now during which every attempt fails; inf: until told otherwise
    "status": "UNAVAILABLE",  # the status of a failure
    "after_effect": False,  # the failure comes after the work: the reply is lost, not the request
    "pushback_ms": None,  # sent with a failure: retry after so many milliseconds; below 0: do not retry
    "work": 0.0,  # seconds of work in each attempt
}


def pack(message: Any) -> bytes:
    """A message on the wire."""
    return json.dumps(message).encode()


def unpack(data: bytes) -> Any:
    """A message off the wire."""
    return json.loads(data)


def fails(seed: int, order: str, attempt: int, share: float) -> bool:
    """Whether attempt number 1, 2, … of an order fails, when that share of the attempts does."""
    return random.Random(f"{seed}/{order}/{attempt}").random() < share


class Inventory:
    """Counts and answers. One event loop runs it, so nothing happens between two `await`s."""

    def __init__(self, behaviour: dict[str, Any], onward: Any = None) -> None:
        self.onward = onward  # for a service in the middle: calls the next one, returns its reply
        self.reset()
        self.behave(behaviour)

    def reset(self) -> None:
        """Forget orders, keys and counts."""
        self.attempts: dict[str, int] = {}
        self.effects: dict[str, int] = {}
        self.effects_of_keys: dict[str, int] = {}
        self.answers: dict[str, Any] = {}  # the idempotency store: key -> answer
        self.rows: list[list[Any]] = []  # seconds, order, attempt, grpc-previous-rpc-attempts, status
        self.began = time.monotonic()

    def behave(self, behaviour: dict[str, Any]) -> None:
        """Behave like this from now on; what is not named goes back to normal."""
        self.behaviour = {**NORMAL, **behaviour}
        self.outage_ends = time.monotonic() + self.behaviour["outage"]

    def failure(self, order: str, attempt: int) -> bool:
        b = self.behaviour
        return (
            time.monotonic() < self.outage_ends
            or attempt <= b["first"]
            or fails(b["seed"], order, attempt, b["share"])
        )

    def effect(self, order: str, key: str | None, quantity: int) -> Any:
        """Reserve; a key that was seen before gets the first answer again, and no second effect."""
        if key is not None and key in self.answers:
            return self.answers[key]
        self.effects[order] = self.effects.get(order, 0) + 1
        answer = {"order": order, "reserved": quantity, "effect": self.effects[order]}
        if key is not None:
            self.answers[key] = answer
            self.effects_of_keys[key] = self.effects_of_keys.get(key, 0) + 1
        return answer

    async def reserve(self, request: Any, context: Any) -> Any:
        """One attempt: the request is {"order": str, "quantity": int, "key": str or None}."""
        order, quantity, key = request["order"], request.get("quantity", 1), request.get("key")
        attempt = self.attempts[order] = self.attempts.get(order, 0) + 1
        metadata = dict(context.invocation_metadata() or ())
        row = [time.monotonic() - self.began, order, attempt, 0, "OK"]
        row[3] = int(metadata.get("grpc-previous-rpc-attempts", 0))
        self.rows.append(row)
        if quantity < 1:
            row[4] = "INVALID_ARGUMENT"
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"quantity must be 1 or more, not {quantity}"
            )
        if self.behaviour["work"]:
            await asyncio.sleep(self.behaviour["work"])
        failing = self.failure(order, attempt)
        if failing and not self.behaviour["after_effect"]:
            await self.fail(context, row, f"attempt {attempt} of {order} failed on purpose")
        if self.onward:
            try:
                answer = await self.onward(request)
            except grpc.aio.AioRpcError as error:
                row[4] = error.code().name
                await context.abort(error.code(), error.details() or "")
        else:
            answer = self.effect(order, key, quantity)
        if failing:
            await self.fail(context, row, f"the reply to attempt {attempt} of {order} was lost on purpose")
        return answer

    async def fail(self, context: Any, row: list[Any], words: str) -> None:
        """End this attempt with the status that is set, and with the pushback, if one is set."""
        row[4] = self.behaviour["status"]
        trailing: tuple[tuple[str, str], ...] = ()
        if self.behaviour["pushback_ms"] is not None:
            trailing = (("grpc-retry-pushback-ms", str(self.behaviour["pushback_ms"])),)
        await context.abort(grpc.StatusCode[row[4]], words, trailing)

    def handlers(self) -> Any:
        """The service's methods, as gRPC wants them."""

        async def behave(request: Any, context: Any) -> Any:
            self.behave(request)
            return self.behaviour

        async def report(request: Any, context: Any) -> Any:
            return {"rows": self.rows, "effects": self.effects, "effects_of_keys": self.effects_of_keys}

        async def reset(request: Any, context: Any) -> Any:
            self.reset()
            return {}

        methods = {"Reserve": self.reserve, "Behave": behave, "Report": report, "Reset": reset}
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {name: grpc.unary_unary_rpc_method_handler(m, unpack, pack) for name, m in methods.items()},
        )


async def main(port: int, behaviour: dict[str, Any], calls: str, service_config: str) -> None:
    """Serve on 127.0.0.1:port; with `calls`, as a service in the middle that calls that address."""
    onward = None
    if calls:
        options = [("grpc.service_config", service_config), ("grpc.enable_http_proxy", 0)]
        channel = grpc.aio.insecure_channel(calls, options=options)
        onward = channel.unary_unary(f"/{SERVICE}/Reserve", pack, unpack)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])  # two servers must not share a port
    server.add_generic_rpc_handlers((Inventory(behaviour, onward).handlers(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]))

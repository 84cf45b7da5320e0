"""What does it cost to say of which type an event's data is, and what does chanx's take?

100 clients send a note of five fields each, and send it again as soon as they have it back. The
server reads it into a model, and writes that; where no type is said, it is a dict. Beside the rate,
how long it takes to make a gateway class with 100 such handlers.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from . import peers
from .cli import main
from .echo import ask_for
from .harness import sessions
from .results import Result

PEERS = (
    peers.TYPED_ON_DAPHNE,
    peers.UNTYPED_ON_DAPHNE,
    peers.CHANX_ON_DAPHNE,
    peers.TYPED_ON_UVICORN,
    peers.UNTYPED_ON_UVICORN,
    peers.CHANX_ON_UVICORN,
)
NOTE: dict[str, Any] = {
    "room": "tea",
    "text": "There is still some left, if anybody wants it.",
    "number": 7,
    "tags": ["tea", "kitchen"],
    "urgent": False,
}
HANDLERS = 100


def make_class() -> float:
    """Make a gateway of so many handlers, each with a model of its own; return the seconds."""
    from pydantic import create_model

    from arcly_channels import GatewayConsumer, subscribe

    def handler(model: Any) -> Any:
        async def handle(self: Any, data: Any) -> None: ...

        handle.__annotations__ = {"data": model, "return": model}
        return handle

    fields: Any = {name: (type(value), ...) for name, value in NOTE.items()}
    models = [create_model(f"Note{number}", **fields) for number in range(HANDLERS)]
    methods = {
        f"handle_{number}": subscribe(f"event.{number}")(handler(model))
        for number, model in enumerate(models)
    }
    started = perf_counter()
    type("Many", (GatewayConsumer,), methods)
    return perf_counter() - started


def run(quick: bool) -> Result:
    members, repeats, seconds = (5, 1, 0.1) if quick else (100, 5, 2)
    result = Result("typed", __doc__ or "", members=members)
    rate = result.measure("notes answered", "events/s")
    cost = result.measure("server CPU per note", "µs", "lower")
    made = result.measure(f"a class of {HANDLERS} typed handlers", "s", "lower")
    with sessions(PEERS, result, members) as opened:
        for each in opened:
            each.clients.call(ask_for, seconds / 4, NOTE)
        for _ in range(repeats):
            for each in opened:
                before = each.server.cpu_seconds()
                found = each.clients.call(ask_for, seconds, NOTE)
                used = each.server.cpu_seconds() - before
                rate.add(each.peer.name, found)
                cost.add(each.peer.name, used / (found * seconds) * 1e6)
            made.add("arcly_channels", make_class())
    for typed, untyped, chanx in (PEERS[:3], PEERS[3:]):
        result.compare(rate, typed.name, untyped.name, bar=0.85)
        if not chanx.missing():
            result.compare(rate, typed.name, chanx.name, bar=3)
    result.compare(made, "arcly_channels", None, bar=0.3)
    return result


if __name__ == "__main__":
    main(run)

"""What log lines about connections say in fields of their own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from arcly_channels import CloseCode, GatewayConsumer, Refused, subscribe
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import About
from arcly_channels.layers import LocalChannelLayer
from tests.gateways import Socket, connected

SECRET = "what nobody should read in a log"
SCOPE: dict[str, Any] = {"tenant": "acme", "claims": {"sub": "ada", "note": SECRET}}


class Chat(GatewayConsumer):
    @subscribe("fail")
    async def fail(self, data: Any) -> None:
        raise RuntimeError("failed")


class Closed(GatewayConsumer):
    async def authorize(self) -> None:
        raise Refused(CloseCode.FORBIDDEN, "not today")


class Broken:
    """A transport that fails."""

    def flush(self, outbox: Outbox) -> None:
        raise RuntimeError("failed")

    def ask(self, outbox: Outbox) -> bool:
        return False

    def held_up(self) -> float:
        return 0.0

    def unread(self) -> None:
        return None

    acknowledged = unread
    silence = held_up


async def evict(layer: LocalChannelLayer) -> dict[str, object]:
    connection = layer.registry.add(Outbox(), about=About("ada", "acme", "/ws/", "192.0.2.1"))
    layer.registry.evict(connection.id)
    return {"connection": connection.id, "tenant": "acme", "code": 4008, "reason": "is too slow"}


async def refuse(layer: LocalChannelLayer) -> dict[str, object]:
    await Socket(Closed.as_asgi(), **SCOPE).expect_refusal()
    return {"connection": None, "tenant": "acme", "code": 4403, "reason": "not today"}


async def fail(layer: LocalChannelLayer) -> dict[str, object]:
    async with connected(Chat.as_asgi(), **SCOPE) as socket:
        await socket.emit("fail", SECRET)
        await socket.receive_json_from()
        (connection,) = layer.registry
    return {"connection": connection.id, "tenant": "acme", "code": None, "reason": None}


async def leave(layer: LocalChannelLayer) -> dict[str, object]:
    async with connected(Chat.as_asgi(), **SCOPE) as socket:
        (connection,) = layer.registry
        await socket.close(1001)
    return {"connection": connection.id, "tenant": "acme", "code": 1001, "reason": "client"}


async def break_transport(layer: LocalChannelLayer) -> dict[str, object]:
    id = layer.registry.register(Outbox(transport=Broken()))
    layer.registry.send_text(id, SECRET)
    return {"connection": id, "tenant": None, "code": 1011, "reason": None}


@pytest.mark.parametrize("happen", [evict, refuse, fail, leave, break_transport])
async def test_line_says_which_connection_and_why(
    layer: LocalChannelLayer,
    caplog: pytest.LogCaptureFixture,
    happen: Callable[[LocalChannelLayer], Awaitable[dict[str, object]]],
) -> None:
    caplog.set_level(logging.INFO, "arcly_channels")
    expected = await happen(layer)
    record = next(each for each in caplog.records if each.name.startswith("arcly_channels"))
    assert {key: vars(record)[key] for key in expected} == expected
    assert type(vars(record)["code"]) in (int, type(None))
    assert SECRET not in repr(vars(record))

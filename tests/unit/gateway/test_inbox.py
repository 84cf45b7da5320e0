"""What a Channels message may make a gateway do, when a client has made it up."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels import subscribe
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import Clock
from tests.gateways import Recorded, Socket, connected


class Shop(Recorded):
    """A gateway with guarded events, and with a handler for a Channels message."""

    done: list[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.done = []

    async def on_connect(self) -> None:
        await super().on_connect()
        self.note = "not a method"

    @subscribe("pay", perms="orders:pay")
    async def pay(self, data: Any) -> None:
        self.done.append("pay")

    @subscribe("count")
    async def count(self, data: Any) -> None:
        self.done.append("count")

    async def shop_opened(self, message: dict[str, Any]) -> None:
        self.done.append("shop.opened")

    async def authorize(self) -> None:
        self.done.append("authorize")

    async def _private(self, message: dict[str, Any]) -> None:
        self.done.append("private")

    till = dict
    """Something that can be called, and is no method."""

    @property
    def total(self) -> int:
        self.done.append("total")
        raise LookupError("total")

    def price_of(self, thing: object) -> int:
        return 1


@pytest.fixture
async def shop(layer: LocalChannelLayer) -> type[Shop]:
    class ThisShop(Shop):
        pass

    return ThisShop


MADE_UP = [
    "pay", "count", "websocket.receive", "websocket.disconnect", "websocket.connect",
    "websocket_receive", "gateway.evicted", "auth.refresh", "authorize", "on.connect",
    "on.disconnect", "on.refresh", "receive", "disconnect", "close", "accept", "send", "base.send",
    "dispatch", "broadcast", "join.room", "client", "scope", "_private", ".private", "__init__",
    "note", "till", "total", "price.of", "gateway_event", "nothing", "", ".", "as.asgi", "claims",
    "x" * 10_000, None, 7, ["pay"],
]  # fmt: skip


@pytest.mark.parametrize("kind", MADE_UP, ids=lambda kind: repr(kind)[:20])
async def test_message_of_a_made_up_type_does_nothing(
    shop: type[Shop], layer: LocalChannelLayer, kind: Any
) -> None:
    async with connected(shop.as_asgi()) as socket:
        shop.done.clear()
        made_up = {"type": kind, "code": 1000, "text": '{"event":"count"}'}
        await layer.send(shop.instances[0].channel_name, made_up)
        await layer.send(shop.instances[0].channel_name, {"type": "shop.opened"})
        await socket.expect_nothing()
        assert shop.done == ["shop.opened"]
        assert shop.disconnects == []
        assert layer.counts["handler_errors"] == 1


async def test_message_without_a_type_does_nothing(
    shop: type[Shop], layer: LocalChannelLayer
) -> None:
    async with connected(shop.as_asgi()) as socket:
        await layer.send(shop.instances[0].channel_name, {"event": "pay"})
        await socket.expect_nothing()


async def test_made_up_eviction_in_a_room_throws_nobody_out(
    shop: type[Shop], layer: LocalChannelLayer
) -> None:
    async with connected(shop.as_asgi()) as socket:
        await shop.instances[0].join_room("room")
        await layer.group_send("room", {"type": "gateway.evicted"})
        await socket.expect_nothing()


async def test_flood_of_unknown_messages_is_one_line_in_the_log(
    shop: type[Shop],
    layer: LocalChannelLayer,
    caplog: pytest.LogCaptureFixture,
    gateway_clock: Clock,
) -> None:
    async with connected(shop.as_asgi()) as socket:
        for number in range(50):
            await layer.send(shop.instances[0].channel_name, {"type": f"unknown.{number}"})
        await socket.expect_nothing()
        assert len(caplog.records) == 1
        gateway_clock.jump(1)
        await layer.send(shop.instances[0].channel_name, {"type": "one.more"})
        await socket.expect_nothing()
    assert "(49 more like it were not logged)" in caplog.records[1].getMessage()


async def test_event_for_a_gateway_may_be_sent_as_a_message(
    shop: type[Shop], layer: LocalChannelLayer
) -> None:
    async with connected(shop.as_asgi()) as socket:
        message = {"type": "gateway.event", "event": "news", "data": 1}
        await layer.send(shop.instances[0].channel_name, message)
        await socket.expect("news", 1)


async def test_a_frame_still_runs_its_handler(shop: type[Shop]) -> None:
    socket: Socket
    async with connected(shop.as_asgi()) as socket:
        await socket.emit("count")
        await socket.expect_nothing()
        assert "count" in shop.done

"""What a gateway class may not say: it fails when the class is made, and says what to do."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.layers import LocalChannelLayer
from tests.gateways import connected


def declare(bases: tuple[type, ...] = (GatewayConsumer,), /, **attributes: Any) -> type:
    return type("Gateway", bases, {"__module__": __name__, **attributes})


async def hook(self: Any) -> None: ...


async def hook_with_code(self: Any, code: int) -> None: ...


def plain_hook(self: Any, code: int = 0) -> None: ...


# Mixins that would be ignored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("require_claims", True),
        ("require_tenant", True),
        ("required_roles", "admin"),
        ("required_perms", "orders:read"),
        ("room_namespace", "staff"),
        ("authorize", hook),
        ("on_connect", hook),
        ("on_refresh", hook),
        ("on_disconnect", hook_with_code),
    ],
)
def test_mixin_after_the_gateway_is_refused(name: str, value: Any) -> None:
    mixin = type("Mixin", (), {name: value})
    declare((mixin, GatewayConsumer))
    declare((GatewayConsumer, mixin), **{name: value})
    with pytest.raises(TypeError, match=rf"Mixin\.{name} would be ignored.* put Mixin first"):
        declare((GatewayConsumer, mixin))


def test_mixin_after_a_gateway_of_the_project_is_its_own_affair() -> None:
    mixin = type("Mixin", (), {"required_roles": "admin"})
    base = declare(required_roles="clerk")
    assert declare((base, mixin)).required_roles == "clerk"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("required_role", "required_roles"),
        ("require_perms", "required_perms"),
        ("requires_claims", "require_claims"),
        ("room_name_space", "room_namespace"),
    ],
)
def test_misspelt_attribute_is_refused(name: str, meant: str) -> None:
    declare(**{name: hook})  # A method is the project's affair.
    with pytest.raises(TypeError, match=f"nobody reads Gateway.{name}: did you mean {meant}\\?"):
        declare(**{name: "admin"})


@pytest.mark.parametrize(
    "bases", [(GatewayConsumer, WebsocketConsumer), (WebsocketConsumer, GatewayConsumer)]
)
def test_synchronous_consumer_is_refused(bases: tuple[type, ...]) -> None:
    with pytest.raises(TypeError, match="GatewayConsumer is async"):
        declare(bases)


# Hooks


@pytest.mark.parametrize(
    "name", ["authorize", "may_join", "on_connect", "on_refresh", "on_disconnect"]
)
def test_hook_that_is_not_async_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Gateway\.{name} must be an async def, not"):
        declare(**{name: plain_hook})


@pytest.mark.parametrize(
    ("name", "wrong", "wanted"),
    [
        ("authorize", hook_with_code, r"\(self\)"),
        ("may_join", hook, r"\(self, room\)"),
        ("on_connect", hook_with_code, r"\(self\)"),
        ("on_refresh", hook_with_code, r"\(self\)"),
        ("on_disconnect", hook, r"\(self, code\)"),
    ],
)
def test_hook_with_other_parameters_is_refused(name: str, wrong: Any, wanted: str) -> None:
    with pytest.raises(TypeError, match=rf"Gateway\.{name} must take {wanted}"):
        declare(**{name: wrong})


def test_hook_may_take_more_with_defaults() -> None:
    async def on_connect(self: Any, more: int = 0) -> None: ...

    declare(on_connect=on_connect)


def test_hook_may_be_decorated() -> None:
    def traced(function: Any) -> Any:
        @wraps(function)
        def call(*args: Any) -> Any:
            return function(*args)

        return call

    declare(on_connect=traced(hook))


def test_gateway_without_the_app_says_what_is_missing(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway: Any = declare()
    gateway.as_asgi()
    assert not caplog.records
    settings.INSTALLED_APPS = ["channels"]
    gateway.as_asgi()
    assert 'Put "arcly_channels" into INSTALLED_APPS' in caplog.text


# Handlers


NAMES_OF_THE_BASE = [
    "send", "close", "receive", "accept", "emit", "broadcast", "join_room", "client", "claims",
    "dispatch", "scope", "channel_name", "groups", "on_connect", "websocket_receive",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES_OF_THE_BASE)
def test_handler_named_as_a_part_of_the_base_is_refused(name: str) -> None:
    async def handle(self: Any, data: Any = None) -> None: ...

    with pytest.raises(TypeError, match=rf"handler of 'event' cannot be named {name}.*handle_"):
        declare(**{name: subscribe("event")(handle)})


@pytest.mark.parametrize("name", ["_open", "_report"])
def test_private_part_of_the_base_is_not_to_be_replaced(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Gateway\.{name} would replace a private part"):
        declare(**{name: hook})


async def test_own_handler_of_the_base_may_be_overridden(layer: LocalChannelLayer) -> None:
    class Deaf(GatewayConsumer):
        async def auth_refresh(self, data: Any) -> None:
            await self.emit("not today")

    async with connected(Deaf.as_asgi()) as socket:
        await socket.emit("auth.refresh")
        await socket.expect("not today", None)


# Two that take the frames


class Json(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"echo": content})


class Raw(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data=text_data)


async def handle(self: Any, data: Any) -> None: ...


@pytest.mark.parametrize("consumer", [Json, Raw])
def test_consumer_whose_frames_would_never_come_is_refused(consumer: type) -> None:
    with pytest.raises(TypeError, match=rf"{consumer.__name__} takes frames.* never run"):
        declare((GatewayConsumer, consumer))


def test_receive_json_of_a_gateway_is_refused() -> None:
    with pytest.raises(TypeError, match="Gateway takes frames with a method that would never run"):
        declare((GatewayConsumer, AsyncJsonWebsocketConsumer), receive_json=handle)


def test_handler_whose_events_would_never_come_is_refused() -> None:
    with pytest.raises(TypeError, match=r"handler of 'a' would never run, because AsyncJson"):
        declare((AsyncJsonWebsocketConsumer, GatewayConsumer), on_a=subscribe("a")(handle))


def test_namespace_that_is_no_name_is_refused() -> None:
    for wrong in ("", 7):
        with pytest.raises(TypeError, match="a namespace of rooms is a non-empty string"):
            declare(room_namespace=wrong)


# After a consumer of Channels: its frames, our outbox and life


class After(Json, GatewayConsumer):
    async def on_connect(self) -> None:
        await self.join_room("room")
        await self.send_json({"hello": self.id})


async def test_after_a_consumer_the_frames_are_its_own(layer: LocalChannelLayer) -> None:
    async with connected(After.as_asgi()) as socket:
        assert "hello" in await socket.receive_json_from()
        await socket.emit("anything", 1)
        assert await socket.receive_json_from() == {"echo": {"event": "anything", "data": 1}}
        await layer.group_send("room", {"type": "gateway.event", "event": "news"})
        await socket.expect("news", None)


async def test_after_a_consumer_its_client_is_behind_an_outbox(layer: LocalChannelLayer) -> None:
    async with connected(After.as_asgi()) as socket:
        await socket.receive_json_from()
        (id,) = layer.registry.room_members("room")
        layer.registry.evict(id)
        await socket.expect_close(4008)

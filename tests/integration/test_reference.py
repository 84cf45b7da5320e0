"""The reference: its examples do what they say."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.gateway.declaration import ATTRIBUTES, HOOKS
from arcly_channels.identity import IdentityMiddlewareStack, SameHostOriginValidator
from arcly_channels.identity.tokens import issue_token
from arcly_channels.layers import LocalChannelLayer, RedisChannelLayer
from tests.documents import DOCS, blocks, section
from tests.gateways import Socket, connected
from website.reference import TO_CALL, TO_READ

REFERENCE = DOCS / "reference"
SECRET = "a secret of the tests, of 32 characters"


def example(page: str, heading: str, number: int = 0, **names: Any) -> dict[str, Any]:
    """Run an example, and return the names that it defines."""
    names["__name__"] = "example"
    exec(blocks(section(REFERENCE / f"{page}.md", heading), "python")[number], names)
    return names


async def test_gateway_of_its_docstring_chats(layer: LocalChannelLayer) -> None:
    chat = example("gateway", "`GatewayConsumer`")["Chat"].as_asgi()
    async with connected(chat) as ada:
        async with connected(chat) as bob:
            (_, she), (welcome, he) = await ada.receive_event(), await bob.receive_event()
            assert welcome == "welcome"
            assert she["you"] != he["you"]
            for text, answer in ((7, "error"), ("Hello", "message.receive")):
                await ada.emit("message.send", text)
                assert (await ada.receive_event())[0] == answer
            assert await bob.receive_event() == ("message.receive", "Hello")
        assert await ada.receive_event() == ("left", he["you"])


def test_docstring_of_a_gateway_names_all_that_is_there_to_use() -> None:
    said = set(re.findall(r"`(\w+)`", GatewayConsumer.__doc__ or ""))
    assert {*HOOKS, *ATTRIBUTES, *TO_CALL, *TO_READ} <= said


async def test_handler_of_the_docstring_is_limited(layer: LocalChannelLayer) -> None:
    async def look_for(words: str) -> str:
        return words.upper()

    heading = next(
        line.strip("# \n")
        for line in (REFERENCE / "gateway.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("## `subscribe(")
    )
    search = example("gateway", heading, subscribe=subscribe, look_for=look_for)["search"]
    made: Any = type("Search", (GatewayConsumer,), {"search": search})
    gateway = made.as_asgi()
    for claims, answer in (({"sub": "ann", "role": "member"}, "found"), ({"sub": "bob"}, "error")):
        async with connected(gateway, claims=claims) as client:
            await client.emit("search", "tea")
            assert (await client.receive_event())[0] == answer


@pytest.mark.parametrize("layer", [LocalChannelLayer, RedisChannelLayer])
def test_layer_of_its_docstring_is_made(layer: type, settings: Any) -> None:
    names = example("layers", f"`{layer.__name__}`")
    settings.CHANNEL_LAYERS = names["CHANNEL_LAYERS"]
    assert type(get_channel_layer()) is layer


async def test_error_is_the_one_on_the_page(layer: LocalChannelLayer) -> None:
    (error,) = blocks(section(REFERENCE / "errors.md", "Error codes"), "json")
    async with connected(GatewayConsumer.as_asgi()) as client:
        await client.emit("message.sned", ref=7)
        assert await client.receive_json_from() == json.loads(error)


# Identity


class Told(GatewayConsumer):
    """Tells its client who that is."""

    async def on_connect(self) -> None:
        await self.emit(
            "you", [self.claims and self.claims["sub"], getattr(self.tenant, "id", None)]
        )


@pytest.fixture
def identity(settings: Any, monkeypatch: pytest.MonkeyPatch, layer: LocalChannelLayer) -> Any:
    """The settings of the page, and what its other blocks use."""
    monkeypatch.setenv("JWT_SECRET", SECRET)
    heading = "Identity: who is behind a connection"
    found = example("identity", heading, os=os, MIDDLEWARE=[])
    settings.ARCLY_CHANNELS, settings.ALLOWED_HOSTS = found["ARCLY_CHANNELS"], [".example.com"]
    return {
        "AllowedHostsOriginValidator": AllowedHostsOriginValidator,
        "IdentityMiddlewareStack": IdentityMiddlewareStack,
        "SameHostOriginValidator": SameHostOriginValidator,
        "URLRouter": URLRouter,
        "routes": [path("", Told.as_asgi())],
    }


def headers(*, origin: str = "acme", **claims: Any) -> list[tuple[bytes, bytes]]:
    """Return those of a page at `origin` that opens a socket at acme's, with a token."""
    return [
        (b"host", b"acme.example.com"),
        (b"origin", f"http://{origin}.example.com".encode()),
        (b"authorization", f"Bearer {issue_token(claims)}".encode()),
    ]


async def test_claims_and_tenant_are_those_of_the_request(identity: Any) -> None:
    stack = example("identity", "Identity: who is behind a connection", 1, **identity)["gateways"]
    async with connected(stack, headers=headers(sub="ann", tenant="acme")) as client:
        assert await client.receive_event() == ("you", ["ann", "acme"])
    stranger = Socket(stack, headers=headers(sub="bob", tenant="globex"))
    await stranger.expect_refusal()


async def test_page_of_another_subdomain_opens_no_socket(identity: Any) -> None:
    stack = example("identity", "Tenants", **identity)["gateways"]
    async with connected(stack, headers=headers(sub="ann")) as client:
        assert await client.receive_event() == ("you", ["ann", "acme"])
    foreign = Socket(stack, headers=headers(sub="ann", origin="globex"))
    await foreign.expect_refusal()


async def test_gateway_asks_for_roles_and_permissions(layer: LocalChannelLayer) -> None:
    names: dict[str, Any] = {"GatewayConsumer": GatewayConsumer, "subscribe": subscribe}
    orders = example("identity", "What a gateway asks", **names)["Orders"].as_asgi()
    clerk = {"sub": "ann", "role": "clerk", "perms": ["orders:read"]}
    async with connected(orders, claims=clerk) as client:
        await client.emit("refund")
        await client.expect_error("forbidden")
    for claims in (None, {**clerk, "role": "guest"}, {**clerk, "perms": []}):
        await Socket(orders, claims=claims).expect_refusal()

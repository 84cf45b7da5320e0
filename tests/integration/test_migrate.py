"""The page about migrating: its consumer works as it did, and slow clients do it no harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator

from arcly_channels import GatewayConsumer
from tests.documents import DOCS, blocks, section

PAGE = DOCS / "how-to" / "migrate.md"


@pytest.fixture(autouse=True)
def layer(settings: Any) -> Iterator[Any]:
    names: dict[str, Any] = {}
    exec(blocks(section(PAGE, "The layer: one line"), "python")[0], names)
    settings.CHANNEL_LAYERS = names["CHANNEL_LAYERS"]
    channel_layers.backends.clear()
    yield channel_layers["default"]
    channel_layers.backends.clear()


@pytest.mark.parametrize("block", [0, 1], ids=["json", "text"])
async def test_consumer_of_channels_keeps_its_frames_with_the_mixin(layer: Any, block: int) -> None:
    names: dict[str, Any] = {"__name__": "migrate"}
    exec(blocks(section(PAGE, "The mixin: two lines"), "python")[block], names)
    ada, bob = (WebsocketCommunicator(names["Chat"].as_asgi(), "/") for _ in range(2))
    for each in (ada, bob):
        assert (await each.connect())[0]
    assert layer.registry.connection_count() == 2
    await ada.send_json_to({"text": "Hello"})
    assert await bob.receive_json_from() == await ada.receive_json_from() == {"text": "Hello"}
    for each in (ada, bob):
        await each.disconnect()


def test_names_that_mean_something_are_those_of_the_code() -> None:
    listed = next(
        line
        for line in section(PAGE, "What changes with the mixin").split("\n* ")
        if "`id`" in line
    )
    missing = {name for name in listed.split("`")[1::2] if not hasattr(GatewayConsumer, name)}
    assert missing <= {"on_refresh", "room_namespace"}

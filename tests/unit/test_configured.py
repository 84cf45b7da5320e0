"""The layers of CHANNEL_LAYERS that are ours are there before somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import channel_layers, get_channel_layer

from arcly_channels.layers.configured import make_layers

OURS = {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}


@pytest.fixture
def made(settings: Any) -> Iterator[Any]:
    """What Channels has made of the settings, which a test may change."""
    before = channel_layers.backends
    channel_layers.backends = {}
    yield settings
    channel_layers.backends = before


def test_layer_of_ours_is_made_once(made: Any) -> None:
    made.CHANNEL_LAYERS = {"default": OURS, "other": OURS}
    make_layers()
    layers = dict(channel_layers.backends)
    assert set(layers) == {"default", "other"}
    make_layers()
    assert get_channel_layer() is layers["default"]


@pytest.mark.parametrize(
    "layer",
    [
        {"BACKEND": "channels.layers.InMemoryChannelLayer"},
        {"BACKEND": "arcly_channels.layers.NoSuchLayer"},
        {**OURS, "CONFIG": {"capacity": -1}},
        {"backend": "misspelt"},
        "no dict",
    ],
)
def test_layer_that_is_not_ours_or_cannot_be_made_is_left_to_whoever_asks(
    made: Any, layer: object
) -> None:
    made.CHANNEL_LAYERS = {"default": layer}
    make_layers()
    assert channel_layers.backends == {}

"""The layers that the contract is held against. A new layer is a new parameter here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.utils.module_loading import import_string

MakeLayer = Callable[..., Any]

LAYERS = {"local": "arcly_channels.layers.LocalChannelLayer"}


@pytest.fixture(params=list(LAYERS.values()), ids=list(LAYERS))
async def make_layer(request: pytest.FixtureRequest) -> AsyncIterator[MakeLayer]:
    """Makes layers of the kind under test with a CONFIG, and closes them when the test is over."""
    layer_class, made = import_string(request.param), []

    def make(**config: Any) -> Any:
        made.append(layer_class(**config))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()
        await layer.close()


@pytest.fixture
def layer(make_layer: MakeLayer) -> Any:
    return make_layer()

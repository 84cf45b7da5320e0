"""System checks: wrong settings are found by `manage.py`, not by the first message."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from arcly_channels.conf import settings as conf
from arcly_channels.layers.base import GatewayLayer


@register("arcly_channels")
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E001: a key or a value of ARCLY_CHANNELS cannot be used."""
    return [
        Error(problem.message, hint=problem.hint, id="arcly_channels.E001")
        for problem in conf.problems(getattr(settings, conf.NAME, {}))
    ]


@register("arcly_channels")
def check_layers(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E002: the CONFIG of one of our layers in CHANNEL_LAYERS cannot be used."""
    found: list[CheckMessage] = []
    for alias, layer in getattr(settings, "CHANNEL_LAYERS", {}).items():
        try:
            backend = import_string(layer["BACKEND"])
        except (ImportError, KeyError, TypeError):
            continue  # Channels has words of its own for these.
        if not (isinstance(backend, type) and issubclass(backend, GatewayLayer)):
            continue
        try:
            backend(**layer.get("CONFIG", {}))
        except (TypeError, ValueError) as error:
            hint = f"Options and what they mean: {backend.__module__}.{backend.__qualname__}."
            message = f'the CONFIG of CHANNEL_LAYERS["{alias}"] cannot be used: {error}'
            found.append(Error(message, hint=hint, id="arcly_channels.E002"))
    return found

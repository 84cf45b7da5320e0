"""The gateway of `typed` without the type."""

from __future__ import annotations

from typing import Any

import django

from .typed import Untyped


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return Untyped.as_asgi()

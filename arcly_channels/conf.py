"""The only reader of Django settings: `ARCLY_CHANNELS`, a dict whose every key has a default."""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

NAME = "ARCLY_CHANNELS"


def _number(default: float, *, least: int = 0, whole: bool = False) -> Any:
    return dataclasses.field(default=default, metadata={"least": least, "whole": whole})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings as they are in force. Durations are in seconds, sizes in bytes."""

    OUTBOUND_BUFFER: int = _number(256, least=1, whole=True)
    """How many frames may wait for one connection before it is evicted."""
    OUTBOUND_BUFFER_BYTES: int = _number(1024 * 1024, least=1, whole=True)
    """How many bytes of payload may wait for one connection before it is evicted."""
    EVICTION_GRACE: float = _number(1.0)
    """How long a closing connection may take to read what waits for it."""
    INBOUND_BUFFER: int = _number(64, whole=True)
    """How many frames from one client may wait for its consumer before Daphne stops reading."""
    MAX_CONNECTIONS: int = _number(0, whole=True)
    """How many connections all gateways of a process may have; 0 is no limit."""
    PING_INTERVAL: float = _number(20)
    """Reserved for liveness; not in force yet."""
    IDLE_TIMEOUT: float = _number(60)
    """Reserved for liveness; not in force yet."""
    DRAIN_DEADLINE: float = _number(10)
    """Reserved for the drain at shutdown; not in force yet."""


class Problem(NamedTuple):
    """What is wrong with a setting, and what would be right."""

    message: str
    hint: str


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings; raise `ImproperlyConfigured` naming everything that is wrong."""
    given = getattr(django_settings, NAME, {})
    found = problems(given)
    if found:
        raise ImproperlyConfigured("; ".join(f"{each.message} ({each.hint})" for each in found))
    return Settings(**given)


def problems(given: object) -> list[Problem]:
    """Return what is wrong with a value of the setting, nothing when it can be used."""
    if not isinstance(given, dict):
        return [Problem(f"{NAME} is not a dict", f'Write {NAME} = {{"OUTBOUND_BUFFER": 256}}.')]
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    found = []
    for key, value in given.items():
        if key not in fields:
            hint = f"The keys are {', '.join(fields)}."
            found.append(Problem(f"{NAME} has no setting {key!r}", hint))
        elif not _is_valid(value, **fields[key].metadata):
            kind = "whole number" if fields[key].metadata["whole"] else "number"
            hint = f"A {kind} of at least {fields[key].metadata['least']} is needed."
            found.append(Problem(f"{NAME}[{key!r}] is {value!r}", hint))
    return found


def _is_valid(value: object, *, least: int, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return least <= value < math.inf


def _forget(*, setting: str, **_: object) -> None:
    if setting == NAME:
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="arcly_channels.conf")

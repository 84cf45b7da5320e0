"""The only reader of Django settings: `ARCLY_CHANNELS`, a dict whose every key has a default."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

NAME = "ARCLY_CHANNELS"


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings as they are in force. Durations are in seconds, sizes in bytes."""

    OUTBOUND_BUFFER: int = 256
    """How many frames may wait for one connection before it is evicted."""
    OUTBOUND_BUFFER_BYTES: int = 1024 * 1024
    """How many bytes of payload may wait for one connection before it is evicted."""
    EVICTION_GRACE: float = 1.0
    """How long a closing connection may take to read what waits for it."""
    MAX_CONNECTIONS: int = 0
    """How many connections all gateways of a process may have; 0 is no limit."""
    PING_INTERVAL: float = 20
    """Reserved for liveness; not in force yet."""
    IDLE_TIMEOUT: float = 60
    """Reserved for liveness; not in force yet."""
    DRAIN_DEADLINE: float = 10
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
        elif problem := _problem(value, fields[key].default, needs_one=key.startswith("OUTBOUND")):
            found.append(Problem(f"{NAME}[{key!r}] is {value!r}", problem))
    return found


def _problem(value: Any, default: Any, *, needs_one: bool) -> str | None:
    whole = isinstance(default, int) and needs_one or type(default) is int and default == 0
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    lowest = 1 if needs_one else 0
    if isinstance(value, bool) or not isinstance(value, kinds) or not lowest <= value < 1 << 62:
        return f"A {'whole ' if whole else ''}number of at least {lowest} is needed."
    return None


def _forget(*, setting: str, **_: object) -> None:
    if setting == NAME:
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="arcly_channels.conf")

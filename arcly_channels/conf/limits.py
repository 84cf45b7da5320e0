"""The settings about what strangers may cost: their shape, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from arcly_channels.conf.spelling import did_you_mean

UNIX = "unix"
"""Stands among the proxies for whoever comes by a unix socket."""

_SHAPE = 'Write {"EVENTS": 100, "BYTES": 1048576}, or 0 for no limit.'
_PROXIES = f'A list of addresses and networks is needed, as in ["10.0.0.0/8", "{UNIX}"].'


@dataclasses.dataclass(frozen=True)
class RateLimit:
    """The setting `RATE_LIMIT`: what one connection may send. 0 is no limit."""

    events: float = 100
    """Events in a second, in the long run."""
    bytes: float = 1024 * 1024
    """Bytes in a second, in the long run."""
    burst: float = 10
    """How many seconds' worth of both may come at once."""
    errors: int = 20
    """How many frames are refused, malformed or too many, before the end; one a second is free."""

    @cached_property
    def per_event(self) -> float:
        """The seconds after which there may be one more; 0 where there is no limit."""
        return 1 / self.events if self.events else 0.0

    @cached_property
    def per_byte(self) -> float:
        return 1 / self.bytes if self.bytes else 0.0

    def __str__(self) -> str:
        return str({key.upper(): value for key, value in dataclasses.asdict(self).items()})


OFF = RateLimit(events=0, bytes=0, errors=0)


def read_rate_limit(value: Any) -> RateLimit:
    """Return a value of the setting `RATE_LIMIT` in which nothing is wrong."""
    if not isinstance(value, dict):
        return OFF
    return RateLimit(**{key.lower(): each for key, each in value.items()})


def rate_complaints(value: object) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a value of the setting `RATE_LIMIT`."""
    keys = [field.name.upper() for field in dataclasses.fields(RateLimit)]
    if value is None or (value == 0 and not isinstance(value, bool)):
        return
    if not isinstance(value, dict):
        yield "RATE_LIMIT is not a dict", _SHAPE
        return
    for key, number in value.items():
        if key not in keys:
            hint = f"{did_you_mean(key, keys)}The keys are {', '.join(keys)}."
            yield f"RATE_LIMIT has no {key!r}", hint
            return
        if not _is_amount(number) or (key == "BURST" and not number):
            least = "above 0" if key == "BURST" else "of at least 0"
            yield f'RATE_LIMIT["{key}"] is {number!r}', f"A number {least} is needed."
            return
    if 0 < (limit := read_rate_limit(value)).events * limit.burst < 1:
        yield "RATE_LIMIT lets no event through", "Raise BURST: it is in seconds."


def proxies_complaints(value: object) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a value of the setting `TRUSTED_PROXIES`."""
    if not isinstance(value, (list, tuple)):
        yield "TRUSTED_PROXIES is not a list", _PROXIES
        return
    for index, each in enumerate(value):
        if each != UNIX and not _is_network(each):
            yield f"TRUSTED_PROXIES[{index}] is {each!r}", f"{_network_meant(each)}{_PROXIES}"


def read_proxies(value: Any) -> tuple[IPv4Network | IPv6Network | str, ...]:
    """Return a value of the setting `TRUSTED_PROXIES` in which nothing is wrong."""
    return tuple(each if each == UNIX else ip_network(each) for each in value)


def _is_network(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        ip_network(value)
    except ValueError:
        return False
    return True


def _network_meant(value: object) -> str:
    """Return the beginning of a hint for an address of a host with the size of its network."""
    try:
        return f"Did you mean {ip_network(str(value), strict=False)}? "
    except ValueError:
        return ""


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf

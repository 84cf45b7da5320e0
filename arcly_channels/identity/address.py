"""Where a client comes from, as far as that can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from arcly_channels.conf.limits import UNIX

IP = IPv4Address | IPv6Address
Proxies = Sequence[IPv4Network | IPv6Network | str]

_HEADER = b"x-forwarded-for"
_ONE_SITE = 64
"""How many bits of an IPv6 address say whose it is: the rest is the client's own to choose."""


def origin_of(scope: Mapping[str, Any], proxies: Proxies) -> str | None:
    """Return the IPv4 address, or the IPv6 network, that a client comes from; None if not known.

    What a proxy says is believed where its address is among `proxies`: of the addresses in
    `X-Forwarded-For`, to which each proxy appends whom it has heard, that is the last which is none
    of a proxy. Everything before it may be made up.
    """
    address = _peer(scope)
    if not _is_trusted(address, proxies, is_unix=scope.get("client") is None):
        return _whose(address)
    for each in reversed(_forwarded(scope)):
        found = _parsed(each)
        if found is None:
            break  # Whoever wrote that does not say where the client is.
        address = found
        if not _is_trusted(address, proxies):
            break
    return _whose(address)


def _peer(scope: Mapping[str, Any]) -> IP | None:
    client = scope.get("client")
    return _parsed(str(client[0])) if client else None


def _is_trusted(address: IP | None, proxies: Proxies, *, is_unix: bool = False) -> bool:
    if address is None:
        return is_unix and UNIX in proxies
    return any(not isinstance(each, str) and address in each for each in proxies)


def _forwarded(scope: Mapping[str, Any]) -> list[str]:
    values = [
        value.decode("latin-1")
        for name, value in scope.get("headers", ())
        if name.lower() == _HEADER
    ]
    return [each for value in values for each in value.split(",")]


def _parsed(text: str) -> IP | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _whose(address: IP | None) -> str | None:
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), _ONE_SITE), strict=False))
    return None if address is None else str(address)

"""How a request names its tenant: by a header, by its host, by a claim."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from django.utils.module_loading import import_string

from arcly_channels.conf.settings import get_settings
from arcly_channels.identity.claims import Claims
from arcly_channels.identity.handshake import Handshake

Strategy = Callable[[Handshake, Claims | None], str | None]
"""Returns the id that a request names, known or not, or None. Never raises, whatever it is given.

The id in a header or a host is the client's own choice. What keeps a client out of a tenant is the
`tenant` of its token, or whatever the gateway's `authorize` asks.
"""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, section 2.1.


def header(name: str) -> Strategy:
    """Make a strategy that takes the value of the header `name` for the id, as it is.

    In `TENANT_STRATEGY`: `{"HEADER": "X-Tenant"}`.
    """
    key = name.lower()

    def of_header(handshake: Handshake, claims: Claims | None) -> str | None:
        return handshake.headers.get(key, "").strip() or None

    return of_header


def subdomain(base_domain: str) -> Strategy:
    """Make a strategy that takes the one label before `base_domain` in `Host`, in lower case.

    A port and the final dot of a full name are ignored. `X-Forwarded-Host` is not looked at: a
    proxy has to pass `Host` on. In `TENANT_STRATEGY`: `{"SUBDOMAIN": "example.com"}`.
    """
    suffix = "." + base_domain.strip(".").lower()

    def of_host(handshake: Handshake, claims: Claims | None) -> str | None:
        host, colon, port = handshake.headers.get("host", "").strip().lower().partition(":")
        if colon and port and not (port.isascii() and port.isdigit()):
            return None  # Not a host: an IPv6 address, or two headers.
        label, found, rest = host.removesuffix(".").rpartition(suffix)
        return label if found and not rest and _LABEL.fullmatch(label) else None

    return of_host


def header_then_subdomain(name: str, base_domain: str) -> Strategy:
    """Make a strategy that asks the header first, and the host where there is no header.

    The id of a header that names no tenant is not given a second chance by the host. In
    `TENANT_STRATEGY`: both keys in one dict.
    """
    of_header, of_host = header(name), subdomain(base_domain)

    def of_either(handshake: Handshake, claims: Claims | None) -> str | None:
        return of_header(handshake, claims) or of_host(handshake, claims)

    return of_either


def claim(name: str = "tenant") -> Strategy:
    """Make a strategy that takes a claim of the token for the id.

    In `TENANT_STRATEGY`: `{"CLAIM": "tenant"}`.
    """

    def of_claims(handshake: Handshake, claims: Claims | None) -> str | None:
        value = None if claims is None else claims.get(name)
        return value if isinstance(value, str) and value else None

    return of_claims


def get_strategy() -> Strategy | None:
    """Return the strategy of the settings; None where there is no tenancy."""
    setting = get_settings().TENANT_STRATEGY
    if isinstance(setting, Mapping):
        return _of_mapping(setting)
    strategy: Strategy | None = import_string(setting) if isinstance(setting, str) else setting
    return strategy


def _of_mapping(setting: Mapping[str, str]) -> Strategy:
    if "CLAIM" in setting:
        return claim(setting["CLAIM"])
    if "SUBDOMAIN" not in setting:
        return header(setting["HEADER"])
    if "HEADER" not in setting:
        return subdomain(setting["SUBDOMAIN"])
    return header_then_subdomain(setting["HEADER"], setting["SUBDOMAIN"])

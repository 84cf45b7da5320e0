"""Where a token may be: the places in their order, of which the first that has one decides.

There is no second guess. A token that is not believed makes the client anonymous, whatever another
place holds, and so does a place that names two. Otherwise a link with `?access_token=` could put
somebody into an account of the attacker's, in place of the one their cookie stands for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from django.http import HttpRequest

from arcly_channels.identity.handshake import (
    TOKEN_PARAMETER,
    TOKEN_SUBPROTOCOL,
    Handshake,
    split_pair,
)

UNUSABLE = ""
"""Stands for what is in a token's place and is no token. Nobody believes it."""


def find_token(handshake: Handshake, cookie: str | None) -> str | None:
    """Return the token of a request, or None when there is none in any place.

    The order: `Authorization: Bearer`, the signed cookie of that name, and for a WebSocket the
    query parameter `access_token` and the pair `bearer, <token>` of subprotocols. Never raises.
    """
    places: list[Callable[[], Iterator[str]]] = [lambda: _in_authorization(handshake)]
    if cookie is not None:
        places.append(lambda: _in_cookie(handshake, cookie))
    if handshake.is_websocket:
        places.append(lambda: _in_query(handshake))
        places.append(lambda: _in_subprotocols(handshake))
    for place in places:
        found = list(place())
        if found:
            return found[0] if len(found) == 1 else UNUSABLE
    return None


def _in_authorization(handshake: Handshake) -> Iterator[str]:
    values = handshake.headers.get("authorization", "").split(",")
    for value in values:
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            yield token.strip() if len(values) == 1 else UNUSABLE


def _in_cookie(handshake: Handshake, name: str) -> Iterator[str]:
    # Not `parse_cookie`: of two cookies of one name it shows the last, which may be planted.
    pairs = (part.strip().partition("=") for part in handshake.headers.get("cookie", "").split(";"))
    values = [value.strip('"') for key, _, value in pairs if key == name]
    # Of several, none is believed, so none is worth a signature: a header holds a thousand.
    yield from [_unsigned(values[0], name)] if len(values) == 1 else [UNUSABLE] * len(values)


def _unsigned(value: str, name: str) -> str:
    """Return what `set_signed_cookie` was given."""
    # Not by a signer of our own: the salt is Django's business, and it has changed.
    request = HttpRequest()
    request.COOKIES = {name: value}
    return str(request.get_signed_cookie(name, UNUSABLE))


def _in_query(handshake: Handshake) -> Iterator[str]:
    for pair in handshake.query_string.split(b"&"):
        name, value = split_pair(pair)
        if name == TOKEN_PARAMETER:
            yield value


def _in_subprotocols(handshake: Handshake) -> Iterator[str]:
    offered = handshake.subprotocols
    for subprotocol, token in itertools.pairwise(offered):
        if subprotocol == TOKEN_SUBPROTOCOL:
            yield token

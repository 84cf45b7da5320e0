"""What a client says when it asks to come in, in one form for WebSocket, ASGI HTTP and Django.

A token may be in several places, of which the first that has one decides. There is no
second guess: a token that is not believed makes the client anonymous, whatever another place holds,
and so does a place that names two. Otherwise a link with `?access_token=` could put somebody into
an account of the attacker's, in place of the one their cookie stands for.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from django.http import HttpRequest

TOKEN_PARAMETER = "access_token"  # noqa: S105  # The name, not a secret.
TOKEN_SUBPROTOCOL = "bearer"  # noqa: S105

UNUSABLE = ""
"""Stands for what is in a token's place and is no token. Nobody believes it."""


@dataclasses.dataclass(frozen=True)
class Handshake:
    """The parts of a request that identity is read from. Its `repr` shows none of them.

    `headers` have lower-case names; one that came more than once has its values joined by commas,
    as Django does, so that no reader takes one of them for the only one (cookies by semicolons).
    `varies_on` gathers the names that somebody has looked for, found or not, which is what `Vary`
    has to tell caches; whoever looks at all of them adds `*`.
    """

    headers: Mapping[str, str] = dataclasses.field(repr=False)
    is_websocket: bool
    query_string: bytes = dataclasses.field(default=b"", repr=False)
    subprotocols: Sequence[str] = dataclasses.field(default=(), repr=False)
    varies_on: set[str] = dataclasses.field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", _Watched(self.headers, self.varies_on))

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> Handshake:
        """Read the scope of an ASGI request, of type `websocket` or `http`."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope.get("headers", ()):
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers:
                value = headers[name] + ("; " if name == "cookie" else ",") + value
            headers[name] = value
        return cls(
            headers=headers,
            is_websocket=scope["type"] == "websocket",
            query_string=bytes(scope.get("query_string", b"")),
            subprotocols=tuple(scope.get("subprotocols", ())),
        )

    @classmethod
    def of_request(cls, request: HttpRequest) -> Handshake:
        """Read a Django request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        return cls(headers=headers, is_websocket=False)


class _Watched(Mapping[str, str]):
    """Headers that note which of them are looked for."""

    def __init__(self, headers: Mapping[str, str], seen: set[str]) -> None:
        self._headers = headers
        self._seen = seen

    def __getitem__(self, name: str) -> str:
        self._seen.add(name)
        return self._headers[name]

    def __iter__(self) -> Iterator[str]:
        self._seen.add("*")
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


def without_token(scope: Mapping[str, Any], cookie: str | None) -> dict[str, Any]:
    """Return a copy of a WebSocket's scope that holds no token: what is in it is logged and echoed.

    All else stays, in the headers too: other cookies, other schemes of `Authorization`, and
    `bearer` among the subprotocols, since a browser that offered some wants one accepted.
    """
    offered = list(scope.get("subprotocols", ()))
    tokens = {each for before, each in itertools.pairwise(offered) if before == TOKEN_SUBPROTOCOL}
    tokens.discard(TOKEN_SUBPROTOCOL)
    is_token: dict[bytes, Callable[[str], bool]] = {
        b"authorization": _is_bearer,
        b"cookie": lambda pair: pair.partition("=")[0] == cookie,
        b"sec-websocket-protocol": tokens.__contains__,
    }
    pairs = bytes(scope.get("query_string", b"")).split(b"&")
    blanked: dict[str, Any] = {
        "headers": list(_without(scope.get("headers", ()), is_token)),
        "query_string": b"&".join(each for each in pairs if split_pair(each)[0] != TOKEN_PARAMETER),
        "subprotocols": [each for each in offered if each not in tokens],
    }
    if "cookies" in scope:  # Of Channels' CookieMiddleware.
        blanked["cookies"] = {
            key: scope["cookies"][key] for key in scope["cookies"] if key != cookie
        }
    return {**scope, **blanked}


def _without(
    headers: Iterable[tuple[bytes, bytes]], is_token: Mapping[bytes, Callable[[str], bool]]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield headers without the parts that are tokens, and without those that are nothing else."""
    for name, value in headers:
        found = is_token.get(name.lower())
        if found is not None:
            separator = ";" if name.lower() == b"cookie" else ","
            parts = value.decode("latin-1").split(separator)
            kept = [part for part in parts if not found(part.strip())]
            value = value if kept == parts else separator.join(kept).strip().encode("latin-1")
        if value or found is None:
            yield name, value


def _is_bearer(credentials: str) -> bool:
    return credentials.partition(" ")[0].lower() == TOKEN_SUBPROTOCOL


def split_pair(pair: bytes) -> tuple[str, str]:
    """Return the name and the value of one pair of a query string."""
    name, _, value = pair.decode("latin-1").partition("=")
    return unquote_plus(name), unquote_plus(value)


def find_token(handshake: Handshake, cookie: str | None, *, in_query: bool = True) -> str | None:
    """Return the token of a request, or None when there is none in any place.

    The order: `Authorization: Bearer`, the signed cookie of that name, and for a WebSocket the
    query parameter `access_token`, unless it does not count, and the pair `bearer, <token>` of
    subprotocols. Never raises.
    """
    places: list[Callable[[], Iterator[str]]] = [lambda: _in_authorization(handshake)]
    if cookie is not None:
        places.append(lambda: _in_cookie(handshake, cookie))
    if handshake.is_websocket and in_query:
        places.append(lambda: _in_query(handshake))
    if handshake.is_websocket:
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
    from django.http import HttpRequest

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

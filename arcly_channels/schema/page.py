"""The description of gateways as what a template shows to people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from arcly_channels.close_codes import CloseCode
from arcly_channels.gateway.handling import Terms
from arcly_channels.gateway.routed import Schema
from arcly_channels.identity.claims import Access
from arcly_channels.schema import protocol
from arcly_channels.schema.asyncapi import info
from arcly_channels.schema.channels import asks_of, words_of
from arcly_channels.schema.samples import sample_of
from arcly_channels.schema.security import schemes_of, takes_tokens
from arcly_channels.schema.surface import Api, Call, Entrance
from arcly_channels.schema.typescript import Types

Context = dict[str, Any]

RECONNECT = {"no": "Stays away.", "yes": "Comes back.", "token": "Comes back with a new token."}

UNITS = ((1, "second"), (60, "minute"), (3600, "hour"))
LEAST = 0.999
"""What a rate is at least in the unit that it was said in, but for what floats lose."""


def context_of(api: Api) -> Context:
    """Return what the page shows."""
    return _Page(api).context()


class _Page:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._types = Types(api)
        self._names = set(self._types.names)

    def context(self) -> Context:
        return {
            "info": info(),
            "description": _prose(info().get("description", "")),
            "entrances": [self._entrance(each) for each in self._api.entrances],
            "types": [
                {"name": name, "code": self._linked(code, besides=name)}
                for name, code in zip(self._types.names, self._types.definitions(), strict=True)
            ],
            "errors": [(code, _inline(text)) for code, text in protocol.ERRORS.items()],
            "closes": [
                {"code": int(each), "name": each.name, "then": RECONNECT[each.reconnect.value]}
                for each in CloseCode
            ],
        }

    def _entrance(self, entrance: Entrance) -> Context:
        routed, surface = entrance.routed, entrance.surface
        return {
            "name": entrance.name,
            "title": surface.name,
            "address": routed.address,
            "text": _prose(surface.text),
            "asks": list(_asks(entrance)),
            "schemes": [
                _inline(each["description"]) for _, each in sorted(schemes_of(entrance).items())
            ],
            "parameters": [
                (name, _inline(words_of(each))) for name, each in routed.parameters.items()
            ],
            "takes_events": surface.declaration.takes_events,
            "takes_tokens": takes_tokens(entrance),
            "lets_join": surface.joining is not None,
            "joining": _inline(surface.joining or ""),
            "calls": [self._call(call) for call in surface.calls],
            "sends": [(event, self._type(each)) for event, each in surface.sends.items()],
        }

    def _call(self, call: Call) -> Context:
        return {
            "event": call.event,
            "text": _prose(call.text),
            "data": self._type(call.data),
            "is_optional": call.is_optional,
            "reply": "null" if call.replies_nothing else self._type(call.reply),
            "asks": [*_of_access(call.subscription.access), *_of_terms(call.subscription.terms)],
            "sample": json.dumps(sample_of(call.data, self._api.definitions), indent=2),
        }

    def _type(self, schema: Schema) -> SafeString:
        return self._linked(self._types.type_of(schema))

    def _linked(self, code: str, besides: str = "") -> SafeString:
        """Return code in which the names of types lead to them; all of it is escaped."""
        words = re.split(r"(\w+)", code)
        parts = (
            format_html('<a href="#type-{0}">{0}</a>', word)
            if word in self._names and word != besides
            else word
            for word in words
        )
        return format_html_join("", "{}", ((part,) for part in parts))


def _prose(text: str) -> SafeString:
    """Return the paragraphs of a docstring."""
    paragraphs = [each for each in re.split(r"\n\s*\n", text) if each.strip()]
    return format_html_join("\n", "<p>{}</p>", ((_inline(each),) for each in paragraphs))


def _inline(text: str) -> SafeString:
    """Return a text in which what is between backquotes is code."""
    parts = re.split(r"`([^`\n]+)`", text)
    marked = (
        format_html("<code>{}</code>", part) if number % 2 else part
        for number, part in enumerate(parts)
    )
    return format_html_join("", "{}", ((part,) for part in marked))


def _asks(entrance: Entrance) -> Iterator[str]:
    """Yield what a client needs to come in."""
    asked = asks_of(entrance.surface.declaration.policy)
    if asked["claims"]:
        yield "It has to be known who the client is."
    if asked["tenant"]:
        yield "It needs a tenant."
    yield from _of_access(entrance.surface.declaration.policy.access)


def _of_access(access: Access) -> Iterator[str]:
    if access.roles:
        yield f"One of the roles: {', '.join(sorted(access.roles))}."
    if access.perms:
        yield f"The permissions: {', '.join(sorted(access.perms))}."


def _of_terms(terms: Terms) -> Iterator[str]:
    if terms.rate is not None:
        yield f"{terms.rate.burst} at once, and {_rate(terms.rate.per_second)} in the long run."
    if terms.timeout is not None:
        yield f"At most {terms.timeout:g} s."
    if terms.concurrency > 1:
        yield f"Up to {terms.concurrency} side by side: answers may overtake one another."


def _rate(per_second: float) -> str:
    """Return a rate as it was said: by the second, the minute or the hour."""
    rates = ((per_second * seconds, unit) for seconds, unit in UNITS)
    number, unit = next(each for each in rates if each[0] > LEAST)
    return f"{number:g} a {unit}"

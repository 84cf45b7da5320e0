"""One entrance as a channel of AsyncAPI, and what goes on there as operations."""

from __future__ import annotations

from typing import Any

from arcly_channels.conf.settings import get_settings
from arcly_channels.gateway.handling import Terms
from arcly_channels.gateway.routed import Schema
from arcly_channels.identity.claims import Access
from arcly_channels.schema import protocol
from arcly_channels.schema.messages import Messages, Part, said
from arcly_channels.schema.security import handshake_of, schemes_of, takes_tokens
from arcly_channels.schema.surface import Call, Entrance, key_of
from arcly_channels.session.guard import Policy
from arcly_channels.wire.protocol import SUBPROTOCOL

NOTICES = ("welcome", "joined", "left", "gap", "ping", "error", "bye")
"""What the server sends of its own accord."""

NO_EVENTS = "It takes frames in a way of its own, which is not described here."


class Channel:
    """What there is to say of one entrance."""

    def __init__(self, entrance: Entrance, names: Messages) -> None:
        self._entrance = entrance
        self._surface = entrance.surface
        self._names = names
        self._policy = entrance.surface.declaration.policy
        refs = [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes_of(entrance)]
        self._security = {"security": refs} if refs else {}
        self._takes_events = self._surface.declaration.takes_events

    def described(self) -> Part:
        routed, surface = self._entrance.routed, self._surface
        messages = {key: self._names.full(key) for key in self._names.keys}
        messages |= {key: key for key in self._own()}
        text = surface.text
        if not self._takes_events:
            text = f"{text}\n\n{NO_EVENTS}".strip()
        made: Part = {"address": routed.address, "title": surface.name, **said(text)}
        if routed.parameters:
            made["parameters"] = {
                name: {"description": words_of(schema), "x-schema": schema}
                for name, schema in sorted(routed.parameters.items())
            }
        return made | {
            "messages": {
                key: {"$ref": f"#/components/messages/{full}"}
                for key, full in sorted(messages.items())
            },
            "bindings": {"ws": {**handshake_of(self._entrance), "bindingVersion": "0.1.0"}},
            "x-subprotocols": [SUBPROTOCOL],
            "x-access": asks_of(self._policy),
        }

    def operations(self, taken: set[str]) -> Part:
        """Return the operations, by names that are not `taken`, and are from now on."""
        found: Part = {}

        def add(name: str, operation: Part) -> None:
            found[key_of(f"{self._entrance.name}.{name}", taken)] = operation

        for key in self._names.sent:
            add(key, self._operation("send", [key]))
        add("send.protocol", self._operation("send", [protocol.PREFIX + each for each in NOTICES]))
        if self._takes_events:
            for call in self._surface.calls:
                add(self._names.key("receive", call.event), self._of_call(call))
            for name, answers in self._controls().items():
                add(f"receive.{protocol.PREFIX}{name}", self._of_control(name, answers))
        return found

    def _controls(self) -> dict[str, list[str]]:
        """Return what clients may send that is the protocol's, and the answers to each."""
        found = {"leave": ["left", "error"], "ping.client": ["acknowledgement"], "pong": []}
        if self._surface.joining is not None:
            found["join"] = ["joined", "error"]
        if takes_tokens(self._entrance):
            found["refresh"] = ["refreshed", "error"]
        return found

    def _own(self) -> set[str]:
        """Return the keys of the protocol's messages that there are here."""
        found = {protocol.PREFIX + each for each in NOTICES}
        if self._takes_events:
            found |= {self._answer_to(call) for call in self._surface.calls if not call.reply}
            for name, answers in self._controls().items():
                found |= {protocol.PREFIX + each for each in (name, *answers)}
        return found

    def _answer_to(self, call: Call) -> str:
        """Return the key of what an event is answered with."""
        if call.reply:
            return self._names.key("reply", call.event)
        return protocol.PREFIX + ("acknowledgement" if call.replies_nothing else "reply")

    def _operation(self, action: str, keys: list[str], **more: Any) -> Part:
        operation: Part = {"action": action, "channel": self._here()}
        operation |= more
        if self._policy.require_claims or self._policy.access:
            operation |= self._security
        return operation | {"messages": self._refs(keys)}

    def _of_call(self, call: Call) -> Part:
        access, terms = call.subscription.access, call.subscription.terms
        operation = self._operation(
            "receive", [self._names.key("receive", call.event)], **said(call.text)
        )
        if access:
            operation |= self._security | {"x-access": _access(access)}
        if limits := _limits(terms):
            operation["x-limits"] = limits
        return operation | self._replies([self._answer_to(call), protocol.PREFIX + "error"])

    def _of_control(self, name: str, answers: list[str]) -> Part:
        own = protocol.TAKEN[name]
        text = own.text
        if name == "join" and self._surface.joining:
            text += f"\n\n{self._surface.joining}"
        operation = self._operation("receive", [protocol.PREFIX + name], **said(text))
        return operation | self._replies([protocol.PREFIX + each for each in answers])

    def _replies(self, keys: list[str]) -> Part:
        if not keys:
            return {}
        return {"reply": {"channel": self._here(), "messages": self._refs(keys)}}

    def _here(self) -> Part:
        return {"$ref": f"#/channels/{self._entrance.name}"}

    def _refs(self, keys: list[str]) -> list[Part]:
        return [{"$ref": f"#/channels/{self._entrance.name}/messages/{key}"} for key in keys]


def asks_of(policy: Policy) -> Part:
    """Return what a gateway asks of every client."""
    is_known = policy.require_claims or bool(policy.access)
    tenant = policy.require_tenant
    if tenant is None:
        tenant = get_settings().TENANT_STRATEGY is not None
    return {"claims": is_known, "tenant": tenant, **_access(policy.access)}


def words_of(schema: Schema) -> str:
    """Return what may stand for a parameter, in words."""
    if schema.get("type") == "integer":
        return "A whole number."
    if schema.get("format") == "uuid":
        return "A UUID."
    return f"Text that matches `{schema['pattern']}`." if "pattern" in schema else "Text."


def _access(access: Access) -> Part:
    found = {"roles": sorted(access.roles), "perms": sorted(access.perms)}
    return {key: names for key, names in found.items() if names}


def _limits(terms: Terms) -> Part:
    """Return the limits of an event, for each connection; seconds, and events a second."""
    found: Part = {}
    if terms.rate is not None:
        found |= {"rate": terms.rate.per_second, "burst": terms.rate.burst}
    if terms.timeout is not None:
        found["timeout"] = terms.timeout
    if terms.concurrency > 1:
        found["concurrency"] = terms.concurrency
    return found

"""What the document of AsyncAPI says of gateways."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import pytest
from pydantic import PlainValidator

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.gateway.routed import Routed, routed_gateways
from arcly_channels.schema.asyncapi import document
from arcly_channels.schema.protocol import ERRORS, SENT, TAKEN
from arcly_channels.schema.surface import api_of
from arcly_channels.wire import protocol
from tests.described import Wild, Zoo, application

JWT = {"KEYS": ["0123456789abcdef0123456789abcdef"]}


@pytest.fixture(autouse=True)
def project(settings: Any) -> None:
    settings.ASGI_APPLICATION = "zoo.asgi.application"
    settings.ARCLY_CHANNELS = {"JWT": JWT, "TENANT_STRATEGY": {"HEADER": "X-Tenant"}}


def described(*routed: Routed) -> Any:
    return document(api_of(routed or routed_gateways(application)))


def of_one(gateway: type[GatewayConsumer]) -> Any:
    return described(Routed(gateway, "/ws/"))


def test_every_entrance_is_a_channel() -> None:
    channels = described()["channels"]
    assert {name: (each["title"], each["address"]) for name, each in channels.items()} == {
        "inner": ("Zoo", "/inner/"),
        "inner.wild": ("Wild", "/inner/wild/"),
        "stream": ("Stream", "/stream/"),
        "zoo.number.name": ("Zoo", "/zoo/{number}/{name}/"),
    }


def test_parameters_of_an_address_have_schemas() -> None:
    parameters = described()["channels"]["zoo.number.name"]["parameters"]
    assert parameters["number"]["x-schema"] == {"type": "integer", "minimum": 0}
    assert parameters["name"]["description"] == "Text that matches `^(?:[-a-zA-Z0-9_]+)$`."


def test_event_of_a_client_is_received_and_replied() -> None:
    found = described()
    operation = found["operations"]["inner.receive.look"]
    assert operation["action"] == "receive"
    messages = found["components"]["messages"]
    received, reply = messages["Zoo.receive.look"], messages["Zoo.reply.look"]
    assert received["payload"]["required"] == ["event"]  # Data of null may be left out.
    assert reply["payload"]["required"] == ["event", "data", "ref"]
    assert reply["payload"]["properties"]["data"]["items"] == {"$ref": "#/components/schemas/Point"}
    here = "#/channels/inner/messages/"
    assert operation["reply"] == {
        "channel": {"$ref": "#/channels/inner"},
        "messages": [{"$ref": f"{here}reply.look"}, {"$ref": f"{here}gateway.error"}],
    }


@pytest.mark.parametrize(("event", "reply"), [("feed", "acknowledgement"), ("ask", "reply")])
def test_reply_that_has_no_type_is_the_protocols(event: str, reply: str) -> None:
    answers = of_one(Zoo)["operations"][f"ws.receive.{event}"]["reply"]["messages"]
    assert answers[0] == {"$ref": f"#/channels/ws/messages/gateway.{reply}"}


def test_tuples_are_those_of_draft_7() -> None:
    schema = of_one(Zoo)["components"]["schemas"]["Everything-Input"]["properties"]["place"]
    assert schema == {
        "description": "Where it is.",
        "type": "array",
        "items": [{"type": "integer"}, {"type": "string"}],
        "minItems": 2,
        "maxItems": 2,
    }


def test_what_stands_beside_a_reference_counts() -> None:
    schema = of_one(Zoo)["components"]["schemas"]["Everything-Input"]["properties"]["tree"]
    assert schema["description"] == "A tree."
    assert list(schema["allOf"][0]) == ["$ref"]


def test_gateway_that_says_not_what_it_sends_may_send_anything() -> None:
    operations = of_one(Wild)["operations"]
    assert [name for name in operations if ".send." in name] == ["ws.send.any", "ws.send.protocol"]


def test_docstrings_are_descriptions() -> None:
    found = of_one(Zoo)
    channel, operations = found["channels"]["ws"], found["operations"]
    assert channel["summary"] == "A zoo with many animals."
    assert channel["description"].endswith("Even at night.")
    assert operations["ws.receive.keep"]["summary"] == "Keep what is brought."
    assert operations["ws.receive.gateway.join"]["description"].endswith("see any animal.")


def test_access_and_limits_are_told() -> None:
    found = of_one(Zoo)
    asked = {"claims": True, "tenant": True, "perms": ["zoo:enter"]}
    assert found["channels"]["ws"]["x-access"] == asked
    keep = found["operations"]["ws.receive.keep"]
    assert keep["x-access"] == {"roles": ["keeper"]}
    assert keep["x-limits"] == {"rate": 5 / 60, "burst": 5, "timeout": 3.0, "concurrency": 2}


def test_security_is_that_of_the_middleware_on_the_way(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"JWT": JWT, "QUERY_TOKENS": False}
    found = described()
    assert list(found["components"]["securitySchemes"]) == ["bearer", "cookie", "subprotocol"]
    operations = found["operations"]
    assert len(operations["zoo.number.name.receive.look"]["security"]) == 3
    assert "security" not in operations["inner.receive.look"]
    assert "inner.receive.gateway.refresh" not in operations


def test_handshake_has_what_middleware_looks_at() -> None:
    channels = described()["channels"]
    binding = channels["zoo.number.name"]["bindings"]["ws"]
    assert list(binding["headers"]["properties"]) == [
        "Sec-WebSocket-Protocol",
        "Origin",
        "X-Tenant",
    ]
    assert binding["headers"]["required"] == ["Origin"]
    assert list(binding["query"]["properties"]) == ["access_token"]
    assert "query" not in channels["inner"]["bindings"]["ws"]


def test_only_gateways_with_may_join_have_clients_join() -> None:
    assert "ws.receive.gateway.join" in of_one(Zoo)["operations"]
    assert "ws.receive.gateway.join" not in of_one(Wild)["operations"]


def test_consumer_that_takes_frames_itself_is_described_without_events() -> None:
    found = described()
    assert "takes frames in a way of its own" in found["channels"]["stream"]["description"]
    names = [name for name in found["operations"] if name.startswith("stream.")]
    assert names == ["stream.send.any", "stream.send.protocol"]


def test_every_word_of_the_protocol_is_described() -> None:
    assert set(ERRORS) == protocol.ERRORS
    names = {value for value in vars(protocol).values() if isinstance(value, str)}
    own = {name for name in names if name.startswith("gateway:") and name != protocol.RESERVED}
    told = {each.event for each in (*SENT.values(), *TAKEN.values())}
    assert told == own | {protocol.ERROR, protocol.REFRESH, protocol.REFRESHED}


def test_types_that_json_has_nothing_for_are_anything() -> None:
    class Odd(GatewayConsumer):
        @subscribe("odd")
        async def odd(self, data: Annotated[int, PlainValidator(int)]) -> None:
            pass

    message = of_one(Odd)["components"]["messages"]["Odd.receive.odd"]
    assert message["payload"]["properties"]["data"] == {}


def test_gateways_without_types_are_described_without_pydantic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "arcly_channels.gateway.payloads", None)
    assert "ws.receive.keep" in of_one(Wild)["operations"]


def test_document_does_not_depend_on_the_order_of_routes() -> None:
    routed = routed_gateways(application)
    assert json.dumps(described(*routed)) == json.dumps(described(*reversed(routed)))


def test_gateways_of_one_name_are_told_apart() -> None:
    def made(where: str) -> type[GatewayConsumer]:
        class Chat(GatewayConsumer):
            __module__ = where

            @subscribe("send")
            async def handle_send(self, data: int) -> int:
                return 1

        Chat.__qualname__ = "Chat"
        return Chat

    first, second = made("a.gateway"), made("b.gateway")
    found = described(Routed(first, "/ws/a/"), Routed(second, "/ws/a"), Routed(second, "/b/"))
    assert {name: each["title"] for name, each in found["channels"].items()} == {
        "b": "b.gateway.Chat",
        "ws.a": "b.gateway.Chat",
        "ws.a-2": "a.gateway.Chat",
    }
    assert "a.gateway.Chat.reply.send" in found["components"]["messages"]


def test_server_is_that_of_the_settings(settings: Any) -> None:
    assert "servers" not in of_one(Zoo)
    url = "wss://example.com:8443/live/"
    settings.ARCLY_CHANNELS = {"SCHEMA": {"TITLE": "Zoo", "VERSION": "2.1", "URL": url}}
    found = of_one(Zoo)
    assert found["info"] == {"title": "Zoo", "version": "2.1"}
    assert found["servers"] == {
        "default": {"host": "example.com:8443", "protocol": "wss", "pathname": "/live"}
    }

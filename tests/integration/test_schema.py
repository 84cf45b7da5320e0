"""The description of gateways: valid for AsyncAPI's own schema, and true to what is on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

from arcly_channels.gateway.routed import Routed, routed_gateways
from arcly_channels.schema.asyncapi import document
from arcly_channels.schema.surface import api_of
from tests import described
from tests.documents import DOCS, blocks
from tests.gateways import connected
from tests.node import JS, installed, run
from tests.servers import run as run_python

DEMO = {"DJANGO_SETTINGS_MODULE": "demo_project.settings"}


def page_of(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def chat_of(page: str) -> Any:
    names: dict[str, Any] = {"__name__": "a_chat"}
    exec(blocks(page_of(page), "python")[0], names)
    return SimpleNamespace(**names).Chat


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Documents in files: of the demo, by the command, and of gateways with all sorts of types."""
    directory = tmp_path_factory.mktemp("documents")
    demo = run_python("manage.py", "gateway_schema", environment=DEMO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.ASGI_APPLICATION", "zoo.asgi", raising=False)
        zoo = json.dumps(document(api_of(routed_gateways(described.application))))
    files = {"demo": demo, "zoo": zoo}
    for name, text in files.items():
        (directory / f"{name}.json").write_text(text, encoding="utf-8")
    return {name: directory / f"{name}.json" for name in files}


def references(part: Any) -> Iterator[str]:
    """Yield every `$ref` in a document, in examples and the like, too."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def resolve(found: Any, reference: str) -> Any:
    """Return what a reference leads to; raise `KeyError` for one that leads nowhere."""
    start, *path = reference.split("/")
    assert start == "#"
    for each in path:
        found = found[each.replace("~1", "/").replace("~0", "~")]
    return found


@pytest.mark.parametrize("name", ["demo", "zoo"])
def test_document_is_valid_for_jsonschema(documents: dict[str, Path], name: str) -> None:
    schema = json.loads(installed("@asyncapi/specs/schemas/3.0.0.json").read_bytes())
    found = json.loads(documents[name].read_bytes())
    errors = jsonschema.Draft7Validator(schema).iter_errors(found)
    assert [(list(each.absolute_path), each.message) for each in errors] == []


def test_documents_are_valid_for_ajv(documents: dict[str, Path]) -> None:
    installed("ajv")
    run("node", "asyncapi.js", *map(str, documents.values()), cwd=JS)


@pytest.mark.parametrize("name", ["demo", "zoo"])
def test_references_lead_somewhere(documents: dict[str, Path], name: str) -> None:
    found = json.loads(documents[name].read_bytes())
    assert all(resolve(found, each) for each in references(found))


@pytest.mark.parametrize("name", ["demo", "zoo"])
def test_operations_have_messages_of_their_channel(documents: dict[str, Path], name: str) -> None:
    for operation in json.loads(documents[name].read_bytes())["operations"].values():
        channel = operation["channel"]["$ref"]
        messages = operation["messages"] + operation.get("reply", {}).get("messages", [])
        assert messages
        assert all(each["$ref"].startswith(f"{channel}/messages/") for each in messages)


def checker(chat: Any) -> Callable[[str, Any], list[str]]:
    """Return what finds the messages of a gateway, received or sent, that a frame is one of."""
    found = document(api_of([Routed(chat, "/ws/")]))
    registry = Registry().with_resource("urn:api", DRAFT7.create_resource(found))

    def named(action: str, frame: Any) -> list[str]:
        matching = []
        for operation in found["operations"].values():
            answers = operation.get("reply", {}).get("messages", []) if action == "send" else []
            is_meant = operation["action"] == action
            for each in (operation["messages"] if is_meant else []) + answers:
                key = resolve(found, each["$ref"])["$ref"].rpartition("/")[2]
                schema = {"$ref": f"urn:api#/components/messages/{key}/payload"}
                if jsonschema.Draft7Validator(schema, registry=registry).is_valid(frame):
                    matching.append(key)
        return sorted(set(matching))

    return named


@pytest.mark.parametrize(
    ("page", "language", "is_obeyed"),
    [("reference/protocol", "arcly.v1", True), ("how-to/typed-events", "console", False)],
)
async def test_frames_are_what_the_document_says(
    page: str, language: str, is_obeyed: bool, layer: Any, settings: Any
) -> None:
    settings.ASGI_APPLICATION = "mysite.asgi.application"
    chat = chat_of(page)
    named = checker(chat)
    lines = page_of(page).partition(f"```{language}\n")[2].partition("```")[0].splitlines()
    async with connected(chat.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        welcome = {"event": "gateway:welcome", "data": socket.welcome}
        assert named("send", welcome) == ["gateway.welcome"]
        for line in lines:
            if "gateway:welcome" in line:
                continue
            if line.startswith("> "):
                await socket.send_to(text_data=line[2:])
                assert bool(named("receive", json.loads(line[2:]))) == is_obeyed
            else:
                frame = await socket.receive_json_from()
                names = set(named("send", frame))
                is_own = frame["event"].startswith("gateway:") or frame["event"] == "error"
                assert names - ({"Chat.send.any"} if is_own else set()), frame

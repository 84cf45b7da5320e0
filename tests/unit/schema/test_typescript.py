"""What schemas are as TypeScript."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.gateway.routed import Routed
from arcly_channels.schema.surface import Api, api_of
from arcly_channels.schema.typescript import Types, typescript

EMPTY = api_of([])
NUMBER, TEXT = {"type": "integer"}, {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({}, "unknown"),
        (True, "unknown"),
        (False, "never"),
        ({"type": "number", "minimum": 1}, "number"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"const": 'a"b'}, '"a\\"b"'),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"anyOf": [NUMBER, {"type": "number"}]}, "number"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "items": {"anyOf": [NUMBER, TEXT]}}, "(number | string)[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": [NUMBER, TEXT], "minItems": 2, "maxItems": 2},
         "[number, string]"),
        ({"type": "array", "items": [NUMBER, TEXT], "minItems": 1, "maxItems": 2},
         "[number, string?]"),
        ({"type": "array", "items": [NUMBER], "minItems": 1, "additionalItems": TEXT},
         "[number, ...string[]]"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        ({"type": "object", "additionalProperties": NUMBER}, "Record<string, number>"),
        ({"type": "object", "properties": {"a-b": NUMBER, "c": TEXT}, "required": ["c"]},
         '{\n  "a-b"?: number;\n  c: string;\n}'),
    ],
)  # fmt: skip
def test_schema_is_shown_as_a_type(schema: Any, shown: str) -> None:
    assert Types(EMPTY).type_of(schema) == shown


def test_choice_of_references_keeps_its_brackets_in_arrays() -> None:
    api = Api((), (), {"A": NUMBER, "B-Input": TEXT})
    choice = {
        "oneOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B-Input"}]
    }
    assert Types(api).type_of({"type": "array", "items": choice}) == "(A | BInput)[]"


def test_names_that_are_one_in_typescript_are_told_apart() -> None:
    api = Api((), (), {"A-B": NUMBER, "AB": TEXT, "1st": NUMBER, "Record": TEXT})
    assert list(Types(api).definitions()) == [
        "export type AB = number;\n",
        "export type AB_2 = string;\n",
        "export type _1st = number;\n",
        "export type Record_2 = string;\n",
    ]


def test_comment_says_what_a_type_cannot_and_ends_nowhere_else() -> None:
    text = {"type": "string", "minLength": 1, "description": "Ends */ here?"}
    api = Api((), (), {"Text": text})
    (shown,) = Types(api).definitions()
    comment, _, rest = shown.partition(" */\n")
    assert comment == "/**\n * Ends *\\/ here?\n *\n * minLength: 1\n"
    assert rest == "export type Text = string;\n"


class Quiet(GatewayConsumer):
    sends = {"said": int}  # noqa: RUF012


class Open(GatewayConsumer):
    @subscribe("ask")
    async def ask(self, data: int | None) -> None:
        """Ask it."""


def test_gateway_has_a_map_for_each_way() -> None:
    text = typescript(api_of([Routed(Quiet, "/quiet/"), Routed(Open, "/open/")]))
    assert "export interface QuietServerEvents {\n  said: number;\n}\n" in text
    assert "export interface QuietClientEvents {}\n" in text
    assert "export type OpenServerEvents = Record<string, any>;\n" in text
    assert "  /** Ask it. */\n  ask: (data?: number | null) => null;\n" in text

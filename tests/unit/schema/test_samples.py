"""What the console begins with: data that the gateway would take."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from arcly_channels.gateway.routed import Routed
from arcly_channels.schema.samples import sample_of
from arcly_channels.schema.surface import api_of
from tests.described import Zoo

API = api_of([Routed(Zoo, "/zoo/")])
CALLS = {call.event: call for call in API.surfaces[0].calls}


@pytest.mark.parametrize("event", CALLS)
def test_sample_is_of_its_schema(event: str) -> None:
    definitions = {"components": {"schemas": API.definitions}}
    sample = sample_of(CALLS[event].data, API.definitions)
    jsonschema.Draft7Validator({**CALLS[event].data, **definitions}).validate(sample)
    json.dumps(sample)


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "integer", "exclusiveMinimum": 4}, 5),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 1}, [False]),
        ({"enum": ["a", "b"]}, "a"),
        ({}, None),
        (True, None),
    ],
    ids=str,
)
def test_sample_keeps_to_the_bounds(schema: Any, sample: Any) -> None:
    assert sample_of(schema, {}) == sample


def test_schema_that_needs_itself_is_left_at_some_depth() -> None:
    itself = {"$ref": "#/components/schemas/A"}
    endless = {"type": "object", "properties": {"a": itself}, "required": ["a"]}
    assert json.dumps(sample_of(itself, {"A": endless})).endswith("null}}}}")

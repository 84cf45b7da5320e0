"""Data that a schema takes, or nearly so: what the console of the page begins with."""

from __future__ import annotations

from typing import Any

from arcly_channels.gateway.routed import Schema

DEEPEST = 8
"""Levels after which a schema that is in itself is left."""

FORMATS = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T12:00:00Z",
    "email": "ann@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample_of(
    schema: Any, definitions: dict[str, Schema], name: str = "text", depth: int = 0
) -> Any:
    """Return data of a schema's shape, called `name`; patterns, and rules of fields, are beyond it.

    A text without a form of its own is its name.
    """
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if "$ref" in schema:
        return sample_of(_target(schema, definitions), definitions, name, depth + 1)
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return sample_of(schema[key][0], definitions, name, depth + 1)
    kind = schema.get("type")
    if kind == "object":
        fields = {key: schema["properties"][key] for key in schema.get("required", ())}
        return {key: sample_of(fields[key], definitions, key, depth + 1) for key in fields}
    if kind == "array":
        items = schema.get("items", {})
        each = items if isinstance(items, list) else [items] * schema.get("minItems", 0)
        return [sample_of(item, definitions, name, depth + 1) for item in each]
    return _scalar(schema, kind, name)


def _target(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    return definitions[schema["$ref"].rpartition("/")[2]]


def _scalar(schema: Schema, kind: Any, name: str) -> Any:
    if kind == "string":
        text = FORMATS.get(schema.get("format", ""), name).ljust(schema.get("minLength", 0), "x")
        return text[: schema.get("maxLength")]
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    return False if kind == "boolean" else None

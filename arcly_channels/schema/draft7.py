"""JSON schemas as AsyncAPI has them, which are of draft 7, made of newer ones."""

from __future__ import annotations

from typing import Any

ONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("patternProperties", "properties")
"""The keywords that hold a schema, a list of them, and a dict of them."""


def as_draft7(schema: Any) -> Any:
    """Return a schema of 2020-12, as pydantic makes them, as one of draft 7.

    There, tuples are lists of `items`, and what stands beside a `$ref` does not count. AsyncAPI's
    `discriminator` is something else than OpenAPI's, and the `const` of each choice says the same.
    """
    if not isinstance(schema, dict):
        return schema  # True or False.
    made = {key: _converted(key, value) for key, value in schema.items() if key != "discriminator"}
    if "prefixItems" in made:
        rest = made.pop("items", None)
        made["items"] = made.pop("prefixItems")
        if rest is not None:
            made["additionalItems"] = rest
    if "$ref" in made and len(made) > 1:
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    return made


def accepts_null(schema: Any, definitions: dict[str, Any]) -> bool:
    """Return whether null is of a schema; where that is hard to say, it is not."""
    if not isinstance(schema, dict):
        return schema is True
    if "$ref" in schema:
        return accepts_null(definitions.get(schema["$ref"].rpartition("/")[2]), definitions)
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices:
        return any(accepts_null(each, definitions) for each in choices)
    kind = schema.get("type")
    return not {"type", "enum", "const"} & set(schema) or kind == "null" or "null" in (kind or [])


def _converted(key: str, value: Any) -> Any:
    if key in ONE:
        return as_draft7(value)
    if key in SEVERAL:
        return [as_draft7(each) for each in value]
    if key in NAMED:
        return {name: as_draft7(each) for name, each in value.items()}
    return value

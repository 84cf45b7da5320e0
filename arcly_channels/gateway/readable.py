"""What is wrong with reading a type from what a stranger sends, as its schema of pydantic shows.

pydantic tries every choice of a union that has no discriminator. Where two of them hold the union
again in the same field, as in a tree of `A | B` with `A.child: A | B` and `B.child: A | B`, each
level of the data doubles the time: 300 bytes take a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

CoreSchema = dict[str, Any]
"""A schema of pydantic's core; see `pydantic_core.core_schema`."""

ANY_KEY, ITEM = "*", "[]"
"""What stands for the keys of a dict, and for the places in an array."""

_KEYS = {"items_schema": ITEM, "values_schema": ANY_KEY, "extras_schema": ANY_KEY}
_OF_TEXT = ("str", "literal", "enum", "bool")
"""The types whose values are text, or a few that are known."""
_WITHOUT_SCHEMAS = ("config", "default", "metadata", "serialization")


def problem_of(schema: CoreSchema) -> str | None:
    """Return what is wrong with a type for the data of events, and what to do; None if nothing."""
    nodes = _Nodes(schema)
    if nodes.of("generator"):
        return "has an Iterable, which is read after the handler began: say list"
    if nodes.of("definition-ref") and any(map(nodes.doubles, nodes.of("union"))):
        return (
            "has a union that is in several of its own choices, in the same field, so that each "
            "level of the data doubles the time to read it: tell them apart, as in "
            'Annotated[A | B, Field(discriminator="kind")]'
        )
    return None


def hashes_numbers(schema: CoreSchema) -> bool:
    """Return whether anything but text becomes the key of a dict, or is put into a set.

    Numbers can be chosen so that all have one hash (they are equal modulo 2**61 - 1), and then each
    is compared with all before it. The hashes of text are secret.
    """
    nodes = _Nodes(schema)
    keys = [each["keys_schema"] for each in nodes.of("dict") if "keys_schema" in each]
    members = [
        each.get("items_schema", {}) for kind in ("set", "frozenset") for each in nodes.of(kind)
    ]
    return any(each.get("type") not in _OF_TEXT for each in (*keys, *members))


class _Nodes:
    """All parts of a schema."""

    def __init__(self, schema: CoreSchema) -> None:
        self._defined: dict[str, CoreSchema] = {}
        self._all = list(self._reached([schema]))
        self._defined = {each["ref"]: each for each in self._all if "ref" in each}

    def of(self, kind: str) -> list[CoreSchema]:
        return [each for each in self._all if each.get("type") == kind]

    def doubles(self, union: CoreSchema) -> bool:
        """Return whether two choices of a union hold it again in what may be the same place."""
        keys = [self._keys_to(union, choice) for choice in _flat(union["choices"])]
        return any(_meet(one, other) for one, other in combinations(keys, 2))

    def _keys_to(self, union: CoreSchema, choice: CoreSchema) -> set[str]:
        """Return the keys of a choice in whose values the union is."""
        return {
            key
            for each in self._reached([choice], is_deep=False)
            for key, below in self._below(each)
            if key is not None and any(part is union for part in self._reached([below]))
        }

    def _reached(self, waiting: list[CoreSchema], *, is_deep: bool = True) -> Iterator[CoreSchema]:
        """Yield all parts that something leads to; unless `is_deep`, those of the same value."""
        seen = set[int]()
        while waiting:
            each = waiting.pop()
            if id(each) not in seen:
                seen.add(id(each))
                yield each
                waiting += [below for key, below in self._below(each) if is_deep or key is None]

    def _below(self, schema: CoreSchema) -> Iterator[tuple[str | None, CoreSchema]]:
        """Yield what is directly in a schema, after its key if it is that of another value."""
        defined = self._defined.get(schema.get("schema_ref", ""))
        if defined is not None:
            yield None, defined
        for name, value in schema.items():
            if name == "fields" or (name == "arguments_schema" and isinstance(value, list)):
                yield from _fields(value)
            elif name not in _WITHOUT_SCHEMAS:
                is_tagged = name == "choices" and isinstance(value, dict)
                parts = _flat(list(value.values()) if is_tagged else value)
                yield from ((_KEYS.get(name), each) for each in parts)


def _fields(fields: Any) -> Iterator[tuple[str, CoreSchema]]:
    """Yield the fields of a model, a tuple or a dict that has them, by the keys of their values.

    Those of a dataclass itself are names; its arguments have the rest.
    """
    named = fields.items() if isinstance(fields, dict) else enumerate(fields)
    for key, field in named:
        if isinstance(field, dict):
            name = field.get("validation_alias", field.get("name", key))
            yield name if isinstance(name, str) else ANY_KEY, field


def _flat(value: Any) -> list[CoreSchema]:
    """Return the schemas in a value: itself, or those in a list; a choice may have a label."""
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in _flat(part)]
    return [value] if isinstance(value, dict) else []


def _meet(one: set[str], other: set[str]) -> bool:
    if one & other:
        return True
    return any(ANY_KEY in these and those - {ITEM} for these, those in ((one, other), (other, one)))

"""The types of events as TypeScript, for `Gateway<ServerEvents, ClientEvents>` of gateway.js."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from arcly_channels.gateway.routed import Schema
from arcly_channels.schema.surface import Api, Call, Surface, key_of

HEADER = "// Made by `manage.py gateway_schema --typescript`: change the gateways instead.\n"

SCALARS = {
    "boolean": "boolean",
    "integer": "number",
    "null": "null",
    "number": "number",
    "string": "string",
}
CONSTRAINTS = (
    *("minLength", "maxLength", "pattern", "format", "minItems", "maxItems"),
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "default"),
)
"""What a type of TypeScript cannot say of a value, and a comment does."""


class Types:
    """Writes the schemas of an API as types, each definition under a name of its own."""

    def __init__(self, api: Api) -> None:
        self._definitions = api.definitions
        taken = {"Record", *(name for each in api.surfaces for name in map_names(each))}
        self._names = {
            name: _identifier(key_of(_pascal(name), taken)) for name in self._definitions
        }

    @property
    def names(self) -> list[str]:
        """The names of the definitions, in their order."""
        return list(self._names.values())

    def definitions(self) -> Iterator[str]:
        """Yield the declaration of each definition."""
        for name, schema in self._definitions.items():
            comment = _comment(schema, "")
            if schema.get("type") == "object" and schema.get("properties"):
                yield f"{comment}export interface {self._names[name]} {self.type_of(schema)}\n"
            else:
                yield f"{comment}export type {self._names[name]} = {self.type_of(schema)};\n"

    def type_of(self, schema: Any, indent: str = "") -> str:
        """Return a schema as a type; `unknown` for any value."""
        if not isinstance(schema, dict):
            return "unknown" if schema else "never"
        if "$ref" in schema:
            return self._names[schema["$ref"].rpartition("/")[2]]
        if "const" in schema:
            return json.dumps(schema["const"], ensure_ascii=False)
        if "enum" in schema:
            return " | ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
        for key, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
            if key in schema:
                return sign.join(dict.fromkeys(self._part(each, indent) for each in schema[key]))
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self.type_of({**schema, "type": each}, indent) for each in kind)
        if kind == "array":
            return self._array(schema, indent)
        if kind == "object":
            return self._object(schema, indent)
        return SCALARS.get(str(kind), "unknown")

    def call_of(self, call: Call) -> str:
        """Return an event that clients send as a function, of its data to the reply."""
        mark = "?" if call.is_optional else ""
        reply = "null" if call.replies_nothing else self.type_of(call.reply, "  ")
        return f"(data{mark}: {self.type_of(call.data, '  ')}) => {reply}"

    def maps_of(self, surface: Surface) -> Iterator[str]:
        """Yield the maps of a class of gateways: of what it sends, and of what it takes."""
        sent, taken = map_names(surface)
        if surface.sends:
            events = {event: self.type_of(each, "  ") for event, each in surface.sends.items()}
            yield f"/** What {surface.name} sends. */\n" + _interface(sent, _members(events))
        else:
            said = "sends; it does not say more: see `sends`"
            yield f"/** What {surface.name} {said}. */\nexport type {sent} = Record<string, any>;\n"
        calls = [
            f"{_comment({'description': call.text}, '  ')}  {_key(call.event)}: "
            f"{self.call_of(call)};\n"
            for call in surface.calls
        ]
        yield f"/** What {surface.name} takes, and replies. */\n" + _interface(taken, calls)

    def _part(self, schema: Any, indent: str) -> str:
        """Return a type as a part of another, with the brackets that it needs there."""
        made = self.type_of(schema, indent)
        is_plain = made.startswith(("{", "[", '"')) and " | " not in made and " & " not in made
        return made if is_plain or re.fullmatch(r"[\w\[\]]+", made) else f"({made})"

    def _array(self, schema: Schema, indent: str) -> str:
        items, rest = schema.get("items", {}), schema.get("additionalItems")
        if not isinstance(items, list):
            return f"{self._part(items, indent)}[]"
        least = schema.get("minItems", 0)
        parts = [
            self._part(each, indent) + ("" if number < least else "?")
            for number, each in enumerate(items)
        ]
        if rest is not False and schema.get("maxItems", len(items) + 1) > len(items):
            parts.append(f"...{self._part({} if rest is None else rest, indent)}[]")
        return f"[{', '.join(parts)}]"

    def _object(self, schema: Schema, indent: str) -> str:
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        if not properties:
            values = self.type_of({} if more is None else more, indent)
            return f"Record<string, {values}>"
        inner = indent + "  "
        lines = []
        for name, each in properties.items():
            mark = "" if name in schema.get("required", ()) else "?"
            lines.append(_comment(each, inner))
            lines.append(f"{inner}{_key(name)}{mark}: {self.type_of(each, inner)};\n")
        if more:  # A type of its own would have to hold for the properties above, too.
            lines.append(f"{inner}[key: string]: unknown;\n")
        return f"{{\n{''.join(lines)}{indent}}}"


def typescript(api: Api) -> str:
    """Return the types of all gateways as one module, which imports nothing."""
    types = Types(api)
    maps = [each for surface in api.surfaces for each in types.maps_of(surface)]
    return "\n".join([HEADER, *types.definitions(), *maps])


def map_names(surface: Surface) -> tuple[str, str]:
    """Return the names of the two maps of a class of gateways."""
    name = _pascal(surface.name)
    return f"{name}ServerEvents", f"{name}ClientEvents"


def _interface(name: str, lines: Iterable[str]) -> str:
    body = "".join(lines)
    return f"export interface {name} {{\n{body}}}\n" if body else f"export interface {name} {{}}\n"


def _members(types: dict[str, str]) -> Iterator[str]:
    return (f"  {_key(name)}: {each};\n" for name, each in types.items())


def _comment(schema: Any, indent: str) -> str:
    """Return what is said of a value, and what its type does not say, as a comment."""
    if not isinstance(schema, dict):
        return ""
    limits = [
        f"{key}: {json.dumps(schema[key], ensure_ascii=False)}"
        for key in CONSTRAINTS
        if key in schema and not isinstance(schema.get("items"), list)
    ]
    text = schema.get("description", "")
    if limits:
        text = f"{text}\n\n{'; '.join(limits)}".strip()
    if not text:
        return ""
    lines = text.replace("*/", "*\\/").splitlines()
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_$][\w$]*", name) else json.dumps(name, ensure_ascii=False)


def _pascal(name: str) -> str:
    parts = re.findall(r"[A-Za-z0-9_]+", name)
    return _identifier("".join(each[:1].upper() + each[1:] for each in parts))


def _identifier(name: str) -> str:
    made = re.sub(r"\W", "_", name, flags=re.ASCII)
    return made if made[:1].isalpha() or made[:1] == "_" else f"_{made}"

"""What a type makes of the data of events: it reads a client's, and writes and checks ours.

The one door to pydantic, which the extra `typed` brings; the first class that names a type opens
it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Literal, TypeVar

import orjson
from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, PydanticSerializationError, SchemaError
from typing_extensions import TypedDict

from arcly_channels.exceptions import Detail, InvalidPayload, PayloadMismatch
from arcly_channels.gateway.readable import hashes_numbers, problem_of
from arcly_channels.wire.blame import cut, step
from arcly_channels.wire.envelope import Event, Frame

MAX_VALUES = 20_000
"""How many values the data of a typed event may have, in all its arrays and objects.

A mebibyte of wrong ones has 500,000. To note what is wrong with each would take 0.3 s, during which
nobody else has a turn; of so many it takes 10 ms, for each choice where there is a union.
"""
MAX_HASHED = 2_000
"""The same where numbers or the like are keys: so many of one hash take 30 ms, and ten times as
many 3 s.
"""
MAX_DETAILS = 100
"""Of how many faults each is told; of more, just how many there are."""
_MAX_MESSAGE = 500
"""How many characters of what is said of one fault, which may be a project's own words."""


K = TypeVar("K", bound=Hashable)
Mode = Literal["validation", "serialization"]
"""Whether data is read or written."""


class Payload:
    """A type that data is of, and `where` that is said: any that pydantic's `TypeAdapter` knows.

    It is made once, with the class of a gateway. Raises `TypeError` for a type that cannot be read
    from JSON, or has names in it that are not defined yet.
    """

    __slots__ = ("_from_frame", "_most", "adapter", "where")

    def __init__(self, annotation: Any, where: str) -> None:
        self.where = where
        make: Any = TypedDict  # Whose calls type checkers want to understand.
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(annotation)
            self.adapter.rebuild(raise_errors=True)  # Else a name that is missing shows when used.
            envelope = TypeAdapter(make("Envelope", {"data": annotation}, total=False))
        except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError) as error:
            problem = str(error).partition("\n")[0]
            raise TypeError(
                f"{where} is {annotation!r}, which cannot be used: {problem}"
            ) from error
        self._from_frame = envelope.validator.validate_json
        self._most = MAX_VALUES

    def check_readable(self) -> None:
        """Raise `TypeError` for a type that is not to be read from what a stranger sends."""
        schema: Any = self.adapter.core_schema
        problem = problem_of(schema)
        if problem is not None:
            raise TypeError(f"{self.where} {problem}")
        if hashes_numbers(schema):
            self._most = MAX_HASHED

    def read(self, event: Event) -> Any:
        """Return an event's data as the type says; raise `InvalidPayload` that names each fault.

        It is read from the text of the frame, so that JSON's rules hold, as for dates and tuples;
        after `decode`, which is stricter: pydantic alone would take NaN, and 1e999 for infinity.
        """
        if event.text.count(",") >= self._most:
            _check_size(event.data, self._most)
        try:
            envelope = self._from_frame(event.text)
            return envelope["data"] if envelope else self.adapter.validate_python(None)
        except ValidationError as error:
            raise InvalidPayload(_details(error)) from None  # It knows what the client has sent.

    def write(self, value: Any) -> orjson.Fragment:
        """Return a value as the type writes it: by alias, and with its own serializers."""
        return orjson.Fragment(self.adapter.dump_json(value, by_alias=True, warnings=False))

    def check(self, value: Any, frame: Frame) -> None:
        """Raise `PayloadMismatch` unless the frame holds what the type says, made of `value`.

        That is what the type itself writes of the value, or else JSON that it reads to the letter.
        """
        try:
            own = self.adapter.dump_json(value, by_alias=True, warnings="error")
        except PydanticSerializationError:
            pass  # A dict in place of a model, say, which may be right nevertheless.
        else:
            if orjson.loads(own) == orjson.loads(frame.payload)["data"]:
                return
        try:
            self._from_frame(frame.payload, strict=True)
        except ValidationError as error:
            raise PayloadMismatch(self.where, _details(error)) from None


class _PlainSchemas(GenerateJsonSchema):
    """Makes schemas without a title for each field; what JSON has nothing for is anything."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def json_schemas(
    payloads: Iterable[tuple[K, Mode, Payload]], ref_template: str
) -> tuple[dict[tuple[K, Mode], Any], dict[str, Any]]:
    """Return the JSON schemas of payloads (2020-12), and the definitions that those refer to.

    `ref_template` is how they do, as in `#/$defs/{model}`.
    """
    inputs = [(key, mode, each.adapter) for key, mode, each in payloads]
    found, rest = TypeAdapter.json_schemas(
        inputs, by_alias=True, ref_template=ref_template, schema_generator=_PlainSchemas
    )
    return found, rest.get("$defs", {})


def _check_size(data: Any, most: int) -> None:
    """Refuse data of too many values; of a frame with that many commas, which may be in a text."""
    number = 0
    waiting: list[Any] = [[data]]
    while waiting:
        each = waiting.pop()
        number += len(each)
        if number > most:
            raise InvalidPayload([{"path": "data", "message": f"more than {most} values"}])
        items = each.values() if isinstance(each, dict) else each
        waiting.extend(item for item in items if isinstance(item, (list, dict)))


def _details(error: ValidationError) -> list[Detail]:
    """Return what is wrong, and where, and not what was there instead."""
    number = error.error_count()
    if number > MAX_DETAILS:
        return [{"path": "data", "message": f"{number} values are wrong"}]
    return [
        {"path": _path(each["loc"]), "message": _message(each)[:_MAX_MESSAGE]}
        for each in error.errors(include_url=False, include_input=False)
    ]


def _path(location: tuple[int | str, ...]) -> str:
    path = "data"
    for key in location[1:] if location[:1] == ("data",) else location:
        path += f"[{key}]" if isinstance(key, int) else step({}, key)
    return cut(path)


def _message(fault: ErrorDetails) -> str:
    """Return what pydantic says of a fault, without the words of it that are the client's."""
    context = fault.get("ctx", {})
    cause = context.get("value" if fault["type"] == "zoneinfo_str" else "error")
    if isinstance(cause, Exception):
        return str(cause)  # That of a project's own validator.
    message = fault["msg"]
    if cause is not None:  # As in "invalid character: found `x` at 1".
        message = message.removesuffix(str(cause)).rstrip(" :,")
    return message.replace(f"'{context['tag']}' ", "", 1) if "tag" in context else message

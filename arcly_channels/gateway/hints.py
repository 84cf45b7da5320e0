"""Which types the annotations of a handler name: its own, or those of the method it overrides."""

from __future__ import annotations

import inspect
from types import NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_type_hints

if TYPE_CHECKING:
    from arcly_channels.gateway.payloads import Payload

ANYTHING = (Any, object)
"""What says nothing about a payload: it comes as the JSON that was parsed."""

_UNSAID = object()


class Hint(NamedTuple):
    """A type that an annotation names, and where that is, for errors."""

    annotation: Any
    where: str


def data_hint(gateway: type, method: str) -> Hint | None:
    """Return the type of a handler's `data`; None where that is not said, or `Any`.

    Raises `TypeError` for one that cannot be found, or that stands for any other.
    """
    return _hint(gateway, method, "data")


def reply_hint(gateway: type, method: str) -> Hint | None:
    """Return the type of what a handler returns; None where that is not said, `Any` or `None`."""
    hint = _hint(gateway, method, "return")
    return None if hint is None or hint.annotation is NoneType else hint


def returns_nothing(gateway: type, method: str) -> bool:
    """Return whether a handler says that it returns None; what cannot be found says nothing."""
    try:
        hint = _hint(gateway, method, "return")
    except TypeError:
        return False
    return hint is not None and hint.annotation is NoneType


def payload_of(hint: Hint) -> Payload:
    """Return what reads and writes a type; raise `TypeError` for one that says nothing of JSON."""
    try:
        from arcly_channels.gateway.payloads import Payload  # Which takes a moment to load.
    except ModuleNotFoundError as error:
        raise TypeError(
            f"{hint.where} is {hint.annotation!r}, which pydantic checks, and there is no module "
            f"{error.name}: pip install arcly-channels[typed], or say Any and check it yourself"
        ) from None
    return Payload(hint.annotation, hint.where)


def place_of(gateway: type, name: str) -> str:
    """Return where a class has an attribute, and whose that is when it is not its own."""
    owner = next(each for each in gateway.__mro__ if name in vars(each))
    of = "" if owner is gateway else f" (of {owner.__qualname__})"
    return f"{gateway.__qualname__}.{name}{of}"


def _hint(gateway: type, method: str, which: str) -> Hint | None:
    """Return what the nearest definition says that says anything.

    For an override without annotations hands on to `super()` what that expects.
    """
    where = f"{place_of(gateway, method)}: the type of its {which}"
    for owner in gateway.__mro__:
        try:
            annotation = _annotation(owner, method, which)
        except (NameError, AttributeError, SyntaxError) as error:
            raise TypeError(
                f"{where} cannot be found ({error}): import or define it at the top of the module, "
                "or in the class, and neither in a function nor under TYPE_CHECKING"
            ) from None
        if annotation is _UNSAID:
            continue
        if isinstance(annotation, TypeVar) or _has_type_variables(annotation):
            raise TypeError(f"{where} is {annotation}, which stands for any: name a type, or Any")
        return None if annotation in ANYTHING else Hint(annotation, where)
    return None


def _has_type_variables(annotation: Any) -> bool:
    """Return whether it is `list[T]` or the like, whose items would not be looked at."""
    return bool(get_args(annotation) and getattr(annotation, "__parameters__", ()))


def _annotation(owner: type, method: str, which: str) -> Any:
    """Return what a class's own definition says, with the names of its module and of the class."""
    function = inspect.unwrap(vars(owner).get(method))  # type: ignore[arg-type]  # None is handed back.
    if not inspect.isfunction(function):
        return _UNSAID
    # Whatever the parameter is called: it is the one after `self`.
    name = list(inspect.signature(function).parameters)[1] if which == "data" else which
    said = function.__annotations__.get(name, _UNSAID)
    if said is _UNSAID:
        return said
    holder = SimpleNamespace(__annotations__={"it": said})
    hints = get_type_hints(holder, function.__globals__, dict(vars(owner)), include_extras=True)
    return hints["it"]

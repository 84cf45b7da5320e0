"""What may stand in the CONFIG of a layer, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from typing import ParamSpec

P = ParamSpec("P")

_OF_REDIS = frozenset(
    {
        "hosts",
        "prefix",
        "symmetric_encryption_keys",
        "serializer_format",
        "connection_kwargs",
        "on_disconnect",
        "on_reconnect",
    }
)
_ZERO_IN_MEMORY = {
    "capacity": "0 is no bound in InMemoryChannelLayer; here every channel has a bound",
    "group_expiry": "for memberships without end give float('inf')",
}


def refuses_unknown_options(init: Callable[P, None]) -> Callable[P, None]:
    """Have a constructor say what to do about an option that it does not know: a `TypeError`."""
    known = list(signature(init).parameters)[1:]

    @wraps(init)
    def checked(*args: P.args, **options: P.kwargs) -> None:
        for name in options:
            if name in known:
                continue
            if name in _OF_REDIS:
                raise TypeError(
                    f"{name} is an option of channels_redis and of no use here: drop it"
                )
            raise TypeError(f"{name} is no option; there are {', '.join(known)}")
        init(*args, **options)

    return checked


def require_positive(**options: object) -> None:
    """Raise `ValueError` for an option that is no number above 0."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            hint = f" ({_ZERO_IN_MEMORY[name]})" if name in _ZERO_IN_MEMORY else ""
            raise ValueError(f"{name} is a number above 0, not {value!r}{hint}")


def require_one_of(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise `ValueError` for an option that is not one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")

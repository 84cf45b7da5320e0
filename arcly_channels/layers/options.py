"""What may stand in the CONFIG of a layer, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Mapping

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


def refuse_unknown(options: Mapping[str, object]) -> None:
    """Raise `TypeError` if there is an option that nobody knows, and say what to do about it."""
    for name in options:
        if name in _OF_REDIS:
            raise TypeError(f"{name} is an option of channels_redis, and of no use here: drop it")
        raise TypeError(
            f"unknown option {name}; there are expiry, group_expiry, capacity, channel_capacity, "
            "overflow and shards"
        )


def require_positive(**options: object) -> None:
    """Raise `ValueError` for an option that is no number above 0."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            hint = f" ({_ZERO_IN_MEMORY[name]})" if name in _ZERO_IN_MEMORY else ""
            raise ValueError(f"{name} is a number above 0, not {value!r}{hint}")

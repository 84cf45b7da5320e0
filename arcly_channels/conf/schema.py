"""The setting about the description of gateways: its shape, and what is wrong with it."""

from __future__ import annotations

from urllib.parse import urlsplit

KEYS = ("TITLE", "VERSION", "DESCRIPTION", "URL")
HINT = (
    'Write {"TITLE": "Chat", "VERSION": "2.1", "DESCRIPTION": "…", "URL": "wss://example.com"}, '
    "or some of them."
)


def is_schema(value: object) -> bool:
    """Return whether `value` can be the setting `SCHEMA`."""
    if value is None:
        return True
    if not isinstance(value, dict) or not set(value) <= set(KEYS):
        return False
    if not all(isinstance(each, str) and each for each in value.values()):
        return False
    return "URL" not in value or is_address(value["URL"])


def is_address(url: str) -> bool:
    """Return whether a URL is that of a server for WebSockets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(parts.netloc) and not parts.query

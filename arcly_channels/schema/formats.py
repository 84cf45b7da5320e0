"""The description of gateways as text, in each of its forms."""

from __future__ import annotations

import json
from collections.abc import Callable

from arcly_channels.schema.asyncapi import document
from arcly_channels.schema.surface import Api
from arcly_channels.schema.typescript import typescript


class NoYaml(Exception):
    """YAML is asked for, and PyYAML is missing."""


def as_json(api: Api) -> str:
    return json.dumps(document(api), indent=2, ensure_ascii=False) + "\n"


def as_yaml(api: Api) -> str:
    """Return the document as YAML; raise `NoYaml` where nobody can write that."""
    try:
        import yaml
    except ImportError:
        raise NoYaml("YAML needs the package PyYAML: pip install PyYAML, or take JSON") from None
    plain = json.loads(as_json(api))  # What is in it twice is written twice.
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return text


WRITERS: dict[str, Callable[[Api], str]] = {
    "json": as_json,
    "yaml": as_yaml,
    "typescript": typescript,
}

"""The description of gateways as a document of AsyncAPI 3.0.0, from the server's point of view."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings as django_settings

from arcly_channels.conf.settings import get_settings
from arcly_channels.schema import protocol
from arcly_channels.schema.channels import Channel
from arcly_channels.schema.messages import Messages, Part
from arcly_channels.schema.security import Schemes, schemes_of
from arcly_channels.schema.surface import Api
from arcly_channels.wire.protocol import SUBPROTOCOL

VERSION = "3.0.0"

REQUESTS = (
    f"What a client of `{SUBPROTOCOL}` gives a request, and the answer repeats. Without that "
    "subprotocol there are no replies, and nothing of the protocol itself but `error` and "
    "`auth.refreshed`."
)


def document(api: Api) -> Part:
    """Return the document. The same gateways give the same one, with its keys in the same order."""
    schemes: Schemes = {}
    channels: Part = {}
    operations: Part = {}
    taken: set[str] = set()
    messages = protocol.messages()
    of_surfaces = {surface.name: Messages(surface) for surface in api.surfaces}
    for each in of_surfaces.values():
        messages |= each.found
    for entrance in api.entrances:
        schemes |= schemes_of(entrance)
        channel = Channel(entrance, of_surfaces[entrance.surface.name])
        channels[entrance.name] = channel.described()
        operations |= channel.operations(taken)
    components = {
        "messages": _sorted(messages),
        "schemas": _sorted({**api.definitions, **protocol.schemas()}),
        "correlationIds": {"ref": {"description": REQUESTS, "location": "$message.payload#/ref"}},
        "securitySchemes": _sorted(schemes),
    }
    return {
        "asyncapi": VERSION,
        "info": info(),
        **_servers(),
        "defaultContentType": "application/json",
        "channels": _sorted(channels),
        "operations": _sorted(operations),
        "components": {name: each for name, each in components.items() if each},
        "x-close-codes": protocol.close_codes(),
    }


def info() -> Part:
    """Return what the whole is called: by the setting, or else by the name of the project."""
    said = get_settings().SCHEMA or {}
    project: str = django_settings.ASGI_APPLICATION.partition(".")[0]
    info = {"title": said.get("TITLE", project), "version": said.get("VERSION", "1")}
    return info | ({"description": said["DESCRIPTION"]} if "DESCRIPTION" in said else {})


def _sorted(part: Part) -> Part:
    return dict(sorted(part.items()))


def _servers() -> Part:
    """Return the server of the setting; where none is said, none is known."""
    url = (get_settings().SCHEMA or {}).get("URL")
    if url is None:
        return {}
    parts = urlsplit(url)
    server = {"host": parts.netloc, "protocol": parts.scheme}
    path = parts.path.rstrip("/")
    return {"servers": {"default": server | ({"pathname": path} if path else {})}}

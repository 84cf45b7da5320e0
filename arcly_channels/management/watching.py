"""What a running server says of itself, asked over HTTP, and how that looks in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from arcly_channels.views import KEY_HEADER

VIEW = "gateway-top"

TIMEOUT = 10.0
"""Seconds that a server may take to answer."""

Overview = dict[str, Any]

COLUMNS = (
    ("BYTES", 10, "bytes"),
    ("FRAMES", 7, "frames"),
    ("ROOMS", 6, "rooms"),
    ("SECONDS", 9, "seconds"),
    ("ID", -16, "id"),
    ("USER", -16, "user"),
    ("TENANT", -12, "tenant"),
    ("ADDRESS", -16, "address"),
    ("PATH", -20, "path"),
)
"""What is shown of a client: the heading, the width (to the left if negative), the key."""


class Unwatchable(Exception):
    """A server that shows nothing; the message says what to do about it."""


class _NoRedirects(HTTPRedirectHandler):
    """Follows none: the key would be sent wherever they lead."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


class Remote:
    """Asks the view under `url`, where a project has included `arcly_channels.urls`."""

    def __init__(self, url: str, key: str | None, clients: int) -> None:
        if not _is_address(url):
            raise Unwatchable(f"{url} is no address of a server: write http:// or https:// …")
        base = url.rstrip("/").removesuffix(f"/{VIEW}")
        self.url = f"{base}/{VIEW}"
        headers = {"Accept": "application/json"} | ({} if key is None else {KEY_HEADER: key})
        self._request = Request(f"{self.url}?clients={clients}", headers=headers)  # noqa: S310  # Checked.
        self._has_key = key is not None
        self._opener = build_opener(_NoRedirects)

    def look(self) -> Overview:
        """Return what there is to see now; raise `Unwatchable` if that is nothing."""
        try:
            with self._opener.open(self._request, timeout=TIMEOUT) as response:
                found = json.load(response)
        except HTTPError as error:
            with error:
                raise Unwatchable(self._advice(error)) from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unwatchable(f"{self.url} cannot be reached ({reason}): is it running?") from None
        except ValueError:
            found = None
        if not isinstance(found, dict) or "connections" not in found:
            raise Unwatchable(f"what answers at {self.url} is not the view of arcly_channels.urls")
        return found

    def _advice(self, error: HTTPError) -> str:
        said = _said(error)
        if said and error.code == 403:
            key = "another WATCH_KEY than this one" if self._has_key else "a key, and there is none"
            return (
                f"{self.url} wants {key}: set ARCLY_WATCH_KEY in the environment, or WATCH_KEY in "
                "ARCLY_CHANNELS, to that of the server's settings"
            )
        if said:
            return f"{self.url}: {said}"
        if 300 <= error.code < 400:
            return f"{self.url} is a redirect to {error.headers.get('Location')}: give that address"
        advice = {
            400: "is this host among its ALLOWED_HOSTS?",
            404: 'write path("", include("arcly_channels.urls")) into its urls.py, and give the '
            "address under which that is",
        }
        return f"{self.url} answers with {error.code}: {advice.get(error.code, error.reason)}"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _said(error: HTTPError) -> str:
    """Return what our view says in a refusal; nothing if that is somebody else's."""
    try:
        found = json.loads(error.read(10_000))
    except (ValueError, OSError, HTTPException):
        return ""
    said = found.get("error") if isinstance(found, dict) else None
    return said if isinstance(said, str) else ""


def lines(now: Overview, before: Overview | None) -> Iterator[str]:
    """Yield what there is to see, with rates since the look `before`, if there was one."""
    yield (
        f"process {now['process']}: {now['connections']:,} connections, {now['rooms']:,} rooms "
        f"with {now['members']:,} members, {now['evictions']:,} evictions"
    )
    rates = [
        f"{_rate(now, before, key)} {what}"
        for key, what in (
            ("frames_out", "frames/s out"),
            ("bytes_out", "bytes/s out"),
            ("events_in", "events/s in"),
        )
    ]
    yield ", ".join(rates)
    yield f"pending: {now['pending_frames']:,} frames, {now['pending_bytes']:,} bytes"
    for problem in now["problems"]:
        yield printable(f"NOT WELL: {problem['what']}: {problem['why']}")
    yield ""
    yield _row({key: heading for heading, _, key in COLUMNS})
    for client in now["clients"]:
        yield _row(client)


def _rate(now: Overview, before: Overview | None, key: str) -> str:
    if before is None or before["process"] != now["process"]:
        return "-"
    seconds = now["clock"] - before["clock"]
    return f"{(now[key] - before[key]) / seconds:,.0f}" if seconds > 0 else "-"


def _row(client: dict[str, Any]) -> str:
    cells = []
    for _, width, key in COLUMNS:
        value = client.get(key)
        shown = f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
        cells.append(f"{shown:<{-width}}" if width < 0 else f"{shown:>{width}}")
    return printable(" ".join(cells).rstrip())


def printable(text: str) -> str:
    """Return a line that does nothing to a terminal: who somebody is, he may have said himself."""
    return "".join(each if each.isprintable() else "?" for each in text)

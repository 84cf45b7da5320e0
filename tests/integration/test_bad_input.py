"""What bad input gets, as the page about the protocol says, on every server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from arcly_channels.identity.tokens import issue_token
from arcly_channels.wire.protocol import SUBPROTOCOL
from benchmarks.wire import PING, PONG, client_frame
from tests.clients import DEADLINE, Client, connected
from tests.documents import DOCS, section, table
from tests.integration.stalled import fragments
from tests.integration.test_outbound import PROJECT, SERVERS
from tests.memory import process_of
from tests.servers import Server

SECRET = "s" * 32
LIMITS = {
    "MAX_MESSAGE_BYTES": 2000,
    "MAX_ROOMS_PER_CONNECTION": 1,
    "RATE_LIMIT": {"EVENTS": 10, "BURST": 2, "ERRORS": 5},
    "MAX_CONNECTIONS": 6,
    "MAX_CONNECTIONS_PER_USER": 2,
    "MAX_CONNECTIONS_PER_ADDRESS": 3,
    "TRUSTED_PROXIES": ["127.0.0.1"],
    "HANDSHAKE_TIMEOUT": 0.5,
    "JWT": {"KEYS": [SECRET]},
}
MARK = "mark"
NONE = "–"  # noqa: RUF001  # As it is in the table.


def frame(event: Any, data: Any = None, **more: Any) -> str:
    return json.dumps({"event": event, "data": data, **more})


REFS: tuple[Any, ...] = (-1, 1.5, True, [], "x" * 65)
FRAMES: dict[str, list[str | bytes]] = {
    "no JSON": ["", "{", "tea", "{'event': 1}", "NaN"],
    "JSON that is no object": ["[]", "null", "7", '"echo"'],
    "no event, or one that is no string": ["{}", frame(7), frame(None), frame([])],
    "a ref that is none": [frame("echo", ref=each) for each in REFS],
    "a binary message": [b"\x00", b"\xff" * 100, frame("echo").encode()],
    "nesting of more than 64 levels": ["[" * 1000, '{"a":' * 300 + "1" + "}" * 300],
    "malformed messages, again and again": ["{}"] * 100,
    "an event without a handler": [frame("nonsense"), frame(""), frame("x" * 1000)],
    "an event that only servers send": [
        frame(each) for each in ("gateway:welcome", "gateway:bye", "error")
    ],
    "an unknown event that begins with gateway:": [frame("gateway:x"), frame("gateway:")],
    "an event whose roles or permissions are missing": [frame("secret")],
    "data that is not of the handler's type": [
        frame("typed", each) for each in (None, "tea", {"number": "x"}, {"number": [1] * 500})
    ],
    "gateway:join where there is no may_join": [frame("gateway:join", {"room": "tea"})],
    "a room that is none": [frame("gateway:join", each) for each in (None, {}, {"room": 7})],
    "a room beyond MAX_ROOMS_PER_CONNECTION": [
        frame("gateway:join", {"room": each}) for each in ("tea", "garden")
    ],
    "auth.refresh with a token that is none": [
        frame("auth.refresh", each) for each in (None, {"token": 7}, {"token": "x"})
    ],
    "a message of more than MAX_MESSAGE_BYTES": [frame("echo", "x" * 2000)],
    "more than RATE_LIMIT allows": [frame("echo")] * 22,
    "more than that, again and again": [frame("echo")] * 100,
}
COUNTED = {"daphne", "uvicorn", "uvicorn wsproto", "hypercorn"}
"""The servers that let us see frames which are no messages."""
COUNTED_OR_NOT = "4429 or open"
RAW = {
    "text that is no UTF-8": client_frame(b"\xff"),
    "pings, again and again": client_frame(b"", PING) * 200,
    "pongs to no ping, again and again": client_frame(b"", PONG) * 200,
    "fragments of less than 128 bytes, again and again": fragments(1, 1000, b" ")[:-7]
    + b"\x80"
    + client_frame('{"event":"gateway:ping"}')[1:],
}
"""What no client library would send."""
PATHS = {
    "gateway:join where there is no may_join": "/closed",
    "an authorize that takes longer than HANDSHAKE_TIMEOUT": "/pondering",
    "an on_connect that takes longer than HANDSHAKE_TIMEOUT": "/dawdling",
}
CROWDS = {
    "a connection beyond MAX_CONNECTIONS": 6,
    "a connection beyond MAX_CONNECTIONS_PER_USER": 2,
    "a connection beyond MAX_CONNECTIONS_PER_ADDRESS": 3,
}
"""How many others there are, each with what it is that they have in common."""


def rows() -> list[tuple[str, str, str]]:
    """Return what the page says: the input, the codes of errors, and what the connection does."""
    found = table(section(DOCS / "reference" / "protocol.md", "What bad input gets"))
    return [(*(each.replace("`", "") for each in row.values()),) for row in found]  # type: ignore[misc]


def test_rows_of_the_page_are_those_that_are_tried() -> None:
    assert {row[0] for row in rows()} == {*FRAMES, *RAW, *PATHS, *CROWDS}


@pytest.fixture(params=SERVERS, scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    project = "tests.integration.limits_project"
    command = [each.replace(PROJECT, project) for each in SERVERS[request.param]]
    environment = {"TEST_ARCLY_CHANNELS": json.dumps(LIMITS)}
    directory = tmp_path_factory.mktemp("server")
    with Server(*command, directory=directory, environment=environment) as server:
        yield server
        log = server.log.read_text()
        assert log.count("Traceback") == log.count("Invalid UTF-8 sequence")  # Those are uvicorn's.


def crowd(server: Server, kind: str, stack: ExitStack) -> None:
    """Connect as many clients as there may be; one more is one too many."""
    for number in range(CROWDS.get(kind, 0)):
        stack.enter_context(joined(server, kind, number))


def joined(server: Server, kind: str, number: int) -> Any:
    headers = {"X-Forwarded-For": f"192.0.2.{number}"}
    if kind.endswith("ADDRESS"):
        headers = {"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.7"}
    if kind.endswith("USER"):
        headers["Authorization"] = f"Bearer {token()}"
    return connected(server, headers, PATHS.get(kind, "/"), subprotocol=SUBPROTOCOL)


def token() -> str:
    from django.test import override_settings

    with override_settings(ARCLY_CHANNELS={"JWT": {"KEYS": [SECRET]}}):
        return issue_token({"sub": "ann"})


def send(client: Client, kind: str) -> None:
    """Send what there is to send, as far as the server takes it, and a mark behind it."""
    with suppress(ConnectionClosed):
        if kind in RAW:
            client.socket.socket.sendall(RAW[kind])
        for each in (*FRAMES.get(kind, ()), frame("gateway:ping", ref=MARK)):
            client.socket.send(each)


def answers(client: Client) -> Iterator[dict[str, Any]]:
    """Yield the frames up to the mark, or up to the end of the connection."""
    with suppress(ConnectionClosed):
        while (found := client.receive()).get("ref") != MARK:
            yield found


def outcome(client: Client) -> tuple[str, str]:
    """Return the codes of the errors, and what has become of the connection."""
    frames = list(answers(client))
    errors = [each["data"] for each in frames if each["event"] == "error"]
    assert all("retry_after" in each for each in errors if each["code"] == "rate_limited")
    end = str(client.socket.protocol.close_code or "open")
    if frames[-1:] and frames[-1]["event"] == "gateway:bye":
        bye = str(frames[-1]["data"]["code"])
        assert end in (bye, "1006")  # A close may be lost that is sent to who is sending.
        end = bye
    return ", ".join(sorted({each["code"] for each in errors})) or NONE, end


def try_out(server: Server, kind: str, stack: ExitStack) -> tuple[str, str]:
    try:
        client = stack.enter_context(joined(server, kind, 99))
    except InvalidStatus as refused:
        return NONE, str(refused.response.status_code)
    send(client, kind)
    return outcome(client)


@pytest.mark.parametrize(("kind", "errors", "end"), rows(), ids=lambda each: each.replace(" ", "-"))
def test_bad_input_gets_what_the_page_says(
    request: pytest.FixtureRequest, server: Server, kind: str, errors: str, end: str
) -> None:
    if end == COUNTED_OR_NOT:
        end = "4429" if request.node.callspec.params["server"] in COUNTED else "open"
    for _ in range(10):  # granian's reset may overtake what is sent to a client that is sending.
        with ExitStack() as stack:
            crowd(server, kind, stack)
            found = try_out(server, kind, stack)
        if found[1] != "1006":
            break
    if kind.endswith("again and again") and found[0] == NONE:
        found = errors, found[1]  # What waits for who is closed for a flood is dropped.
    assert (found[0], found[1] in end.split(" or ")) == (errors, True), found


FLOODS = [["{}"] * 100, [frame("echo")] * 100, [frame("goodbye"), *["{}"] * 99]]


@pytest.mark.parametrize("frames", FLOODS, ids=["malformed", "valid", "too-late"])
def test_floods_leave_nothing_open(server: Server, frames: list[str]) -> None:
    """However many frames wait for an application that has ended."""
    directory = Path(f"/proc/{process_of(server.pid)}/fd")
    before, deadline = 0, time.monotonic() + DEADLINE
    for _ in range(4):
        with connected(server, {}, "/", subprotocol=SUBPROTOCOL) as client:
            with suppress(ConnectionClosed):
                for each in frames:
                    client.socket.send(each)
            assert outcome(client)[1] != "open"
        before = before or len(list(directory.iterdir()))  # What the first may have opened.
    while len(list(directory.iterdir())) > before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""How `manage.py gateway_top` asks a server, and what it makes of the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.watch import overview
from arcly_channels.management.watching import Remote, Unwatchable, lines


class Answers(BaseHTTPRequestHandler):
    """Answers every path by what is in `answers`, and notes what was asked for."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers["X-Watch-Key"]))
        status, headers, body = server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Answers)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def remote(server: Any, path: str = "/") -> Remote:
    return Remote(f"http://127.0.0.1:{server.server_port}{path}", "the key", 7)


@pytest.mark.parametrize("path", ["", "/", "/gateway-top", "/gateway-top/"])
def test_view_is_asked_for_with_the_key_and_the_number_of_clients(server: Any, path: str) -> None:
    server.answer = (200, {}, b'{"connections": 0}')
    assert remote(server, path).look() == {"connections": 0}
    assert server.asked == [("/gateway-top?clients=7", "the key")]


@pytest.mark.parametrize(
    ("status", "headers", "body", "advice"),
    [
        (302, {"Location": "http://127.0.0.1:1/x"}, b"", "is a redirect to http://127.0.0.1:1/x:"),
        (400, {}, b"<h1>Bad Request</h1>", "answers with 400: is this host among its ALLOWED_HOST"),
        (403, {}, b"<h1>Forbidden</h1>", "answers with 403: Forbidden"),
        (403, {}, b'{"error": "no"}', "wants another WATCH_KEY than this one"),
        (404, {}, b"<h1>Not Found</h1>", 'write path("", include("arcly_channels.urls"))'),
        (404, {}, b'{"error": "no layer"}', "no layer"),
        (500, {}, b"", "answers with 500"),
        (200, {}, b"<h1>Hello</h1>", "is not the view of arcly_channels.urls"),
        (200, {}, b"\xff", "is not the view of arcly_channels.urls"),
        (200, {}, b"[]", "is not the view of arcly_channels.urls"),
        (200, {"Content-Length": "9"}, b"{", "cannot be reached"),
    ],
)
def test_answer_that_shows_nothing_is_explained(
    server: Any, status: int, headers: dict[str, str], body: bytes, advice: str
) -> None:
    server.answer = (status, headers, body)
    with pytest.raises(Unwatchable) as error:
        remote(server).look()
    assert advice in str(error.value)
    assert len(server.asked) == 1  # The key went nowhere else.


def seen(layer: LocalChannelLayer, **more: Any) -> dict[str, Any]:
    return {**overview([layer], 10), **more}


def test_rates_are_those_between_two_looks(layer: LocalChannelLayer) -> None:
    before = seen(layer, clock=10.0, frames_out=1000)
    now = seen(layer, clock=12.0, frames_out=4000)
    assert next(line for line in lines(now, before) if "/s" in line).startswith("1,500 frames/s")


def test_first_look_and_that_at_another_process_have_no_rates(layer: LocalChannelLayer) -> None:
    now = seen(layer)
    for before in (None, {**now, "process": 0}, now):
        assert "- frames/s out" in "\n".join(lines(now, before))


def test_what_is_wrong_is_said(layer: LocalChannelLayer) -> None:
    problem = {"what": "stalled", "why": "an event loop is late"}
    shown = list(lines(seen(layer, problems=[problem]), None))
    assert "NOT WELL: stalled: an event loop is late" in shown


def test_nothing_that_a_client_says_of_itself_acts_on_the_terminal(
    layer: LocalChannelLayer,
) -> None:
    client = {"user": "\x1b[2J", "path": "/\x9b2J\n\r\u202e", "bytes": 1}
    *_, shown = lines(seen(layer, clients=[client]), None)
    assert "\x1b" not in shown
    assert "?[2J" in shown
    assert shown.isprintable()

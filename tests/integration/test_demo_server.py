"""The protocol of the demo's gateway, its page and its metrics, on a real Daphne."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus

from tests.clients import DEADLINE, Client, Visitor, chatting, connected, join
from tests.servers import Server, demo_server, run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


Connect = Callable[..., Client]

MAKE_DEMO = """
import os, sys
ready = sys.prefix + "/.ready-demo"  # Not to be made: it has what the tests have.
os.execvp("make", ["make", "-o", ready, "VENV=" + sys.prefix, "PORT=" + sys.argv[1], "demo"])
"""


@pytest.fixture
def client(server: Server) -> Iterator[Connect]:
    """Connects clients, under a name that was picked on the page."""
    with ExitStack() as stack:

        def connect_client(name: str) -> Client:
            visitor = Visitor(server)
            visitor.enter(name=name, room="tea")
            return stack.enter_context(chatting(server, visitor.headers()))

        yield connect_client


# The page


def test_page_asks_for_a_name_and_then_shows_the_chat(server: Server) -> None:
    visitor = Visitor(server)
    assert "Your name" in visitor.get("/")
    url, _ = visitor.enter(name="Ada", room="tea & cake")
    assert url == f"{server.url}/#tea%20%26%20cake"
    assert "You are <strong><bdi>Ada</bdi></strong>" in visitor.get("/")


def test_name_is_escaped(server: Server) -> None:
    visitor = Visitor(server)
    visitor.enter(name="<script>", room="tea")
    assert "<bdi>&lt;script&gt;</bdi>" in visitor.get("/")


@pytest.mark.parametrize("name", ["", "   ", "x" * 31, "a\u202eb"])
def test_bad_name_is_asked_for_again(server: Server, name: str) -> None:
    url, text = Visitor(server).enter(name=name, room="tea")
    assert url == f"{server.url}/enter/"
    assert 'class="errorlist"' in text


def test_name_needs_the_csrf_token(server: Server) -> None:
    with pytest.raises(HTTPError, match="403"):
        urlopen(f"{server.url}/enter/", urlencode({"name": "Eve", "room": "tea"}).encode())


# Rooms and messages


def test_room_receives_what_a_member_sends(client: Connect) -> None:
    ada, bob = client("Ada"), client("Bob")
    join(ada, "tea")
    join(bob, "tea")
    ada.send("message.send", {"room": "tea", "text": "Hello <b>you</b> ☕"})
    message = bob.receive()
    author = message["data"].pop("from")
    assert message == {
        "event": "message.receive",
        "data": {"room": "tea", "text": "Hello <b>you</b> ☕"},
        "room": "tea",
    }
    assert (author["name"], author["role"]) == ("Ada", "guest")
    assert ada.receive()["data"]["from"] == author


def test_sender_is_who_the_token_says(client: Connect) -> None:
    eve = client("Eve")
    join(eve, "tea")
    eve.send("message.send", {"room": "tea", "text": "Hello", "from": "Ada"})
    assert eve.receive()["data"]["from"]["name"] == "Eve"


def test_guests_of_one_name_are_told_apart(client: Connect) -> None:
    guests = client("Ada"), client("Ada")
    authors = []
    for guest in guests:
        join(guest, "tea")
        guest.send("message.send", {"room": "tea", "text": "Hello"})
        authors.append(guest.receive()["data"]["from"])
    assert authors[0]["name"] == authors[1]["name"]
    assert authors[0]["sub"] != authors[1]["sub"]


def test_guest_stays_the_same_under_another_name(server: Server) -> None:
    visitor = Visitor(server)
    visitor.enter(name="Ada", room="tea")
    before = re.findall(r"guest-\w+", visitor.get("/"))
    visitor.enter(name="Eve", room="tea")
    assert before == re.findall(r"guest-\w+", visitor.get("/")) != []


def test_client_without_a_name_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus, match="403"), connected(server):
        pass


def test_others_are_told_who_types_and_who_types_is_not(client: Connect) -> None:
    ada, bob = client("Ada"), client("Bob")
    join(ada, "tea")
    join(bob, "tea")
    ada.send("message.typing", {"room": "tea"})
    typing = bob.receive()
    assert typing["event"] == "message.typing"
    assert typing["data"]["from"]["name"] == "Ada"
    ada.sync()  # Nothing came before the answer.


def test_text_cannot_turn_the_direction_of_a_line(client: Connect) -> None:
    eve = client("Eve")
    join(eve, "tea")
    eve.send("message.send", {"room": "tea", "text": "\u202eevil\u2067 שלום"})
    assert eve.receive()["data"]["text"] == "evil שלום"


def test_other_rooms_do_not_receive_it(client: Connect) -> None:
    ada, eve = client("Ada"), client("Eve")
    join(ada, "tea")
    join(eve, "garden")
    ada.send("message.send", {"room": "tea", "text": "Between us"})
    assert ada.receive()["event"] == "message.receive"
    eve.sync()  # Nothing came before the answer.


def test_client_that_left_neither_receives_nor_sends(client: Connect) -> None:
    ada, bob = client("Ada"), client("Bob")
    join(ada, "tea")
    join(bob, "tea")
    bob.send("gateway:leave", {"room": "tea"}, ref="leave")
    assert bob.receive()["event"] == "gateway:left"
    ada.send("message.send", {"room": "tea", "text": "Is Bob here?"})
    assert ada.receive()["event"] == "message.receive"
    bob.send("message.send", {"room": "tea", "text": "No"})
    assert bob.receive()["data"]["code"] == "not_in_room"


def test_client_may_be_in_no_more_than_fifty_rooms(client: Connect) -> None:
    ada = client("Ada")
    for number in range(50):
        join(ada, f"room-{number}")
    ada.send("gateway:join", {"room": "one-more"}, ref="one more")
    assert ada.receive()["data"]["code"] == "too_many_rooms"
    ada.send("gateway:leave", {"room": "room-7"}, ref="leave")
    assert ada.receive()["event"] == "gateway:left"
    join(ada, "one-more")


# What bad input gets


@pytest.mark.parametrize("text", ["", " \n", "\u202e", "x" * 2001, None, 7, ["Hello"], {"a": 1}])
def test_text_that_is_none_is_refused(client: Connect, text: Any) -> None:
    ada = client("Ada")
    join(ada, "tea")
    ada.send("message.send", {"room": "tea", "text": text})
    assert ada.receive()["data"]["details"][0]["path"] == "data.text"


@pytest.mark.parametrize("room", ["", "x" * 201, None, 7, ["tea"], {"a": 1}])
@pytest.mark.parametrize("event", ["gateway:join", "message.typing"])
def test_room_that_is_none_is_refused(client: Connect, event: str, room: Any) -> None:
    ada = client("Ada")
    ada.send(event, {"room": room}, ref=1)
    reply = ada.receive()
    assert reply["data"]["code"] in {"invalid_room", "invalid_payload"}
    assert reply["ref"] == 1


@pytest.mark.parametrize("data", [None, "tea", 7, [], {}, {"room": []}])
@pytest.mark.parametrize("event", ["gateway:join", "message.typing", "message.send"])
def test_payload_of_any_shape_gets_an_answer(client: Connect, event: str, data: Any) -> None:
    ada = client("Ada")
    ada.send(event, data)
    assert ada.receive()["data"]["code"] in {"invalid_room", "invalid_payload"}


@pytest.mark.parametrize(
    "frame",
    ["", "{", "7", "[]", "null", '{"data": 1}', '{"event": 7}', b'{"event": "message.send"}'],
)
def test_frame_that_is_no_envelope_is_malformed(client: Connect, frame: str | bytes) -> None:
    ada = client("Ada")
    ada.socket.send(frame)
    assert ada.receive()["data"]["code"] == "malformed"
    join(ada, "tea")  # The socket is still open.


def test_unknown_event_is_answered_with_its_ref(client: Connect) -> None:
    ada = client("Ada")
    ada.send("room.burn", ref="r1")
    reply = ada.receive()
    assert reply["event"] == "error"
    assert reply["data"]["code"] == "unknown_event"
    assert reply["ref"] == "r1"


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {}])
def test_other_origins_are_refused(server: Server, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus, match="403"), connected(server, headers):
        pass


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/chat/more/", "/ws/chat"])
def test_unknown_path_is_refused_without_a_traceback(server: Server, path: str) -> None:
    with pytest.raises(InvalidStatus, match="403"), connected(server, path=path):
        pass
    assert "Traceback" not in server.log.read_text()


# The admin


ADMIN = "/admin/arcly_channels/connection/"


def test_admin_disconnects_somebody(server: Server) -> None:
    wile, admin = Visitor(server), Visitor(server)
    wile.enter(name="wile", password="demo", room="tea")
    admin.get("/admin/login/")
    with connected(server, wile.headers()) as client:
        client.sync()
        page = f"/admin/login/?next={ADMIN}%3Fq=wile"
        _, shown = admin.post(page, username="admin", password="demo")
        (id,) = re.findall(r'name="id" value="(.+?)"', shown)
        assert f"Connection {id} was disconnected." in admin.post(ADMIN, id=id)[1]
        assert client.closed() == 4403


def test_admin_is_for_the_moderator_only(server: Server) -> None:
    wile = Visitor(server)
    wile.get("/admin/login/")
    _, shown = wile.post(f"/admin/login/?next={ADMIN}", username="wile", password="demo")
    assert 'class="errornote"' in shown


def test_admin_has_its_styles(server: Server) -> None:
    assert "--primary" in Visitor(server).get("/static/admin/css/base.css")


# Metrics and the development server


def test_metrics_count_connections_and_messages(server: Server, client: Connect) -> None:
    wait_for_metric(server, "ws_connections", 0)
    before = metric(server, "ws_messages_out_total")
    ada, bob = client("Ada"), client("Bob")
    join(ada, "tea")
    join(bob, "tea")
    ada.send("message.send", {"room": "tea", "text": "Hello"})
    assert bob.receive()["event"] == "message.receive"
    assert metric(server, "ws_connections") == 2
    assert metric(server, "ws_messages_out_total") == before + 4  # Two answers to `sync`.
    ada.socket.close()
    wait_for_metric(server, "ws_connections", 1)
    assert metric(server, "ws_slow_client_evictions_total") == 0
    assert metric(server, "ws_idle_reaped_total") == 0


def test_runserver_serves_the_page_and_the_gateway(tmp_path: Path) -> None:
    command = ("manage.py", "runserver", "--noreload", "{port}")
    with demo_server(tmp_path, *command) as server:
        assert "Your name" in Visitor(server).get("/")
        visitor = Visitor(server)
        visitor.enter(name="Ada", room="tea")
        with chatting(server, visitor.headers()) as ada:
            join(ada, "tea")


def test_make_demo_prints_address_and_accounts_and_ends_what_it_starts(tmp_path: Path) -> None:
    with demo_server(tmp_path, "-c", MAKE_DEMO, "{port}") as server:
        printed = server.log.read_text()
        ports = {int(port) for port in re.findall(r"Listening on .+:(\d+)$", printed, re.MULTILINE)}
        (stock,) = ports - {server.port}
    assert f"http://localhost:{server.port}/" in printed
    assert "admin " in printed
    for port in (server.port, stock):
        wait_for_silence(port)


def test_demo_ends_with_ctrl_c(tmp_path: Path) -> None:
    with demo_server(tmp_path, "-m", "demo_project.serve", "{port}") as server:
        os.kill(server.pid, signal.SIGINT)
        assert server.wait(DEADLINE)
    assert "Traceback" not in server.log.read_text()


def test_port_that_is_taken_is_said_and_no_traceback() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(RuntimeError, match="make demo PORT=8001") as failed,
    ):
        run("-c", MAKE_DEMO, str(taken.getsockname()[1]))
    assert "Traceback" not in str(failed.value)


def test_second_server_of_the_project_logs_an_error(tmp_path: Path) -> None:
    with demo_server(tmp_path) as first, demo_server(tmp_path) as second:
        for server in (first, second):
            visitor = Visitor(server)
            visitor.enter(name="Ada", room="tea")
            with chatting(server, visitor.headers()) as ada:
                join(ada, "tea")
        assert "of this project" not in first.log.read_text()
        assert f"process {first.pid} of this project" in second.log.read_text()


def metric(server: Server, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", Visitor(server).get("/metrics"), re.MULTILINE)
    assert found is not None
    return float(found[1])


def wait_for_metric(server: Server, name: str, value: float) -> None:
    deadline = time.monotonic() + DEADLINE
    while metric(server, name) != value:
        assert time.monotonic() < deadline, f"{name} did not become {value}"


def wait_for_silence(port: int) -> None:
    """Return once nobody listens at a port."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        assert time.monotonic() < deadline, f"somebody still listens at {port}"
        time.sleep(0.05)

"""The demo in two processes: one chat, on two Daphnes behind nginx, over Redis."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus

from demo_project import cluster, programs
from tests.clients import DEADLINE, Client, Visitor, chatting, connected, join
from tests.servers import Server, demo_cluster, free_port, require, run

Come = Callable[..., Client]

MAKE_DEMO_CLUSTER = """
import os, sys
ready = sys.prefix + "/.ready-demo"  # Not to be made: it has what the tests have.
make = ["make", "-o", ready, "VENV=" + sys.prefix, "PORT=" + sys.argv[1], "demo-cluster"]
os.execvp("make", make)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with demo_cluster() as server:
        yield server


@pytest.fixture
def come(server: Server) -> Iterator[Come]:
    """Lets people into the room "tea", each under a name; a name of an account logs in."""
    with ExitStack() as stack:
        yield lambda name="Ada", password="": stack.enter_context(
            chatting(server, entered(server, name, password).headers())
        )


def entered(server: Server, name: str, password: str = "") -> Visitor:
    visitor = Visitor(server)
    visitor.enter(name=name, password=password, room="tea")
    return visitor


def server_of(client: Client) -> str:
    """Return which of the two servers a client is on."""
    response = client.socket.response
    assert response is not None
    return response.headers["X-Server"]


# One chat


def test_sockets_go_where_there_are_fewer(come: Come) -> None:
    servers = [server_of(come()) for _ in range(4)]
    assert len(set(servers)) == 2
    assert {servers.count(each) for each in servers} == {2}


def test_what_is_written_on_one_server_is_read_on_the_other(come: Come) -> None:
    ada, bob = come("Ada"), come("Bob")
    assert server_of(ada) != server_of(bob)
    for client in (ada, bob):
        join(client, "tea")
    for writer, text in ((ada, "The kettle is on"), (bob, "On my way")):
        writer.send("message.send", {"room": "tea", "text": text})
        assert [each.receive()["data"]["text"] for each in (ada, bob)] == [text, text]


def test_both_servers_are_ready(server: Server) -> None:
    answered = set()
    for _ in range(2):  # They take turns.
        with urlopen(f"{server.url}/readyz", timeout=DEADLINE) as response:
            assert json.load(response) == {"status": "ok"}
            answered.add(response.headers["X-Server"])
    assert len(answered) == 2


def test_kick_ends_sockets_of_both_servers_and_keeps_out_of_both(
    server: Server, come: Come
) -> None:
    moderator = entered(server, "admin", "demo")
    here, there = come("wile", "demo"), come("wile", "demo")
    assert server_of(here) != server_of(there)
    again = entered(server, "wile", "demo")
    moderator.post("/moderate/kick/", who="wile")
    assert [client.closed() for client in (here, there)] == [4401, 4401]
    for _ in range(2):
        with pytest.raises(InvalidStatus, match="403"), connected(server, again.headers()):
            pass
    moderator.post("/moderate/resume/", who="wile")
    come("wile", "demo").sync()


def test_suspension_ends_sockets_of_both_servers_and_both_refuse(server: Server) -> None:
    moderator = entered(server, "admin", "demo")
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            guest = Visitor(server, "acme.localhost")
            guest.enter(name="Road Runner", room="tea")
            connection = chatting(server, guest.headers(), host=guest.host)
            clients.append(stack.enter_context(connection))
        assert len({server_of(client) for client in clients}) == 2
        moderator.post("/moderate/suspend/", who="acme")
        assert [client.closed() for client in clients] == [4403, 4403]
    for _ in range(2):
        with pytest.raises(HTTPError, match="403"):
            Visitor(server, "acme.localhost").get("/")
    moderator.post("/moderate/resume/", who="acme")
    wait_until_served(server, "acme.localhost")


# Its programs


def test_people_of_a_server_that_ends_come_back_to_the_other() -> None:
    with demo_cluster() as server, ExitStack() as stack:
        clients = []
        for name in ("Ada", "Bob"):
            headers = entered(server, name).headers()
            clients.append(stack.enter_context(chatting(server, headers)))
            join(clients[-1], "tea")
        gone = processes(server)[0]
        os.kill(gone, signal.SIGTERM)
        wait_until_gone(gone)
        number = [server_of(client).endswith("chat-1/daphne.sock") for client in clients].index(
            True
        )
        assert clients[number].closed() == 1012
        clients[number] = stack.enter_context(chatting(server, entered(server, "Ada").headers()))
        join(clients[number], "tea")
        clients[number].send("message.send", {"room": "tea", "text": "Here again"})
        assert [each.receive()["data"]["text"] for each in clients] == ["Here again"] * 2
        assert server_of(clients[number]).endswith("chat-2/daphne.sock")


def test_everything_ends_with_it() -> None:
    with demo_cluster() as server:
        with chatting(server, entered(server, "Ada").headers()) as ada:
            ada.sync()
            started = processes(server)
            os.kill(server.pid, signal.SIGINT)
            assert ada.closed() == 1012  # nginx goes last, and so a goodbye arrives.
        assert server.wait(DEADLINE)
        for process in started:
            wait_until_gone(process)
        assert list(server.log.parent.glob("arcly-demo-*")) == []


def test_make_demo_cluster_prints_addresses_and_ends_what_it_starts() -> None:
    with demo_cluster("-c", MAKE_DEMO_CLUSTER, "{port}") as server:
        started = processes(server)
        assert f"http://localhost:{server.port}/" in server.log.read_text()
    for process in started:
        wait_until_gone(process)


def test_redis_is_started_where_none_answers_and_used_where_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("redis-server")
    monkeypatch.setenv("DEMO_REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    with cluster.redis_server(tmp_path) as url:
        assert cluster.answers(url)
        monkeypatch.setenv("DEMO_REDIS_URL", url)
        with cluster.redis_server(tmp_path) as same:
            assert same == url
    assert not cluster.answers(url)


def test_nginx_takes_its_file(tmp_path: Path) -> None:
    require("nginx")
    command = cluster.proxy_command(free_port(), tmp_path)
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert "test is successful" in tested.stderr
    assert "[warn]" not in tested.stderr


def test_program_that_is_missing_is_said_with_its_package() -> None:
    with pytest.raises(SystemExit, match="sudo apt install no-such-program"):
        programs.find("no-such-program")


def test_port_that_is_taken_is_said_and_no_traceback() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(RuntimeError, match="make demo-cluster PORT=8001") as failed,
    ):
        run("-m", "demo_project.cluster", str(taken.getsockname()[1]))
    assert "Traceback" not in str(failed.value)


def wait_until_served(server: Server, host: str) -> None:
    """Return once both servers, which take turns, serve a tenant again."""
    deadline, in_a_row = time.monotonic() + DEADLINE, 0
    while in_a_row < 2:
        assert time.monotonic() < deadline, f"{host} is not served again"
        try:
            Visitor(server, host).get("/")
        except HTTPError:
            in_a_row = 0
        else:
            in_a_row += 1


def processes(server: Server) -> list[int]:
    """Return the process ids of both Daphnes, which are told at the start."""
    found = re.search(r"processes (\d+) and (\d+)", server.log.read_text())
    assert found is not None
    return [int(id) for id in found.groups()]


def wait_until_gone(process: int) -> None:
    """Return once a process has ended, be it that nobody has asked how."""
    deadline = time.monotonic() + DEADLINE
    state = Path(f"/proc/{process}/stat")
    while state.exists() and ") Z " not in state.read_text():
        assert time.monotonic() < deadline, f"process {process} has not ended"
        time.sleep(0.01)

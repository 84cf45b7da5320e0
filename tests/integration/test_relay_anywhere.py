"""Events from anywhere reach the clients of a server: by real processes, over a real Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jwt
import pytest

from arcly_channels.testing.waiting import DEADLINE
from tests.clients import Client, connected
from tests.integration.anywhere_project.publish import FORKED, SENDS, THREADS
from tests.integration.anywhere_project.settings import PROJECT, SECRET_KEY
from tests.redis_servers import RedisServer
from tests.servers import ROOT, START_DEADLINE, Server, run, skip_for_want_of

DAPHNE = ("-m", "daphne", "--port", "{port}", f"{PROJECT}.asgi:application")
ENDS = 5.0
"""Seconds within which a program ends that can reach nobody: more than its time-outs together."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def server(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("anywhere")
    with Server(*DAPHNE, directory=directory, environment=environment(redis)) as server:
        yield server


@pytest.fixture(scope="module")
def of_server(redis: RedisServer, server: Server) -> set[str]:
    """The connections of the server to Redis, which stay as they are."""
    with member(server, "first"):
        return connections(redis)


def environment(redis: RedisServer) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
        "ANYWHERE_REDIS": redis.url,
        "PYTHONWARNINGS": "error",
    }


@contextmanager
def member(server: Server, room: str, **headers: str) -> Iterator[Client]:
    """Connect to a gateway, and be in a room."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with connected(server, named, f"/{room}") as client:
        assert client.receive() == {"event": "ready", "data": headers.get("X_Tenant")}
        yield client


def ticks(client: Client, count: int) -> list[Any]:
    """Return what the next so many events have to say."""
    return [client.receive()["data"] for _ in range(count)]


def by_sender(client: Client, count: int) -> dict[Any, list[int]]:
    """Return the numbers that each sender has sent, in the order in which they came."""
    found: dict[Any, list[int]] = defaultdict(list)
    for who, number in ticks(client, count):
        found[who].append(number)
    return found


def connections(redis: RedisServer) -> set[str]:
    """Return the ids of the connections that Redis has, but for the one that asks."""
    rows = redis.ask("CLIENT", "LIST").splitlines()
    return {row.split()[0] for row in rows if "cmd=client|list" not in row}


def eventually_so(fact: Callable[[], bool]) -> None:
    """Return once `fact()` holds; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not fact():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def shell(redis: RedisServer, code: str) -> str:
    """Run code by `manage.py shell -c`, and return what it prints."""
    code = f"import arcly_channels.identity\n{code}"
    return run("-m", "django", "shell", "-v", "0", "-c", code, environment=environment(redis))


@contextmanager
def background(*arguments: str, **environment: str) -> Iterator[None]:
    """Run a Python program until it is not needed any more."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # With the processes that it has forked.
        process.wait()


class Program:
    """A program of `anywhere_project.publish` that runs."""

    def __init__(self, redis: RedisServer, way: str, room: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{PROJECT}.publish", way, room],
            cwd=ROOT,
            env={**os.environ, **environment(redis)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self, seconds: float = START_DEADLINE) -> str:
        """Return what it prints yet, when it has ended as it should."""
        printed, errors = self._process.communicate(timeout=seconds)
        assert (self._process.returncode, errors) == (0, "")
        return printed.strip()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


# Views


@pytest.mark.parametrize("way", ["plain", "group_send", "asynchronous"])
def test_views_under_wsgi_reach_the_clients_of_the_server(
    redis: RedisServer, server: Server, of_server: set[str], tmp_path: Path, way: str
) -> None:
    arguments = ("-m", f"{PROJECT}.wsgi", "{port}")
    wsgi = Server(*arguments, directory=tmp_path, environment=environment(redis))

    def ask(number: int) -> bytes:
        with urlopen(f"{wsgi.url}/{way}/views-{way}/{number}", timeout=DEADLINE) as response:
            body: bytes = response.read()
        return body

    with member(server, f"views-{way}") as client, wsgi, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(100))) == {b"sent"}
        assert sorted(ticks(client, 100)) == list(range(100))
        assert len(connections(redis) - of_server) <= 2


@pytest.mark.parametrize("reload", [(), ("--noreload",)], ids=["reloads", "does not"])
def test_runserver_serves_clients_of_what_is_published_elsewhere_and_here(
    redis: RedisServer, tmp_path: Path, reload: tuple[str, ...]
) -> None:
    arguments = ("-m", "django", "runserver", *reload, "127.0.0.1:{port}")
    with (
        Server(*arguments, directory=tmp_path, environment=environment(redis)) as server,
        member(server, "runserver") as client,
    ):
        try:
            run("-m", "django", "announce", "runserver", "3", environment=environment(redis))
            assert ticks(client, 3) == [0, 1, 2]
            for way in ("plain", "group_send", "asynchronous"):
                with urlopen(f"{server.url}/{way}/runserver/7", timeout=DEADLINE) as response:
                    assert response.read() == b"sent"
                assert ticks(client, 1) == [7]
        finally:
            os.killpg(server.pid, signal.SIGTERM)  # It has started another.


# Threads


def test_threads_publish_in_their_order_by_one_connection(
    redis: RedisServer, server: Server, of_server: set[str]
) -> None:
    with member(server, "threads") as client, Program(redis, "threads", "threads") as program:
        found = by_sender(client, THREADS * SENDS)
        assert found == {who: list(range(SENDS)) for who in range(THREADS)}
        assert program.says() == "published"
        assert len(connections(redis) - of_server) <= 2
        program.go_on()
        program.end()


# Forks


def test_process_that_has_published_and_its_fork_both_publish(
    redis: RedisServer, server: Server, of_server: set[str]
) -> None:
    with member(server, "fork") as client, Program(redis, "fork", "fork") as program:
        assert program.says() == "before"
        of_parent = connections(redis) - of_server
        program.go_on()
        found = by_sender(client, 3 * FORKED)
        assert found == {who: list(range(FORKED)) for who in ("before", "parent", "child")}
        assert program.says() == "published"
        of_both = connections(redis) - of_server
        assert of_parent <= of_both  # The parent goes on by what it had.
        assert len(of_parent) <= 2
        assert len(of_both - of_parent) <= 2
        program.go_on()
        assert program.end() == "child ended with 0"


def test_children_of_multiprocessing_publish(redis: RedisServer, server: Server) -> None:
    with member(server, "pool") as client, Program(redis, "processes", "pool") as program:
        found = by_sender(client, 4 * FORKED)
        assert found == {who: list(range(FORKED)) for who in ("before", "parent", "one", "two")}
        assert program.says() == "published"
        program.go_on()
        program.end()


def test_tasks_of_celery_publish(
    redis: RedisServer, server: Server, of_server: set[str], tmp_path: Path
) -> None:
    celery = ("-m", "celery", "-A", f"{PROJECT}.tasks")
    if find_spec("celery") is None:
        skip_for_want_of("celery")
    added = {**environment(redis), "ANYWHERE_BROKER": str(tmp_path), "PYTHONWARNINGS": ""}
    sends = f"from {PROJECT}.tasks import announce\nfor number in range(40):\n"
    run("-c", f"{sends}    announce.delay('celery', number)", environment=added)
    worker = background(*celery, "worker", "--pool", "prefork", "--concurrency", "2", **added)
    with member(server, "celery") as client, worker:
        found = ticks(client, 40)
        assert sorted(number for number, _ in found) == list(range(40))
        assert len(connections(redis) - of_server) <= 2 * len({process for _, process in found})


# Shells, commands and scripts


def test_shell_publishes(redis: RedisServer, server: Server) -> None:
    with member(server, "shell") as client:
        shell(redis, "arcly_channels.broadcast_to_room('shell', 'tick', 1)")
        assert ticks(client, 1) == [1]


def test_command_that_exits_at_once_loses_nothing(redis: RedisServer, server: Server) -> None:
    with member(server, "command") as client:
        run("-m", "django", "announce", "command", "500", environment=environment(redis))
        assert ticks(client, 500) == list(range(500))


def test_scripts_publish_in_one_event_loop_after_the_other(
    redis: RedisServer, server: Server, of_server: set[str]
) -> None:
    with member(server, "script") as client, Program(redis, "script", "script") as program:
        found = by_sender(client, 2 * FORKED)
        assert found == {who: list(range(FORKED)) for who in ("first", "second")}
        assert program.says() == "published"
        assert len(connections(redis) - of_server) <= 2
        program.go_on()
        program.end()


def test_event_loop_that_ends_sends_what_nobody_waited_for(
    redis: RedisServer, server: Server
) -> None:
    with member(server, "hasty") as client, Program(redis, "hasty", "hasty") as program:
        program.end()
        assert by_sender(client, FORKED) == {"hasty": list(range(FORKED))}


def test_program_ends_soon_though_redis_hangs(tmp_path: Path) -> None:
    with RedisServer() as redis, Program(redis, "hanging", "hanging") as program:
        assert program.says() == "before"
        redis.pause()
        program.go_on()
        assert program.says().startswith("unknown after 1.")
        program.end(ENDS)


# What a shell can ask for


def test_shell_disconnects_a_user(redis: RedisServer, server: Server) -> None:
    claims = {"sub": "ann", "type": "access", "exp": time.time() + 3600}
    bearer = f"Bearer {jwt.encode(claims, SECRET_KEY, 'HS256')}"
    with member(server, "users", Authorization=bearer) as ann, member(server, "users") as bob:
        shell(redis, "arcly_channels.disconnect_user('ann')")
        assert ann.closed() == 4401
        bob.sync()


def test_shell_suspends_a_tenant_in_the_server(redis: RedisServer, server: Server) -> None:
    tenants = "arcly_channels.identity.get_tenants()"
    with member(server, "tenants", X_Tenant="acme") as client:
        shell(redis, f"assert {tenants}.suspend('acme')")
        assert client.closed() == 4403
    with connected(server, {"X-Tenant": "acme"}, "/tenants") as client:
        assert client.receive()["data"] is None
    shell(redis, f"assert {tenants}.resume('acme')")
    with member(server, "tenants", X_Tenant="acme") as client:
        client.sync()


def test_shell_counts_the_clients_of_the_server(redis: RedisServer, server: Server) -> None:
    with member(server, "counted"), member(server, "counted"), member(server, "other"):
        code = "print(arcly_channels.room_size('counted'), arcly_channels.connection_count())"
        assert shell(redis, code).split() == ["2", "3"]


# Workers


def test_one_of_two_workers_gets_each_message(redis: RedisServer, server: Server) -> None:
    code = (
        "from asgiref.sync import async_to_sync as sync\n"
        "from channels.layers import get_channel_layer\n"
        "for number in range(100):\n"
        "    sync(get_channel_layer().send)('work', {'type': 'do.work', 'number': number})"
    )
    worker = ("-m", "django", "runworker", "work")
    with (
        member(server, "work") as client,
        background(*worker, **environment(redis)),
        background(*worker, **environment(redis)),
    ):
        eventually_so(lambda: redis.ask("CLIENT", "LIST").count("cmd=blpop") == 2)
        shell(redis, code)
        numbers = [client.receive()["data"][0] for _ in range(100)]
        assert sorted(numbers) == list(range(100))
        shell(redis, "arcly_channels.broadcast_to_room('work', 'end')")
        assert client.receive()["event"] == "end"  # And nothing before it.

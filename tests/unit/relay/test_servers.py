"""The option `hosts` in every form, and what is said of those that cannot be used."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from redis.asyncio import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection

from arcly_channels.relay.servers import CONNECT_TIMEOUT, Server, nodes_of, servers_of
from arcly_channels.testing.waiting import soon
from tests.redis_servers import MASTER, RedisReplica, RedisSentinel, RedisServer
from tests.servers import free_port


def pool_of(host: Any) -> ConnectionPool:
    (server,) = servers_of([host])
    return server._pool


async def ping(host: Any) -> bytes:
    (server,) = servers_of([host])
    link = await soon(server.connect())
    try:
        reply: bytes = await soon(link.ask(b"PING"))
        return reply
    finally:
        link.abort()


# What can be named


@pytest.mark.parametrize(
    ("host", "kind", "named"),
    [
        ("redis://:pass@one:7000/3", Connection, {"host": "one", "port": 7000, "db": 3}),
        ("valkey://one:7000", Connection, {"host": "one", "port": 7000}),
        ("rediss://one:7000", SSLConnection, {"host": "one", "port": 7000}),
        ("valkeys://one:7000", SSLConnection, {"host": "one", "port": 7000}),
        ("unix:///run/redis.sock", UnixDomainSocketConnection, {"path": "/run/redis.sock"}),
        (("one", 7000), Connection, {"host": "one", "port": 7000}),
        (["one", 7000], Connection, {"host": "one", "port": 7000}),
        ({"host": "one", "port": 7000}, Connection, {"host": "one", "port": 7000}),
        ({"address": "redis://one:7000", "db": 2}, Connection, {"host": "one", "db": 2}),
        ({"address": "valkeys://one:7000"}, SSLConnection, {"host": "one"}),
    ],
)
def test_server_is_named_in_many_ways(host: Any, kind: type, named: dict[str, Any]) -> None:
    pool = pool_of(host)
    assert pool.connection_class is kind
    assert named.items() <= pool.connection_kwargs.items()


def test_without_hosts_it_is_the_one_of_this_machine() -> None:
    (server,) = servers_of(None)
    assert server.host == "localhost"
    assert server._pool.connection_kwargs["port"] == 6379


def test_another_node_of_a_cluster_is_talked_to_in_the_same_way() -> None:
    (seed,) = nodes_of(["rediss://user:pass@one:7000?ssl_ca_certs=ca.pem"])
    node = seed.at("two", 7001)
    assert (seed.host, node.host) == ("one", "two")
    assert node._pool.connection_class is SSLConnection
    same = seed._pool.connection_kwargs | {"host": "two", "port": 7001}
    assert node._pool.connection_kwargs == same


def test_each_host_is_a_server() -> None:
    assert [each.host for each in servers_of(["redis://one", "redis://two"])] == ["one", "two"]


@pytest.mark.parametrize(
    "host", [{"host": "one", "hots": 1}, {"address": "redis://one", "misspelt": 1}]
)
def test_option_that_redis_does_not_know_is_an_error_before_there_is_a_link(host: Any) -> None:
    with pytest.raises(ValueError, match=r"hots|misspelt"):
        servers_of([host])


@pytest.mark.parametrize("host", ["redis://one?protocol=3", {"host": "one", "protocol": 3}])
def test_protocol_is_ours_whatever_the_host_says(host: Any) -> None:
    options = pool_of(host).connection_kwargs
    assert options["protocol"] == 2
    assert options["retry"].get_retries() == 0


def test_time_to_connect_is_bounded_and_can_be_chosen() -> None:
    assert pool_of(("one", 7000)).connection_kwargs["socket_timeout"] == CONNECT_TIMEOUT
    chosen = pool_of({"host": "one", "socket_connect_timeout": 3})
    assert chosen.connection_kwargs["socket_connect_timeout"] == 3


# What cannot


@pytest.mark.parametrize("hosts", ["redis://one", [], 7, {"host": "one"}, ("one", 7000)])
def test_hosts_that_are_no_list_of_hosts_are_refused(hosts: Any) -> None:
    with pytest.raises(ValueError, match=r"^hosts "):
        servers_of(hosts)


@pytest.mark.parametrize(
    "host",
    ["http://:hidden@one", "one:7000", 7, ("one", 7000, "hidden"), None, {"address": "ftp://one"}],
)
def test_host_that_cannot_be_used_is_named_without_its_password(host: Any) -> None:
    with pytest.raises(ValueError, match=r"^hosts has ") as refused:
        servers_of([host])
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("redis://user:hidden@one:7000", "one:7000"),
        ("unix:///run/redis.sock?password=hidden", "/run/redis.sock"),
        ({"sentinels": [("one", 26379)], "master_name": MASTER}, f"the master {MASTER}"),
    ],
)
def test_server_is_named_by_where_it_is_and_without_its_password(host: Any, shown: str) -> None:
    assert [str(each) for each in servers_of([host])] == [shown]


def test_sentinels_without_their_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="sentinels"):
        servers_of([{"master_name": MASTER}])


# Real ones


async def test_link_is_made_by_a_url_a_pair_and_a_dict(redis: RedisServer) -> None:
    address = {"host": "127.0.0.1", "port": redis.port}
    for host in (redis.url, redis.url.replace("redis", "valkey"), tuple(address.values()), address):
        assert await ping(host) == b"PONG"


async def test_link_is_made_by_a_socket_of_the_file_system(redis: RedisServer) -> None:
    assert await ping(redis.unix_url) == b"PONG"


async def test_link_is_made_with_the_password() -> None:
    with RedisServer(password="secret") as redis:
        assert await ping(redis.url) == b"PONG"
        with pytest.raises(Exception, match=r"(?i)auth|password") as refused:
            await ping(redis.url.replace("secret", "hidden"))
        assert "hidden" not in str(refused.value)


async def test_link_leads_to_the_master_that_sentinels_know() -> None:
    with (
        RedisServer() as master,
        RedisReplica(master),
        RedisSentinel(master) as sentinel,
    ):
        host = {"sentinels": [("127.0.0.1", sentinel.port)], "master_name": MASTER}
        link = await soon(servers_of([host])[0].connect())
        assert (await soon(link.ask(b"ROLE")))[0] == b"master"
        link.abort()


def test_sentinels_are_asked_in_one_event_loop_after_the_other() -> None:
    async def role() -> bytes:
        link = await soon(server.connect())
        role: bytes = (await soon(link.ask(b"ROLE")))[0]
        link.abort()
        return role

    with RedisServer() as master, RedisReplica(master), RedisSentinel(master) as sentinel:
        before = len(sentinel.ask("CLIENT", "LIST", "TYPE", "NORMAL").splitlines())
        (server,) = servers_of(
            [{"sentinels": [("127.0.0.1", sentinel.port)], "master_name": MASTER}]
        )
        assert [asyncio.run(role()) for _ in range(2)] == [b"master"] * 2
        after = len(sentinel.ask("CLIENT", "LIST", "TYPE", "NORMAL").splitlines())
        assert after == before  # They are asked seldom, and are not kept waiting.


async def test_server_that_is_not_there_is_an_error_of_its_own_kind() -> None:
    with pytest.raises(Exception, match=r"onnect"):
        await ping(("127.0.0.1", free_port()))


# What is used of other people's private parts


async def test_a_connection_of_redis_has_what_is_used(redis: RedisServer) -> None:
    connection: Any = Server(redis.url)._pool.make_connection()  # type: ignore[no-untyped-call]
    assert isinstance(connection, AbstractConnection)
    assert connection._reader is None
    assert connection._writer is None
    await soon(connection.connect())  # type: ignore[no-untyped-call]
    assert connection._reader is not None
    writer: Any = connection._writer
    writer.transport.set_protocol(writer.transport.get_protocol())
    assert "nowait" in inspect.signature(connection.disconnect).parameters
    await connection.disconnect(nowait=True)

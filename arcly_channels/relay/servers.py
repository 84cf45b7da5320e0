"""The Redis servers that `hosts` names, and how a link to one is made."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from arcly_channels.relay.link import Link

DEFAULT_HOST = "redis://localhost:6379"

CONNECT_TIMEOUT = 1.0
"""Seconds that an attempt to connect may take, and each step of the greeting."""

_SCHEMES = {"valkey://": "redis://", "valkeys://": "rediss://"}

_OURS: dict[str, Any] = {
    "protocol": 2,  # RESP 3 costs more, and brings nothing that is used here.
    "decode_responses": False,
    "health_check_interval": 0,  # `RelayShard` looks after its links.
    "retry": Retry(NoBackoff(), 0),  # `Connector` does that.
}
"""What is not left to redis-py, whose defaults retry what was sent already."""

_DEFAULTS = {"socket_timeout": CONNECT_TIMEOUT, "socket_connect_timeout": CONNECT_TIMEOUT}


class Server:
    """One Redis or Valkey server, or the master that Sentinels know.

    `host` is an entry of `hosts` as channels_redis takes it: a URL, a pair of host and port, or a
    dict of `address` or `host` and `port`, or of `sentinels` and `master_name`, with more options
    of redis-py. Raises `ValueError` for anything else.
    """

    def __init__(self, host: Any) -> None:
        options = _options_of(host)
        try:
            self._pool = _pool(options)
            self._pool.make_connection()  # type: ignore[no-untyped-call]  # It looks at them all.
        except Exception as error:
            raise ValueError(f"hosts has {_shown(host)}, which cannot be used: {error}") from error

    def __str__(self) -> str:
        """Where it is, and no more: a URL may hold a password."""
        options = self._pool.connection_kwargs
        if isinstance(self._pool, SentinelConnectionPool):
            return f"the master {self._pool.service_name}"
        path: str | None = options.get("path")
        return path or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"

    @property
    def host(self) -> str | None:
        """The name or number of its machine; None where a file or a Sentinel says where it is."""
        options = self._pool.connection_kwargs
        if "path" in options or isinstance(self._pool, SentinelConnectionPool):
            return None
        return str(options.get("host", "localhost"))

    def at(self, host: str, port: int) -> Server:
        """Return another node of the same cluster, which is talked to in the same way."""
        server = copy(self)
        server._pool = pool = copy(self._pool)  # It has no connections: each is made for a link.
        pool.connection_kwargs = {**pool.connection_kwargs, "host": host, "port": port}
        return server

    async def connect(self) -> Link:
        """Make a link. Raises `ConnectionError`, which says with which server, and why not."""
        try:
            return await self._connect()
        except Exception as error:
            raise ConnectionError(f"{self}: {type(error).__name__}: {error}") from error

    async def _connect(self) -> Link:
        connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._leave_sentinels()
        # redis-py has no public way to hand a connection over: `tests/unit/relay` pins this one.
        writer = connection._writer
        connection._reader = connection._writer = None  # It closes nothing any more.
        transport = writer.transport
        link = Link(transport, writer)
        transport.set_protocol(link)
        return link

    async def _leave_sentinels(self) -> None:
        """End the connections to Sentinels: the next link may be made in another event loop."""
        if isinstance(self._pool, SentinelConnectionPool):
            for sentinel in self._pool.sentinel_manager.sentinels:
                await sentinel.connection_pool.disconnect(inuse_connections=False)


def servers_of(hosts: object) -> list[Server]:
    """Return the servers of the option `hosts`; raise `ValueError` for what cannot be used."""
    if hosts is None:
        return [Server(DEFAULT_HOST)]
    is_one = isinstance(hosts, tuple) and any(isinstance(each, int) for each in hosts)
    if not isinstance(hosts, (list, tuple)) or not hosts or is_one:
        examples = '["redis://127.0.0.1:6379"] or [("127.0.0.1", 6379)]'
        raise ValueError(f"hosts is a list of servers, even of one: {examples}")
    return [Server(host) for host in hosts]


def nodes_of(hosts: object) -> list[Server]:
    """Return the same as nodes of one cluster, which know each other by host and port."""
    nodes = servers_of(hosts)
    for node in nodes:
        if node.host is None:
            raise ValueError("hosts of a cluster have a host and a port: no socket, no Sentinels")
    return nodes


def _options_of(host: Any) -> dict[str, Any]:
    if isinstance(host, Mapping):
        return dict(host)
    if isinstance(host, (tuple, list)) and len(host) == 2:
        return {"host": host[0], "port": host[1]}
    if isinstance(host, str):
        return {"address": host}
    raise ValueError(
        f"hosts has {_shown(host)}, but takes URLs, pairs of host and port, and dicts of options"
    )


def _pool(options: dict[str, Any]) -> ConnectionPool:
    address = options.pop("address", None)
    if address is not None:
        for scheme, known in _SCHEMES.items():
            if address.startswith(scheme):
                address = known + address.removeprefix(scheme)
        pool: ConnectionPool = ConnectionPool.from_url(address, **_DEFAULTS | options)
        pool.connection_kwargs.update(_OURS)  # Whatever the URL says.
        return pool
    master = options.pop("master_name", None)
    if master is None:
        return ConnectionPool(**_DEFAULTS | options | _OURS)
    given = dict(options.pop("sentinel_kwargs", None) or {})
    sentinels = options.pop("sentinels")
    sentinel: Any = Sentinel(sentinels, sentinel_kwargs=_DEFAULTS | given | _OURS)  # type: ignore[no-untyped-call]
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        master, sentinel, **_DEFAULTS | options | _OURS
    )


def _shown(host: object) -> str:
    """Return a host for an error, without the password that a URL may have."""
    if isinstance(host, Mapping):
        return f"a dict of {', '.join(map(str, host))}"
    if isinstance(host, (tuple, list)):
        return f"a {type(host).__name__} of {len(host)}"
    text = str(host)
    scheme, separator, rest = text.partition("://")
    return repr(f"{scheme}{separator}{rest.rpartition('@')[2]}")

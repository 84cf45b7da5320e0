"""The socket below a connection: found once, watched, and never taken for another one."""

from __future__ import annotations

import gc
import os
import socket
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from arcly_channels.asgi import GatewayApplication
from arcly_channels.testing.waiting import eventually
from arcly_channels.transports import asgi
from arcly_channels.transports.base import Peer, Receive, Send
from arcly_channels.transports.select import select_transport
from arcly_channels.transports.sockets import (
    Descriptor,
    acknowledged,
    find_descriptor,
    reset_at_close,
    silence,
    unread,
)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A server's end of a TCP connection, and its client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with server, client:
        yield server, client


async def unused(_: Any = None) -> Any: ...


def scope_of(end: socket.socket, **changed: Any) -> dict[str, Any]:
    return {"client": end.getpeername(), "server": end.getsockname(), **changed}


def fill(server: socket.socket, client: socket.socket) -> None:
    """Send until the client, which reads nothing, takes no more."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            server.send(bytes(65536))


def is_shut(server: socket.socket) -> bool:
    try:
        return server.recv(1) == b""
    except BlockingIOError:
        return False


def replace(end: socket.socket, by: int) -> None:
    """Close a socket, and let its number be another file's."""
    number = end.detach()
    os.close(number)
    os.dup2(by, number)


def count_of_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_socket_is_found_by_both_addresses(pair: Pair) -> None:
    found = find_descriptor(None, scope_of(pair[0]))
    assert found is not None
    assert found.fileno() == pair[0].fileno()


def test_server_that_listens_everywhere_is_found_by_its_port(pair: Pair) -> None:
    server = ("0.0.0.0", pair[0].getsockname()[1])
    assert find_descriptor(None, scope_of(pair[0], server=server)) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"server": ("127.0.0.2", 80)},
        {"client": ("203.0.113.1", 1)},
        {"client": None},
        {"http_version": "2"},
    ],
    ids=["another server", "another client", "unix socket", "shared by clients"],
)
def test_other_sockets_are_not_found(pair: Pair, changed: dict[str, Any]) -> None:
    assert find_descriptor(None, scope_of(pair[0], **changed)) is None


def test_other_local_address_with_the_same_port_is_another_socket(pair: Pair) -> None:
    server = ("127.0.0.2", pair[0].getsockname()[1])
    assert find_descriptor(None, scope_of(pair[0], server=server)) is None


async def test_socket_is_found_though_a_proxys_headers_have_changed_the_client(pair: Pair) -> None:
    transports = []

    async def behind_proxy(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scope = {**scope, "client": ("203.0.113.1", 1)}
        peer = Peer(scope, receive, send, 1, 0, 0, None)  # type: ignore[arg-type]
        transports.append(select_transport(peer))

    await GatewayApplication(behind_proxy)(scope_of(pair[0], type="websocket"), unused, unused)
    assert transports[0].unread() == 0


async def test_stalled_connection_is_reset_without_keeping_its_transport(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "CLOSE_TIMEOUT", 0.01)
    server, client = pair
    fill(server, client)
    peer = Peer(scope_of(server), unused, unused, 1, 0, 0, None)  # type: ignore[arg-type]
    transport = asgi.AsgiTransport(peer)
    await transport.stop()
    await transport.stop()
    kept = weakref.ref(transport)
    del transport, peer
    gc.collect()
    assert kept() is None
    await eventually(lambda: is_shut(server))


def test_bytes_that_the_peer_has_not_taken_are_counted(pair: Pair) -> None:
    fill(*pair)
    assert unread(pair[0])


def test_nothing_is_unread_on_what_is_closed_or_unknown(pair: Pair) -> None:
    descriptor = Descriptor(pair[0].fileno())
    pair[0].close()
    assert {unread(None), unread(pair[0]), unread(descriptor)} == {None}


def test_reset_drops_what_the_client_did_not_read(pair: Pair) -> None:
    server, client = pair
    fill(server, client)
    assert Descriptor(server.fileno()).reset()
    server.close()
    with pytest.raises(ConnectionResetError):
        list(iter(lambda: client.recv(65536), b""))


def test_number_that_became_a_file_is_left_alone_and_nothing_leaks(pair: Pair) -> None:
    number = pair[0].fileno()
    descriptor = Descriptor(number)
    with Path(os.devnull).open() as file:
        replace(pair[0], file.fileno())
        before = count_of_descriptors()
        assert not descriptor.reset()
        assert count_of_descriptors() == before
    os.close(number)


def test_number_that_became_another_socket_is_left_alone(pair: Pair) -> None:
    number = pair[0].fileno()
    descriptor = Descriptor(number)
    one, other = socket.socketpair()
    with one, other:
        replace(pair[0], one.fileno())
        assert not descriptor.reset()
        one.send(b"alive")
        assert other.recv(5) == b"alive"
    os.close(number)


@pytest.mark.skipif(sys.platform != "linux", reason="shows on Linux only")
async def test_bytes_that_the_client_has_got_are_acknowledged(pair: Pair) -> None:
    server, _ = pair
    before = acknowledged(server)
    assert before is not None
    server.sendall(bytes(100))
    await eventually(lambda: acknowledged(server) == before + 100)


def test_nothing_shows_of_what_is_no_tcp_socket_or_closed(pair: Pair) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert (acknowledged(one), silence(one)) == (None, 0)
        reset_at_close(one)
    for nothing in (one, None):
        assert (acknowledged(nothing), silence(nothing)) == (None, 0)
        reset_at_close(nothing)


def test_connection_is_reset_when_it_is_closed(pair: Pair) -> None:
    server, client = pair
    reset_at_close(server)
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)

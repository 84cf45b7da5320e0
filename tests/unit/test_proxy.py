"""The proxy that the tests of the relay use: it does what they take for granted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from arcly_channels.testing.waiting import eventually, soon, turns
from tests.proxy import Proxy

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that sends back each line."""

    served: set[asyncio.StreamWriter] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        with suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
        writer.close()
        await turns()
        served.discard(writer)

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    with Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await eventually(lambda: not served)


async def connect(proxy: Proxy) -> Stream:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def echo(stream: Stream, line: bytes = b"hello\r\n") -> bytes:
    reader, writer = stream
    writer.write(line)
    return await soon(reader.readline())


async def test_what_is_sent_passes_both_ways(proxy: Proxy) -> None:
    stream = await connect(proxy)
    assert await echo(stream) == b"hello\r\n"
    stream[1].close()


async def test_both_directions_are_delayed_and_in_order(proxy: Proxy) -> None:
    stream = await connect(proxy)
    proxy.delay_up, proxy.delay_down = 0.05, 0.1
    started = time.monotonic()
    stream[1].write(b"1\n")
    assert await echo(stream, b"2\n") == b"1\n"
    assert await soon(stream[0].readline()) == b"2\n"
    assert time.monotonic() - started >= 0.15
    stream[1].close()


async def test_end_is_passed_on(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    writer.write_eof()
    assert await soon(reader.read()) == b""
    writer.close()


async def test_reset_reaches_the_client(proxy: Proxy) -> None:
    stream = await connect(proxy)
    await echo(stream)
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        await soon(stream[0].readline())
    stream[1].close()


async def test_black_hole_takes_the_chosen_connection_only(proxy: Proxy) -> None:
    subscribed, other = await connect(proxy), await connect(proxy)
    await echo(subscribed, b"SUBSCRIBE\r\n")
    await echo(other, b"PUBLISH\r\n")
    assert proxy.swallow(lambda passage: passage.has_subscribed) == 1
    reading = asyncio.create_task(echo(subscribed))
    assert await echo(other) == b"hello\r\n"
    await turns()
    assert not reading.done()
    reading.cancel()
    for _, writer in (subscribed, other):
        writer.close()


async def test_client_of_a_black_hole_may_go(proxy: Proxy) -> None:
    stream = await connect(proxy)
    await echo(stream)
    proxy.swallow(lambda passage: True)
    stream[1].close()
    again = await connect(proxy)
    assert await echo(again) == b"hello\r\n"
    again[1].close()


async def test_connection_is_closed_where_nobody_listens() -> None:
    with Proxy(1) as proxy:
        reader, writer = await connect(proxy)
        assert await soon(reader.read()) == b""
        writer.close()

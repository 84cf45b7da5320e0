"""What uvicorn alone needs: our parts of its connection are gone when the connection is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
import uvicorn
from websockets.asyncio.client import connect

from arcly_channels import GatewayConsumer
from arcly_channels.testing.waiting import eventually
from arcly_channels.transports.uvicorn import UvicornTransport


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server in this very process."""
    application = GatewayConsumer.as_asgi()
    config = uvicorn.Config(application, port=0, loop="asyncio", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    await eventually(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def test_connection_is_freed_without_the_garbage_collector(port: int) -> None:
    gc.collect()
    gc.disable()
    try:
        async with connect(f"ws://127.0.0.1:{port}"):
            await eventually(_transports)
        await eventually(lambda: not _transports())
    finally:
        gc.enable()


def _transports() -> int:
    return sum(type(thing) is UvicornTransport for thing in gc.get_objects())

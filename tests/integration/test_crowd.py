"""Many clients at once on real servers: exactly as many get in as there are places."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.clients import connected
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

PLACES = {"TEST_ARCLY_CHANNELS": json.dumps({"MAX_CONNECTIONS": 101})}
"""One of them is for the client that watches."""

PATIENT = {"hypercorn": ("--keep-alive", "60")}
"""It hangs up on whoever it has read no request of for five seconds, as in a long queue."""


async def crowd(server: Server, number: int) -> list[int]:
    """Connect so many clients at once, and return the status that each got; then all leave."""
    async with AsyncExitStack() as stack:

        async def come() -> int:
            joining = connect(f"ws://{server.host}/", open_timeout=60, compression=None)
            try:
                await stack.enter_async_context(joining)
            except InvalidStatus as refused:
                return refused.response.status_code
            return 101

        return await asyncio.gather(*(come() for _ in range(number)))


@pytest.mark.parametrize("name", SERVERS)
def test_as_many_get_in_as_there_are_places(name: str, tmp_path: Path) -> None:
    with (
        Server(
            *SERVERS[name], *PATIENT.get(name, ()), directory=tmp_path, environment=PLACES
        ) as server,
        connected(server, {}, "/control") as control,
    ):
        control.receive()
        for _ in range(2):  # Whoever was there before has given its place back.
            statuses = asyncio.run(crowd(server, 500))
            assert (statuses.count(101), statuses.count(403)) == (100, 400)
            report(control, lambda now: now["connections"] == 1)
        assert "Traceback" not in server.log.read_text()

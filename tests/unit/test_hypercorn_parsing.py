"""How much hypercorn parses at a time of one connection, on a stream that is made up."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

from hypercorn.protocol.events import Data, StreamClosed
from hypercorn.protocol.ws_stream import WSStream

from arcly_channels.testing.waiting import soon
from arcly_channels.transports.hypercorn import SLICE, Parsing, parse_in_turns


class Stream(WSStream):
    __module__ = WSStream.__module__

    def __init__(self) -> None:
        self.handled: list[Any] = []

    async def handle(self, event: Any) -> None:
        self.handled.append(event)

    async def app_send(self, message: Any) -> None: ...


def parsing_of(stream: Stream) -> Parsing:
    parsing = parse_in_turns(stream.app_send, Mock())
    assert parsing is not None
    return parsing


async def test_others_run_between_two_slices() -> None:
    parsing_of(stream := Stream())
    reading = asyncio.create_task(stream.handle(Data(1, b"x" * 3 * SLICE)))
    for number in range(1, 4):
        await asyncio.sleep(0)
        assert [each.data for each in stream.handled] == [b"x" * SLICE] * number
    await soon(reading)


async def test_nothing_is_parsed_of_who_is_ignored_but_its_end_is_heard() -> None:
    parsing = parsing_of(stream := Stream())
    reading = asyncio.create_task(stream.handle(Data(1, b"x" * 3 * SLICE)))
    await asyncio.sleep(0)
    parsing.end()
    await soon(reading)
    await stream.handle(Data(1, b"x"))
    assert len(stream.handled) == 1
    await stream.handle(end := StreamClosed(1))
    assert stream.handled[1:] == [end]

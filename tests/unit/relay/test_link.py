"""One connection: what goes out, and which reply is whose."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import Any

import pytest

from arcly_channels.relay.link import Link, Refusal, command
from arcly_channels.relay.servers import Server
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon
from tests.redis_servers import RedisServer
from tests.unit.relay.obedient import ObedientServer, array


async def linked(redis: RedisServer) -> Link:
    return await soon(Server(redis.url).connect())


def test_command_is_its_words_with_their_lengths() -> None:
    assert command("SET", b"key", 12) == b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$2\r\n12\r\n"
    assert command("ECHO", "ä") == b"*2\r\n$4\r\nECHO\r\n$2\r\n\xc3\xa4\r\n"


async def test_replies_are_given_in_the_order_of_the_commands(redis: RedisServer) -> None:
    link = await linked(redis)
    replies: list[bytes] = []
    numbers = [b"%d" % number for number in range(1000)]
    commands = b"".join(command("ECHO", number) for number in numbers)
    link.write(commands, [replies.append] * len(numbers))
    await eventually(lambda: len(replies) == len(numbers))
    assert replies == numbers
    link.abort()


async def test_reply_may_come_in_parts(server: ObedientServer) -> None:
    link = await server.dial()
    replies: list[Any] = []
    link.write(command("ECHO", "hello"), [replies.append])
    for byte in b"$5\r\nhello\r\n":
        assert replies == []
        server.say(bytes([byte]))
    assert replies == [b"hello"]


async def test_what_answers_nothing_is_pushed(server: ObedientServer) -> None:
    link = await server.dial()
    replies: list[Any] = []
    pushed: list[Any] = []
    link.on_push = pushed.append
    link.write(command("PING"), [replies.append])
    server.say(b"+PONG\r\n", array(b"message", b"topic", b"data"))
    assert replies == [b"PONG"]
    assert pushed == [[b"message", b"topic", b"data"]]


async def test_question_returns_its_answer(redis: RedisServer) -> None:
    link = await linked(redis)
    asked = [link.ask("ECHO", number) for number in range(3)]
    assert await soon(asyncio.gather(*asked)) == [b"0", b"1", b"2"]
    link.abort()


async def test_question_raises_what_the_server_refuses_it_with(redis: RedisServer) -> None:
    link = await linked(redis)
    with pytest.raises(Refusal, match="unknown command"):
        await soon(link.ask("NOSUCHCOMMAND"))
    assert await soon(link.ask("PING")) == b"PONG"
    link.abort()


async def test_question_that_is_given_up_takes_no_answer_of_others(server: ObedientServer) -> None:
    link = await server.dial()
    given_up = asyncio.create_task(link.ask("ECHO", "first"))
    await asyncio.sleep(0)
    given_up.cancel()
    asked = asyncio.create_task(link.ask("ECHO", "second"))
    await asyncio.sleep(0)
    server.say(b"$5\r\nfirst\r\n$6\r\nsecond\r\n")
    assert await soon(asked) == b"second"


async def test_lost_connection_answers_all_once(redis: RedisServer) -> None:
    link = await linked(redis)
    replies: list[Any] = []
    lost: list[bool] = []
    link.on_lost = lambda: lost.append(link.is_lost)
    link.write(command("BLPOP", "nothing", 0) * 2, [replies.append] * 2)
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await eventually(lambda: lost)
    assert [type(reply) for reply in replies] == [ConnectionResetError] * 2
    assert lost == [True]


async def test_lost_connection_takes_no_question(redis: RedisServer) -> None:
    link = await linked(redis)
    link.abort()
    await eventually(lambda: link.is_lost)
    with pytest.raises(ConnectionResetError):
        await link.ask("PING")


async def test_what_is_no_redis_is_left(server: ObedientServer) -> None:
    link = await server.dial()
    replies: list[Any] = []
    link.write(command("PING"), [replies.append])
    server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await eventually(lambda: link.is_lost)
    assert [type(reply) for reply in replies] == [ConnectionResetError]


async def test_silence_is_counted_from_the_last_byte(
    server: ObedientServer, gateway_clock: Clock
) -> None:
    link = await server.dial()
    gateway_clock.jump(3)
    assert link.silence >= 3
    server.say(b"+PONG\r\n")
    assert link.silence < 3


async def test_connection_that_was_let_go_goes_on_in_who_has_it_too(redis: RedisServer) -> None:
    link = await linked(redis)
    number = link._transport.get_extra_info("socket").fileno()
    kept = os.dup(number)  # As a parent has it.
    link.let_go()
    assert stat.S_ISCHR(os.fstat(number).st_mode)  # It is nothing any more.
    os.dup2(kept, number)
    os.close(kept)
    assert await soon(link.ask("PING")) == b"PONG"  # The event loop waits for it as before.
    link.abort()

"""What a busy Redis pays for a message, beside who sends and who receives: raw connections.

A Redis that is busy finds several commands whenever it looks, and answers them together; one with
little to do wakes up for each. Servers are planned for the first kind.
"""

from __future__ import annotations

import socket
import time

from .redis_server import RedisServer

PUBLISHERS = 16
SIZE = 160
"""About what a parcel with a frame of 100 bytes takes."""
_CHANNEL = b"bench"
_PUBLISH = b"*3\r\n$7\r\nPUBLISH\r\n$5\r\n%b\r\n$%d\r\n%b\r\n" % (_CHANNEL, SIZE, b"x" * SIZE)
_SUBSCRIBE = b"*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\n%b\r\n" % _CHANNEL
_CONFIRMED = b"*3\r\n$9\r\nsubscribe\r\n$5\r\n%b\r\n:1\r\n" % _CHANNEL
_COPY = len(b"*3\r\n$7\r\nmessage\r\n$5\r\n%b\r\n$%d\r\n%b\r\n" % (_CHANNEL, SIZE, b"x" * SIZE))


def cost_of_a_message(redis: RedisServer, copies: int, seconds: float) -> float:
    """Microseconds of Redis' CPU, with so many subscribers, each of which got everything."""
    publishers = [_connect(redis) for _ in range(PUBLISHERS)]
    subscribers = [_connect(redis) for _ in range(copies)]
    try:
        for subscriber in subscribers:
            subscriber.sendall(_SUBSCRIBE)
            _read(subscriber, len(_CONFIRMED))
        before, started, rounds = redis.cpu_seconds(), time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            _round(publishers, subscribers)
            rounds += 1
        return 1e6 * (redis.cpu_seconds() - before) / (rounds * PUBLISHERS)
    finally:
        for each in (*publishers, *subscribers):
            each.close()


def _round(publishers: list[socket.socket], subscribers: list[socket.socket]) -> None:
    """One message of each publisher, all on their way at once."""
    for publisher in publishers:
        publisher.sendall(_PUBLISH)
    answer = len(b":%d\r\n" % len(subscribers))
    for publisher in publishers:
        _read(publisher, answer)
    for subscriber in subscribers:
        _read(subscriber, len(publishers) * _COPY)


def _connect(redis: RedisServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", redis.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read(connection: socket.socket, size: int) -> None:
    """Take exactly `size` bytes. Raises `RuntimeError` when Redis says something else."""
    got = bytearray()
    while len(got) < size and (data := connection.recv(size - len(got))):
        got += data
    if len(got) != size or got.startswith(b"-"):
        raise RuntimeError(f"Redis answered {bytes(got[:80])!r}")

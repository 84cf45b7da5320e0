"""How many frames a second do two processes deliver over Redis, and what is left of one's rate?

Two Daphnes and Redis share one core, and their clients have the other; one of the processes
broadcasts, one broadcast after the other. Then one Daphne alone, with Redis and without. What Redis
costs counts against the servers: on the core of the clients, it waits until those have read.
"""

from __future__ import annotations

from . import channels_redis, peers, redis_server
from .cli import main
from .clusters import clusters
from .harness import CLIENT_CORE, SERVER_CORE, pin, sessions
from .rates import sample_rates
from .results import Result

OURS = peers.OURS_OVER_REDIS
OTHERS = (peers.STOCK_OVER_REDIS, peers.STOCK_OVER_PUBSUB)
ALONE = peers.OURS_ON_DAPHNE
PROCESSES = 2
SIZE = 100


def _together(result: Result, redis: str, members: int, quick: bool) -> None:
    title = f"{PROCESSES} processes of {members} sockets each, one broadcast per loop turn"
    with clusters((OURS, *OTHERS), result, redis, PROCESSES, members) as opened:
        everybody = PROCESSES * members
        rate = sample_rates(
            result, opened, title, burst=1, members=everybody, size=SIZE, quick=quick
        )
    for other in OTHERS:
        result.compare(rate, OURS.name, other.name, bar=20)


def _alone(result: Result, redis: str, members: int, quick: bool) -> None:
    title = f"one process of {members} sockets, one broadcast per loop turn"
    with sessions((OURS, ALONE), result, members, redis) as opened:
        rate = sample_rates(result, opened, title, burst=1, members=members, size=SIZE, quick=quick)
    result.compare(rate, OURS.name, ALONE.name, bar=0.85)


def run(quick: bool) -> Result:
    pin(CLIENT_CORE)
    members = 10 if quick else 200
    result = Result("scale_out", __doc__ or "", members=members, payload_bytes=SIZE, burst=1)
    if reason := redis_server.missing():
        result.skip("all", reason)
        return result
    with redis_server.redis_server(SERVER_CORE) as redis:
        result.versions["redis-server"] = redis.info()["redis_version"]
        _together(result, redis.url, members, quick)
        _alone(result, redis.url, members, quick)
    if not channels_redis.missing():
        result.versions |= channels_redis.versions()
    return result


if __name__ == "__main__":
    main(run)

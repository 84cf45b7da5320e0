"""The pages about migrating: what they change works as it did, for the same clients."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator

from arcly_channels import GatewayConsumer
from benchmarks import channels_redis
from tests.clients import DEADLINE, Client, connected
from tests.documents import DOCS, apply_diff, blocks, build_project, section
from tests.redis_servers import RedisServer
from tests.servers import Server, free_port, run, skip_for_want_of

PAGE = DOCS / "how-to" / "migrate-from-channels.md"
OF_REDIS = DOCS / "how-to" / "migrate-from-channels-redis.md"
DAPHNE = ("-m", "daphne", "--port", "{port}", "mysite.asgi:application")


@pytest.fixture(autouse=True)
def layer(settings: Any) -> Iterator[Any]:
    names: dict[str, Any] = {}
    exec(blocks(section(PAGE, "The layer: one line"), "python")[0], names)
    settings.CHANNEL_LAYERS = names["CHANNEL_LAYERS"]
    channel_layers.backends.clear()
    yield channel_layers["default"]
    channel_layers.backends.clear()


@pytest.mark.parametrize("block", [0, 1], ids=["json", "text"])
async def test_consumer_of_channels_keeps_its_frames_with_the_mixin(layer: Any, block: int) -> None:
    names: dict[str, Any] = {"__name__": "migrate"}
    exec(blocks(section(PAGE, "The mixin: two lines"), "python")[block], names)
    ada, bob = (WebsocketCommunicator(names["Chat"].as_asgi(), "/") for _ in range(2))
    for each in (ada, bob):
        assert (await each.connect())[0]
    assert layer.registry.connection_count() == 2
    await ada.send_json_to({"text": "Hello"})
    assert await bob.receive_json_from() == await ada.receive_json_from() == {"text": "Hello"}
    for each in (ada, bob):
        await each.disconnect()


def test_names_that_mean_something_are_those_of_the_code() -> None:
    listed = next(
        line
        for line in section(PAGE, "What changes with the mixin").split("\n* ")
        if "`id`" in line
    )
    missing = {name for name in listed.split("`")[1::2] if not hasattr(GatewayConsumer, name)}
    assert missing <= {"on_refresh", "room_namespace"}


# The diffs, on real servers


def say(client: Client, **message: Any) -> None:
    client.socket.send(json.dumps(message))


def hear(*clients: Client) -> list[Any]:
    """Return the next frame of each."""
    return [json.loads(each.socket.recv(DEADLINE)) for each in clients]


def serve(project: Path, **options: Any) -> Server:
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings", **options.pop("environment", {})}
    return Server(*DAPHNE, directory=project, environment=environment, cwd=project, **options)


def test_clients_of_stock_channels_notice_nothing(tmp_path: Path) -> None:
    project = build_project(section(PAGE, "Before"), tmp_path)
    (diff,) = blocks(section(PAGE, "Step 1: no client notices"), "diff")
    server = serve(project)
    with server:
        before = talk(server)
    apply_diff(diff, project)
    with server:
        assert talk(server) == before
    assert len(before) == 5
    assert "Traceback" not in server.log.read_text()


def talk(server: Server) -> list[Any]:
    """Return what two clients hear of each other, of a mistake, and of a view."""
    with connected(server) as ada, connected(server) as bob:
        say(ada, type="message", text="Hello")
        heard = hear(ada, bob)
        say(bob, type="kettle")
        heard += hear(bob)
        with urlopen(f"{server.url}/kettle/", timeout=DEADLINE):
            return heard + hear(ada, bob)


def test_processes_hear_each_other_before_and_after_channels_redis(
    tmp_path: Path, redis: RedisServer
) -> None:
    if channels_redis.missing():
        skip_for_want_of("an environment for channels_redis")
    project = build_project(section(OF_REDIS, "Before"), tmp_path)
    (diff,) = blocks(section(OF_REDIS, "The diff"), "diff")
    before = talk_over(redis.url, project, str(channels_redis.PYTHON))
    apply_diff(diff, project)
    assert talk_over(redis.url, project) == before
    assert before == [{"text": "Hello"}] * 2 + [{"text": "I am boiling!"}] * 2


def talk_over(redis: str, project: Path, python: str = sys.executable) -> list[Any]:
    """Return what clients of two processes hear of each other, and of a third."""
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "REDIS_URL": redis}
    *daphnes, announcing = blocks(section(OF_REDIS, "Before"), "console")[0].splitlines()
    assert {re.sub(r"800\d", "{port}", each) for each in daphnes} == {" ".join(DAPHNE[1:])}
    announce = shlex.split(announcing)[1:]
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(serve(project, environment=environment, program=python))
            for _ in range(2)
        )
        ada, bob = (stack.enter_context(connected(each)) for each in (one, other))
        say(ada, text="Hello")
        heard = hear(ada, bob)
        run(*announce, environment=environment, cwd=project, python=python)
        heard += hear(ada, bob)
    environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}"  # Where none is.
    with pytest.raises(RuntimeError, match="CommandError: Nobody was told"):
        run(*announce, environment=environment, cwd=project, python=python)
    return heard

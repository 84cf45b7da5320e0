"""The page about several processes: its files work, and say what the demo says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers

from arcly_channels.layers import RedisChannelLayer
from arcly_channels.testing.waiting import soon
from demo_project import cluster
from tests.documents import DOCS, blocks, section
from tests.nginx import make_certificate
from tests.redis_servers import RedisServer, redis_cluster
from tests.servers import free_port, require

PAGE = DOCS / "how-to" / "scale-out.md"


@pytest.fixture
def configured(settings: Any) -> Iterator[Any]:
    """The settings, of which a test may change the layers."""
    channel_layers.backends.clear()
    yield settings
    channel_layers.backends.clear()


def run_block(heading: str, number: int) -> dict[str, Any]:
    """Run a Python block of the page, and return the names that it defines."""
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(blocks(section(PAGE, heading), "python")[number], namespace)
    return namespace


# nginx


def test_file_of_nginx_is_that_of_the_demo() -> None:
    assert blocks(PAGE.read_text(), "nginx")[0] == (cluster.HERE / "nginx.conf").read_text()


def test_nginx_takes_the_lines_for_the_public(tmp_path: Path) -> None:
    require("nginx")
    site, public = blocks(PAGE.read_text(), "nginx")
    site = re.sub(r"    (listen|add_header) .*\n", "", site)
    site = site.replace("server {\n", f"server {{\n{public}")
    make_certificate(tmp_path)
    site = site.replace("/etc/letsencrypt/live/chat.example.com", str(tmp_path))
    command = cluster.proxy_command(free_port(), tmp_path)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{free_port()} ssl")
    (tmp_path / "site.conf").write_text(site)
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert "test is successful" in tested.stderr
    assert "[warn]" not in tested.stderr


# Restarts


@pytest.mark.parametrize("is_ready", [True, False])
def test_second_server_is_restarted_when_the_first_is_ready(
    is_ready: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, status in (("systemctl", 0), ("curl", 0 if is_ready else 22)):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@" >> told\nexit {status}\n')
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (script,) = blocks(section(PAGE, "Restarts"), "sh")
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False)
    told = (tmp_path / "told").read_text().splitlines()
    first = ["systemctl restart chat@1", "curl chat-1"]
    second = ["systemctl restart chat@2", "curl chat-2"]
    found = [re.sub("^curl .*/run/(.+)/daphne.sock .*", r"curl \1", line) for line in told]
    assert (found, done.returncode == 0) == (first + second if is_ready else first, is_ready)


# Redis


def lines_of_conf(number: int) -> list[list[str]]:
    """Return the lines of a block for redis.conf, as their words."""
    conf = blocks(section(PAGE, "Redis"), "conf")[number]
    lines = [shlex.split(line, comments=True) for line in conf.splitlines()]
    return [line for line in lines if line]


def options_of(lines: list[list[str]]) -> list[str]:
    return [word for name, *values in lines for word in (f"--{name}", *values)]


async def test_user_of_the_page_may_do_what_the_layer_does() -> None:
    with RedisServer(*options_of(lines_of_conf(0))) as redis:
        await do_all_that_a_layer_does(redis, cluster=False)


async def test_user_of_the_page_may_do_it_in_a_cluster_of_the_page() -> None:
    with redis_cluster(1, *options_of(lines_of_conf(1))) as (node,):
        for _, name, *rules in lines_of_conf(0):
            if name == "chat":
                node.ask("ACL", "SETUSER", name, *rules)
        await do_all_that_a_layer_does(node, cluster=True)


async def do_all_that_a_layer_does(redis: RedisServer, *, cluster: bool) -> None:
    hosts = [redis.url.replace("//", "//chat:secret@")]
    here, there = (RedisChannelLayer(hosts, prefix="chat", cluster=cluster) for _ in range(2))
    channel = await here.new_channel()
    await here.group_add("tea", channel)
    await there.group_send("tea", {"type": "kettle"})
    assert await soon(here.receive(channel)) == {"type": "kettle"}
    await there.send("work", {"type": "job"})
    assert await soon(here.receive("work")) == {"type": "job"}
    assert await there.connection_count() == 0
    await there.flush()
    assert [*here.problems(), *there.problems()] == []
    await here.close()
    await there.close()


@pytest.mark.parametrize("number", range(3))
def test_hosts_of_the_page_are_understood(number: int) -> None:
    RedisChannelLayer(run_block("Redis", number)["hosts"], prefix="chat")


@pytest.mark.parametrize(("heading", "number"), [("The layer", 0), ("Redis", 3)])
def test_layer_of_the_page_is_understood(configured: Any, heading: str, number: int) -> None:
    configured.CHANNEL_LAYERS = run_block(heading, number)["CHANNEL_LAYERS"]
    assert isinstance(channel_layers["default"], RedisChannelLayer)


async def test_sender_learns_whether_anybody_was_told(configured: Any) -> None:
    announce = run_block("Who else may send", 0)["announce"]
    backend = "arcly_channels.layers.RedisChannelLayer"
    config: dict[str, Any] = {"hosts": [f"redis://127.0.0.1:{free_port()}"], "prefix": "chat"}
    configured.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}
    assert await sync_to_async(announce)(7) == "nobody was told"
    await channel_layers["default"].close()
    with RedisServer() as redis:
        channel_layers.backends.clear()
        config["hosts"] = [redis.url]
        assert await sync_to_async(announce)(7) == "told"
        await channel_layers["default"].close()

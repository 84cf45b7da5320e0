"""The page about containers: what its image starts, as process 1, hears the signal to end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from arcly_channels.conf.settings import get_settings
from tests.clients import connected
from tests.documents import DOCS, blocks, section
from tests.integration.test_deploy import ENVIRONMENT, NAME, deployed_project
from tests.nginx import nginx
from tests.servers import Server, run, skip_for_want_of

PAGE = DOCS / "how-to" / "deploy-container.md"
DOCKERFILE, UVICORN = blocks(section(PAGE, "The image"), "dockerfile")
(COMPOSE,) = map(yaml.safe_load, blocks(section(PAGE, "Two containers"), "yaml"))
SETTINGS = """
from pathlib import Path
from django.conf import settings
print(Path(settings.DATABASES["default"]["NAME"]).name, Path(settings.STATIC_ROOT).name)
"""
"""Tells the names of what a machine has and an image should not."""

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""What runs a program as process 1, with no more of a container than that."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = deployed_project(tmp_path_factory.mktemp("container"))
    names: dict[str, Any] = {}
    exec(blocks(section(PAGE, "Two containers"), "python")[0], names)
    (network,) = names["ARCLY_CHANNELS"]["TRUSTED_PROXIES"]
    assert network == COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    return project


def command_of(dockerfile: str) -> list[str]:
    """Return what the image runs: a list, as a shell would not pass signals on."""
    command: list[str] = json.loads(re.findall(r"^CMD (.+)$", dockerfile, re.MULTILINE)[0])
    return command


def health_check() -> list[str]:
    (found,) = re.findall(r"^HEALTHCHECK .*CMD (.+)$", DOCKERFILE, re.MULTILINE)
    command: list[str] = json.loads(found)
    return command


@pytest.fixture(params=[DOCKERFILE, UVICORN], ids=["daphne", "uvicorn"])
def container(project: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        skip_for_want_of("unshare, and the right to use it,")
    program, *arguments = command_of(request.param)
    command = [sys.executable, "-m", program, *arguments]
    command = ["{port}" if each == "8000" else each for each in command]
    unshare, *options = CONTAINER
    server = Server(
        *options,
        *command,
        directory=project,
        environment=ENVIRONMENT,
        cwd=project,
        program=unshare,
    )
    with server:
        yield server


def process_1(server: Server) -> int:
    """Return the process that is number 1 for itself."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return int(children.read_text())


@pytest.fixture
def web(container: Server, tmp_path: Path) -> Iterator[Server]:
    (site,) = blocks(section(PAGE, "Two containers"), "nginx")
    site = re.sub(r" +resolver .*\n", "", site).replace("http://chat:8000", container.url)
    site = site.replace("access_log /dev/stdout", f"access_log {tmp_path}/log")
    with nginx(site, tmp_path) as proxy:
        yield proxy


def test_image_is_well_and_says_goodbye_when_it_is_stopped(container: Server, web: Server) -> None:
    check = [word.replace("8000", str(container.port)) for word in health_check()]
    assert subprocess.run([sys.executable, *check[1:]], check=False).returncode == 0
    origin = {"Origin": f"http://{NAME}"}
    with connected(web, origin, host=NAME, subprotocol="arcly.v1") as ada:
        assert ada.receive()["event"] == "gateway:welcome"
        os.kill(process_1(container), signal.SIGTERM)
        assert ada.receive()["data"]["code"] == 1012
    assert container.wait(get_settings().DRAIN_DEADLINE)
    done = subprocess.run([sys.executable, *check[1:]], capture_output=True, check=False)
    assert done.returncode == 1


def test_grace_is_longer_than_the_drain() -> None:
    grace = COMPOSE["services"]["chat"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > get_settings().DRAIN_DEADLINE


def test_requirements_and_what_is_left_out_are_those_of_the_project(project: Path) -> None:
    requirements, ignored = blocks(section(PAGE, "The image"), "text")
    (requirement,) = map(Requirement, requirements.splitlines()[1:])
    known = metadata(requirement.name).get_all("Provides-Extra", [])
    assert requirement.extras <= {*known}
    settings = run("-c", SETTINGS, environment=ENVIRONMENT, cwd=project).split()
    assert {*settings} < {*ignored.splitlines()[1:]}


def test_compose_names_stages_of_the_image() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)
    targets = {each["build"]["target"] for each in COMPOSE["services"].values()}
    assert targets == {*stages} == {*COMPOSE["services"]}

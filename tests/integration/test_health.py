"""Health, metrics and settings as an operator meets them: on real servers, and in bare projects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.clients import DEADLINE, connected
from tests.servers import ROOT, Server, demo_server


def get(server: Server, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(f"{server.url}{path}", timeout=DEADLINE) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


UVICORN = ("-m", "uvicorn", "--port", "{port}", "demo_project.asgi:application")


@pytest.mark.parametrize("arguments", [(), UVICORN], ids=["daphne", "uvicorn"])
def test_server_that_is_well_says_so(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with demo_server(tmp_path, *arguments) as server:
        for path in ("/healthz", "/readyz"):
            assert get(server, path) == (200, {"status": "ok"})


def test_daphne_that_drains_is_alive_and_not_ready(tmp_path: Path) -> None:
    goodbye = tmp_path / "goodbye"
    project = ("-m", "daphne", "--port", "{port}", "tests.integration.health_project:application")
    environment = {"TEST_GOODBYE": str(goodbye)}
    with (
        Server(*project, directory=tmp_path, environment=environment) as server,
        connected(server),
    ):
        assert get(server, "/readyz")[0] == 200
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + DEADLINE
        while (found := get(server, "/readyz"))[0] != 503:
            assert time.monotonic() < deadline
        why = {"what": "draining", "why": "the server is about to end"}
        assert found[1] == {"status": "not ready", "problems": [why]}
        assert get(server, "/healthz")[0] == 200
        goodbye.touch()


BARE_PROJECT = """
import asyncio, sys

for name in {missing}:
    sys.modules[name] = None  # As if it were not there.

import django
from django.conf import settings
settings.configure(
    SECRET_KEY="for-the-tests-only",
    INSTALLED_APPS=["channels", "arcly_channels"],
    ROOT_URLCONF="arcly_channels.urls",
    CHANNEL_LAYERS={{"default": {{"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}}},
    ALLOWED_HOSTS=["testserver"],
)
django.setup()
from django.core.management import call_command
from django.test import AsyncClient, Client
call_command("check")
assert Client().get("/readyz").json() == {{"status": "ok"}}
assert asyncio.run(AsyncClient().get("/readyz")).json() == {{"status": "ok"}}
assert Client().get("/gateway-top").status_code == 403
"""


def run_bare_project(missing: list[str], more: str = "") -> str:
    code = BARE_PROJECT.format(missing=missing) + textwrap.dedent(more)
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_project_needs_neither_prometheus_nor_sessions_nor_the_admin() -> None:
    run_bare_project(["prometheus_client", "django_prometheus"])


def test_prometheus_alone_exports_the_metrics() -> None:
    shown = run_bare_project(
        ["django_prometheus"],
        """
        from prometheus_client import generate_latest
        print(generate_latest().decode())
        """,
    )
    assert "\nws_connections 0.0\n" in shown
    assert '\narcly_events_in_total{event="other"} 0.0\n' in shown

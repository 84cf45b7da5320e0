"""Several processes of one project: what is published or served in the wrong one is said."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from arcly_channels.layers import processes
from arcly_channels.layers.processes import Presence
from tests.servers import ROOT

SCOPE: dict[str, Any] = {"type": "websocket", "client": ["192.0.2.1", 4000]}
SERVE = """
import sys, django; django.setup()
from arcly_channels.layers.processes import presence
presence.gateway_opened({"client": None})
print("serving", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for the lock that no other test run has."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # The database of tests has a name of its own once it is made; the other process has none.
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", ":memory:")
    return tmp_path


@contextmanager
def other_process(directory: Path, **environment: str) -> Iterator[int]:
    """Run a process that has a gateway's client, and give its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(directory), **environment},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"serving\n"
        yield process.pid
        process.kill()


def levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records]


def test_publishing_where_no_gateway_ran_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    presence = Presence()
    presence.published()
    presence.published()
    assert levels(caplog) == [logging.WARNING]


def test_publishing_where_a_gateway_ran_is_as_it_should_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    presence = Presence()
    presence.gateway_opened(SCOPE)
    presence.published()
    assert levels(caplog) == []


def test_second_process_with_gateways_logs_an_error_once(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    presence = Presence()
    with other_process(directory) as other:
        presence.gateway_opened(SCOPE)
        presence.gateway_opened(SCOPE)
    assert levels(caplog) == [logging.ERROR]
    assert f"process {other} of this project" in caplog.text


def test_process_that_was_killed_is_in_nobodys_way(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with other_process(directory):
        pass
    Presence().gateway_opened(SCOPE)
    assert levels(caplog) == []


def test_other_project_is_no_second_process(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with other_process(directory, DJANGO_SETTINGS_MODULE="demo_project.settings"):
        Presence().gateway_opened(SCOPE)
    assert levels(caplog) == []


def test_broadcast_of_a_process_without_gateways_is_warned_of() -> None:
    code = "import django; django.setup(); import arcly_channels as a; a.broadcast('x')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "no gateway has run so far" in done.stderr


def test_client_of_a_test_takes_no_lock(directory: Path) -> None:
    Presence().gateway_opened({"type": "websocket"})
    assert list(directory.iterdir()) == []


def test_lock_file_of_somebody_else_is_no_reason_to_fail(directory: Path) -> None:
    processes.lock_path().symlink_to(directory / "elsewhere")
    Presence().gateway_opened(SCOPE)
    assert not (directory / "elsewhere").exists()

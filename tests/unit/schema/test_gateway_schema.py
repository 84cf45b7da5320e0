"""`manage.py gateway_schema`: what it writes, what it compares, and what it says of trouble."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.core.management.base import CommandError

APPLICATION = "tests.described.application"


@pytest.fixture(autouse=True)
def project(settings: Any) -> None:
    settings.ASGI_APPLICATION = APPLICATION


def written(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    call_command("gateway_schema", *options)
    return capsys.readouterr().out


def test_document_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(written(capsys))
    assert (found["asyncapi"], found["info"]) == ("3.0.0", {"title": "tests", "version": "1"})


def test_yaml_says_the_same_without_shorthand(capsys: pytest.CaptureFixture[str]) -> None:
    text = written(capsys, "--yaml")
    assert yaml.safe_load(text) == json.loads(written(capsys))
    assert "&id" not in text


def test_yaml_without_its_package_names_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(CommandError, match="pip install PyYAML"):
        call_command("gateway_schema", "--yaml")


@pytest.mark.parametrize("options", [(), ("--yaml",), ("--typescript",)], ids=str)
def test_file_that_is_up_to_date_is_checked_in_silence(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "api"
    file.write_text(written(capsys, *options), encoding="utf-8")
    assert written(capsys, *options, "--check", str(file)) == ""


def test_stale_file_is_told_with_what_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "api.ts"
    file.write_text(written(capsys, "--typescript").replace("ask", "tell"), encoding="utf-8")
    with pytest.raises(CommandError, match=r"gateway_schema --typescript > .*api.ts") as told:
        call_command("gateway_schema", "--typescript", "--check", str(file))
    assert told.value.returncode == 1
    diff = capsys.readouterr().out.splitlines()
    assert "-  tell: (data?: unknown) => unknown;" in diff
    assert "+  ask: (data?: unknown) => unknown;" in diff


def test_file_that_is_missing_is_told_how_to_write(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be read .*: write it anew with"):
        call_command("gateway_schema", "--check", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (None, "say where it is: ASGI_APPLICATION = "),
        ("no_such_project.asgi.application", r"\(No module named 'no_such_project'\)"),
        ("tests.described.gone", "say where it is"),
        ("django.core.handlers.asgi.ASGIHandler", "leads to no gateway: route one as in"),
    ],
)
def test_project_without_gateways_is_told_what_to_do(settings: Any, path: Any, advice: str) -> None:
    settings.ASGI_APPLICATION = path
    with pytest.raises(CommandError, match=advice):
        call_command("gateway_schema")


@pytest.mark.parametrize(
    "value",
    [
        {"NAME": "Chat"},
        {"TITLE": 1},
        {"VERSION": ""},
        {"URL": "https://example.com"},
        {"URL": "wss:///"},
        {"URL": "wss://example.com/?token=1"},
        "Chat",
    ],
    ids=str,
)
def test_setting_that_cannot_be_used_is_told(settings: Any, value: Any) -> None:
    settings.ARCLY_CHANNELS = {"SCHEMA": value}
    with pytest.raises(CommandError, match="SCHEMA cannot be used"):
        call_command("gateway_schema")

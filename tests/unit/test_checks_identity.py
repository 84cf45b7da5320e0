"""The system checks about identity."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels.sessions import CookieMiddleware
from django.core.checks import run_checks
from django.urls import path

from arcly_channels import EventStream, GatewayConsumer
from arcly_channels.identity import IdentityMiddlewareStack, SameHostOriginValidator
from arcly_channels.identity.verifier import load_verifier

SECRET = "s" * 32


class Lobby(GatewayConsumer):
    pass


class Games(GatewayConsumer):
    pass


async def plain(scope: Any, receive: Any, send: Any) -> None:
    pass


def router(*gateways: type[GatewayConsumer]) -> Any:
    return URLRouter([route(each.__name__, each.as_asgi()) for each in gateways])


def route(name: str, application: Any) -> Any:
    return path(name, application)  # `path` is typed for views only, and Any passes.


def wrapped(inner: Any) -> Any:
    return CookieMiddleware(IdentityMiddlewareStack(inner))


def found(id: str) -> list[str]:
    return [
        str(each.msg)
        for each in run_checks(tags=["arcly_channels"])
        if each.id == f"arcly_channels.{id}"
    ]


def test_tokens_without_pyjwt_are_told_what_to_install(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "arcly_channels.identity.tokens", None)
    load_verifier.cache_clear()
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": [SECRET]}}
    (error,) = run_checks(tags=["arcly_channels"])
    assert 'pip install "arcly_channels[jwt]"' in error.msg
    assert error.hint is None


def serve(settings: Any, monkeypatch: pytest.MonkeyPatch, application: Any) -> None:
    """Make an application for WebSockets that of the project."""
    module: Any = ModuleType("routed_application")
    module.application = ProtocolTypeRouter({"http": plain, "websocket": application})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.ASGI_APPLICATION = f"{module.__name__}.application"


@pytest.mark.parametrize(
    ("application", "named"),
    [
        (plain, []),
        (Lobby.as_asgi(), ["Lobby"]),
        (router(Lobby, Games), ["Lobby", "Games"]),
        (wrapped(router(Lobby)), ["Lobby"]),
        (AllowedHostsOriginValidator(wrapped(router(Lobby))), []),
        (wrapped(OriginValidator(router(Lobby), ["https://example.com"])), []),
        (wrapped(SameHostOriginValidator(router(Lobby))), []),
        (OriginValidator(SameHostOriginValidator(router(Lobby)), ["*"]), []),
        (wrapped(URLRouter([route("a", router(Lobby)), route("b", plain)])), ["Lobby"]),
        (
            URLRouter([
                route("a", AllowedHostsOriginValidator(router(Lobby))), route("b", router(Games)),
            ]),
            ["Games"],
        ),
    ],
)  # fmt: skip
def test_gateways_without_an_origin_validator_are_named(
    settings: Any, monkeypatch: pytest.MonkeyPatch, application: Any, named: list[str]
) -> None:
    serve(settings, monkeypatch, application)
    assert found("W001") == [
        f"{__name__}.{name} is routed without an origin validator" for name in named
    ]


@pytest.mark.parametrize("origins", [["*"], ["https://example.com", "*"]])
def test_a_validator_that_lets_everybody_in_is_none(
    settings: Any, monkeypatch: pytest.MonkeyPatch, origins: list[str]
) -> None:
    serve(settings, monkeypatch, wrapped(OriginValidator(router(Lobby), origins)))
    (message,) = found("W001")
    assert message.startswith(f"{__name__}.Lobby is routed behind an origin validator that")


def test_allowed_hosts_of_everybody_validate_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    serve(settings, monkeypatch, AllowedHostsOriginValidator(router(Lobby)))
    assert len(found("W001")) == 1


@pytest.mark.parametrize("path", [None, "", "nowhere.application", "os.path.gone"])
def test_without_an_application_there_is_nothing_to_warn_of(settings: Any, path: Any) -> None:
    settings.ASGI_APPLICATION = path
    assert found("W001") == []


class Elsewhere(GatewayConsumer):
    channel_layer_alias = "other"


OURS = {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}
THEIRS = {"BACKEND": "channels.layers.InMemoryChannelLayer"}


@pytest.mark.parametrize(
    ("layers", "lost"),
    [
        ({"default": OURS, "other": OURS}, []),
        ({"default": OURS}, ["Elsewhere"]),
        ({"default": OURS, "other": THEIRS}, ["Elsewhere"]),
        ({"default": THEIRS, "other": OURS}, ["Lobby"]),
        ({}, ["Lobby", "Elsewhere"]),
        (None, ["Lobby", "Elsewhere"]),
        # Said by E002 and E004.
        ({"default": {"BACKEND": "no.Layer"}, "other": {**OURS, "CONFIG": {"x": 1}}}, []),
    ],
)
def test_routed_gateway_needs_a_layer_of_ours(
    settings: Any, monkeypatch: pytest.MonkeyPatch, layers: Any, lost: list[str]
) -> None:
    serve(settings, monkeypatch, AllowedHostsOriginValidator(router(Lobby, Elsewhere)))
    if layers is None:
        del settings.CHANNEL_LAYERS
    else:
        settings.CHANNEL_LAYERS = layers
    messages = found("E005")
    assert [message.partition(" ")[0] for message in messages] == [
        f"{__name__}.{name}" for name in lost
    ]


class Feed(EventStream):
    channel_layer_alias = "other"


def test_routed_event_stream_needs_a_layer_of_ours_and_no_look_at_origins(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(settings, monkeypatch, wrapped(URLRouter([route("events", Feed.as_asgi())])))
    settings.CHANNEL_LAYERS = {"default": OURS}
    assert [message.partition(" ")[0] for message in found("E005")] == [f"{__name__}.Feed"]
    assert found("W001") == []


def deployed() -> list[str]:
    messages = run_checks(tags=["arcly_channels"], include_deployment_checks=True)
    return [str(each.id) for each in messages]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"JWT": {"KEYS": [SECRET]}}, ["arcly_channels.W002"]),
        ({"JWT": {"KEYS": [SECRET]}, "QUERY_TOKENS": True}, ["arcly_channels.W002"]),
        ({"JWT": {"KEYS": [SECRET]}, "QUERY_TOKENS": False}, []),
        ({"CLAIMS_FROM_USER": True}, []),
    ],
)
def test_tokens_in_urls_are_warned_of_where_a_project_is_deployed(
    settings: Any, options: Any, expected: list[str]
) -> None:
    settings.ARCLY_CHANNELS = options
    assert deployed() == expected
    assert found("W002") == []  # Not while it is developed.


def test_a_short_secret_is_an_error_that_does_not_show_it(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": [SECRET[:-1]]}}
    (message,) = found("E001")
    assert message == 'ARCLY_CHANNELS: JWT["KEYS"][0] is a secret of 31 bytes'
    assert found("E003") == []


def test_a_key_that_is_none_is_an_error(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": [{"KEY": SECRET, "ALGORITHM": "RS256"}]}}
    (message,) = found("E003")
    assert "KEYS" in message
    assert SECRET not in message


@pytest.mark.parametrize("key", ["CLAIMS_FROM_USER", "TENANTS", "TENANT_STRATEGY"])
@pytest.mark.parametrize("value", ["nowhere.at_all", "sys.path"])
def test_a_path_that_leads_nowhere_is_an_error(settings: Any, key: str, value: str) -> None:
    settings.ARCLY_CHANNELS = {"TENANT_STRATEGY": {"HEADER": "X-Tenant"}, key: value}
    assert found("E003") == [f'ARCLY_CHANNELS["{key}"] leads to no callable']


def test_right_settings_are_no_error(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {
        "JWT": {"KEYS": [SECRET]},
        "CLAIMS_FROM_USER": "os.path.join",
        "TENANTS": "os.path.join",
        "TENANT_STRATEGY": "os.path.join",
    }
    assert found("E001") == found("E003") == []

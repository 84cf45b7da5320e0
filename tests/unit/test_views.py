"""The views of `arcly_channels.urls`: who may look, and what there is to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.contrib.auth.models import AnonymousUser, User
from django.db import connections
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import resolve

from arcly_channels import GatewayConsumer, subscribe, views
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pulse import STALLED
from arcly_channels.fanout.rows import About
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.watch import overview
from arcly_channels.session.drain import Drain
from tests.gateways import connected

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

KEY = "a-key-of-the-tests"

pytestmark = pytest.mark.usefixtures("layer")


@pytest.fixture(autouse=True)
def routed(settings: Settings) -> None:
    settings.ROOT_URLCONF = "arcly_channels.urls"


@pytest.fixture
def ending_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drain, "is_on", True)


class Rooms(GatewayConsumer):
    @subscribe("join")
    async def join(self, data: Any) -> None:
        await self.join_room(data)
        await self.emit("joined")


# Health


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_process_that_is_well_says_so(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/gateway-top"])
def test_answers_are_never_cached_and_need_no_login_of_the_site(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]
    view: Any = resolve(path).func
    assert view.login_required is False
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/gateway-top"])
def test_answers_wait_for_no_database(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert client.get(path).status_code in (200, 403)  # This test may not use it.


@pytest.mark.usefixtures("ending_server")
def test_process_that_is_about_to_end_is_alive_and_not_ready(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    (problem,) = response.json()["problems"]
    assert problem == {"what": "draining", "why": "the server is about to end"}


def test_process_with_a_stalled_loop_is_not_ready(
    client: Client, layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer.registry, "overdue", lambda: STALLED - 0.1)
    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(layer.registry, "overdue", lambda: STALLED)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["problems"] == [
        {"what": "stalled", "why": "an event loop with connections is late by 5 s"}
    ]


def test_process_whose_relay_has_a_problem_is_not_ready(
    client: Client, layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer.relay, "problem", lambda: "nobody answers")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["problems"] == [{"what": "relay", "why": "nobody answers"}]


# Who may look


def look(user: Any = None, query: str = "", **headers: str) -> HttpResponse:
    request = RequestFactory().get(f"/gateway-top{query}", headers=headers)
    if user is not None:
        request.user = user
    return views.gateway_top(request)


@pytest.mark.parametrize(
    "user",
    [None, AnonymousUser(), User(is_staff=False), User(is_staff=True, is_active=False)],
)
def test_stranger_is_told_what_to_do(user: Any, settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"WATCH_KEY": KEY}
    for headers in ({}, {"X-Watch-Key": ""}, {"X-Watch-Key": KEY[:-1]}, {"X-Watch-Key": "ü"}):
        response = look(user, **headers)
        assert response.status_code == 403
        assert b"log in as staff, or send the WATCH_KEY" in response.content
        assert KEY.encode() not in response.content


def test_staff_may_look() -> None:
    assert look(User(is_staff=True)).status_code == 200


def test_who_has_the_key_may_look(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"WATCH_KEY": KEY}
    assert look(**{"X-Watch-Key": KEY}).status_code == 200


@pytest.mark.parametrize("given", ["", "None"])
def test_without_a_key_in_the_settings_none_fits(given: str) -> None:
    assert look(**{"X-Watch-Key": given}).status_code == 403


def test_project_without_a_layer_of_ours_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(channel_layers.backends, "default", InMemoryChannelLayer())
    response = look(User(is_staff=True))
    assert response.status_code == 404
    assert b"no layer in CHANNEL_LAYERS is of arcly_channels" in response.content


# What there is to see


def seen(client: Client, settings: Settings, query: str = "") -> dict[str, Any]:
    settings.ARCLY_CHANNELS = {"WATCH_KEY": KEY}
    found = client.get(f"/gateway-top{query}", headers={"X-Watch-Key": KEY}).json()
    assert isinstance(found, dict)
    return found


async def test_clients_are_shown_as_who_they_are(layer: LocalChannelLayer) -> None:
    scope = {"client": ["192.0.2.1", 1234], "claims": {"sub": "ada"}, "tenant": "acme"}
    async with connected(Rooms.as_asgi(), path="/ws/", **scope) as socket:
        await socket.emit("join", "tea")
        await socket.receive_json_from()
        (shown,) = overview([layer], 10)["clients"]
    assert 0 <= shown.pop("seconds") < 60
    assert shown.pop("id").startswith(layer.node)
    who = {"user": "ada", "tenant": "acme", "path": "/ws/", "address": "192.0.2.1"}
    assert shown == {**who, "frames": 0, "bytes": 0, "rooms": 1}


def test_clients_that_are_furthest_behind_come_first(
    client: Client, settings: Settings, layer: LocalChannelLayer
) -> None:
    for number in range(30):
        id = layer.registry.add(Outbox(), about=About(user=str(number))).id
        layer.registry.send_text(id, "x" * (number % 10 * 100 + number))
    found = seen(client, settings)
    assert [each["user"] for each in found["clients"]][:4] == ["29", "19", "9", "28"]
    assert len(found["clients"]) == 20
    shown = {key: found[key] for key in ("connections", "frames_out", "pending_frames")}
    assert shown == {"connections": 30, "frames_out": 30, "pending_frames": 30}
    assert found["pending_bytes"] == found["bytes_out"] == 13935


@pytest.mark.parametrize(
    ("query", "number"),
    [("", 20), ("1", 1), ("0", 0), ("-1", 20), ("x", 20), ("%C2%B2", 20), ("9" * 5000, 22)],
)
def test_number_of_clients_is_bounded_and_never_an_error(
    client: Client, settings: Settings, layer: LocalChannelLayer, query: str, number: int
) -> None:
    for _ in range(22):
        layer.registry.register(Outbox())
    assert len(seen(client, settings, f"?clients={query}")["clients"]) == number

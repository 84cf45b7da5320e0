"""The page in Django's admin: who sees it, what is on it, and who may disconnect whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.test import Client
from django.urls import path

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import About, Connection
from arcly_channels.layers import LocalChannelLayer

if TYPE_CHECKING:
    from pytest_django import Settings

urlpatterns = [path("admin/", admin.site.urls)]
PAGE = "/admin/arcly_channels/connection/"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("layer")]


@pytest.fixture(autouse=True)
def routed(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


def browser(**flags: bool) -> Client:
    """Return the browser of a user who is logged in, and whose forms are checked."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="ada", **flags))
    return client


@pytest.fixture
def chief() -> Client:
    return browser(is_staff=True, is_superuser=True)


@pytest.fixture
def staff() -> Client:
    return browser(is_staff=True)


def connect(layer: LocalChannelLayer, **about: str) -> Connection:
    return layer.registry.add(Outbox(), about=About(**about))


def press(client: Client, id: str, **more: Any) -> Any:
    token = client.get(PAGE).context["csrf_token"]
    return client.post(PAGE, {"id": id, "csrfmiddlewaretoken": str(token)}, **more)


def test_page_is_on_the_index_of_the_admin(staff: Client) -> None:
    assert f'href="{PAGE}"' in staff.get("/admin/").content.decode()


@pytest.mark.parametrize("flags", [{}, {"is_staff": True, "is_active": False}])
def test_who_is_no_staff_is_asked_to_log_in(flags: dict[str, bool]) -> None:
    for response in (browser(**flags).get(PAGE), Client().get(PAGE)):
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_clients_are_shown_and_escaped(staff: Client, layer: LocalChannelLayer) -> None:
    who = {"user": "<b>eve</b>", "tenant": "<i>", "path": "/<u>", "address": "192.0.2.1"}
    connection = connect(layer, **who)
    response = staff.get(PAGE)
    page = response.content.decode()
    assert f"{layer.node}-{connection.id}" in page
    assert "&lt;b&gt;eve&lt;/b&gt;" in page
    assert not re.search("<b>|<i>|<u>", page)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("wanted", ["eve", "acme", "/ws/eve", "192.0.2.1"])
def test_client_is_found_by_what_is_known(
    staff: Client, layer: LocalChannelLayer, wanted: str
) -> None:
    eve = connect(layer, user="eve", tenant="acme", path="/ws/eve", address="192.0.2.1")
    connect(layer, user="bob")
    found = staff.get(PAGE, {"q": wanted}).context["found"]["clients"]
    assert [each["id"] for each in found] == [f"{layer.node}-{eve.id}"]


def test_superuser_disconnects_a_client_and_nobody_else(
    chief: Client, layer: LocalChannelLayer
) -> None:
    eve, bob = connect(layer, user="eve"), connect(layer, user="bob")
    response = press(chief, f"{layer.node}-{eve.id}", follow=True)
    assert "was disconnected" in response.content.decode()
    assert (eve.outbox.close_code, eve.outbox.close_reason) == (4403, "disconnected by staff")
    assert bob.outbox.close_code is None
    assert layer.registry.get(eve.id) is None


def test_button_needs_a_permission(staff: Client, layer: LocalChannelLayer) -> None:
    eve = connect(layer, user="eve")
    assert "Disconnect" not in staff.get(PAGE).content.decode()
    token = staff.get("/admin/password_change/").context["csrf_token"]
    form = {"id": f"{layer.node}-{eve.id}", "csrfmiddlewaretoken": str(token)}
    assert staff.post(PAGE, form).status_code == 403
    assert eve.outbox.close_code is None


def test_form_of_another_site_disconnects_nobody(chief: Client, layer: LocalChannelLayer) -> None:
    eve = connect(layer, user="eve")
    assert chief.post(PAGE, {"id": f"{layer.node}-{eve.id}"}).status_code == 403
    chief.get(PAGE, {"id": f"{layer.node}-{eve.id}"})
    assert eve.outbox.close_code is None


@pytest.mark.parametrize("id", ["", "x", "{node}-", "{node}-0", "{node}-x", "other-{id}", "{id}"])
def test_button_for_nobody_disconnects_nobody(
    chief: Client, layer: LocalChannelLayer, id: str
) -> None:
    eve = connect(layer, user="eve")
    response = press(chief, id.format(node=layer.node, id=eve.id), follow=True)
    assert "That connection is gone." in response.content.decode()
    assert eve.outbox.close_code is None


def test_project_without_a_layer_of_ours_is_told_so(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(channel_layers.backends, "default", InMemoryChannelLayer())
    assert "No layer in CHANNEL_LAYERS" in staff.get(PAGE).content.decode()


def test_page_brings_no_model_and_passes_the_checks() -> None:
    assert list(apps.get_app_config("arcly_channels").get_models()) == []
    assert run_checks(tags=["admin", "models"]) == []

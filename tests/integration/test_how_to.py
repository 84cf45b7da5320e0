"""The how-to: each of its recipes does what it says."""

from __future__ import annotations

import json
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.db.models.signals import post_save
from django.test import RequestFactory

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.conf.settings import problems
from arcly_channels.logs import noted
from arcly_channels.testing import Clients, GatewayCommunicator
from tests.documents import DOCS, blocks, section


class Room(GatewayConsumer):
    """A gateway whose clients join whatever room they name."""

    @subscribe("join")
    async def join(self, data: str) -> None:
        await self.join_room(data)


class Browser:
    """Connects to gateways in this process."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def open(self, gateway: Any = Room, **scope: Any) -> GatewayCommunicator:
        return await self._clients(gateway.as_asgi()).connect(**scope)

    async def enter(self, room: str) -> GatewayCommunicator:
        client = await self.open()
        await client.emit("join", room)
        await client.settle()
        return client


@pytest.fixture
def browser(gateway_client: Clients) -> Browser:
    return Browser(gateway_client)


def recipe(heading: str, number: int = 0, **names: Any) -> Any:
    """Run a code block of a recipe, and return the names that it defines."""
    namespace = {"__name__": "recipe", **names}
    exec(blocks(section(DOCS / "how-to" / "recipes.md", heading), "python")[number], namespace)
    return SimpleNamespace(**namespace)


@pytest.mark.parametrize("heading", ["Settings", "Limits"])
def test_settings_of_the_page_about_deployment_are_taken(heading: str) -> None:
    names: dict[str, Any] = {}
    exec(blocks(section(DOCS / "how-to" / "deployment.md", heading), "python")[0], names)
    assert problems(names["ARCLY_CHANNELS"]) == []


async def test_view_tells_a_room(browser: Browser) -> None:
    views = recipe("Tell browsers from a view")
    watcher = await browser.enter("order 7")
    response = await sync_to_async(views.ship)(RequestFactory().get("/"), 7)
    assert response.status_code == 204
    await watcher.expect("order.shipped", {"number": 7})


@pytest.mark.django_db(transaction=True)
async def test_signal_tells_everybody(browser: Browser) -> None:
    signals = recipe("Tell browsers when something was saved")
    try:
        watcher = await browser.open()
        await sync_to_async(create_user)("ada")
        await watcher.expect("user.joined", {"name": "ada"})
    finally:
        post_save.disconnect(signals.announce, sender=get_user_model())


def create_user(name: str) -> None:
    get_user_model().objects.create_user(name)
    forget_connections()


def forget_connections() -> None:
    connections.close_all()
    del connections["default"]  # Else Channels looks after it in the tests to come, too.


async def test_other_process_asks_the_server(browser: Browser, settings: Any) -> None:
    settings.PUBLISH_KEY = "right"
    views = recipe("Tell browsers from Celery, cron or a shell")
    watcher = await browser.enter("tea")
    body = json.dumps({"room": "tea", "event": "kettle", "data": "on"})
    for key, status in (("wrong", 403), ("right", 204)):
        request = RequestFactory().post(
            "/", body, content_type="application/json", headers={"X-Publish-Key": key}
        )
        assert (await sync_to_async(views.publish)(request)).status_code == status
    await watcher.expect("kettle", "on")


async def test_client_is_refused(browser: Browser, gateway_client: Clients) -> None:
    gateway = recipe("Refuse a client").Members
    await gateway_client(gateway.as_asgi()).expect_refusal(user=AnonymousUser())
    await browser.open(gateway, user=SimpleNamespace(is_authenticated=True))


async def test_client_is_told_before_it_is_closed(browser: Browser) -> None:
    first = recipe("Refuse a client")
    gateway = recipe("Refuse a client", 1, **vars(first)).Members
    stranger = await browser.open(gateway, user=AnonymousUser())
    await stranger.expect("goodbye")
    await stranger.expect_close(4401)


async def test_bad_data_is_answered(browser: Browser) -> None:
    client = await browser.open(recipe("Answer bad data").Orders)
    for data in ("order 7", {"number": "7"}, {}):
        await client.emit("order.watch", data)
        await client.expect_error("invalid_number")
    await client.emit("order.watch", {"number": 7})
    await client.expect_nothing()


async def test_kicked_user_is_kept_out(browser: Browser, gateway_client: Clients) -> None:
    chat = recipe("Keep somebody out who was kicked")
    eve = await browser.open(chat.Chat, claims={"sub": "eve"})
    await browser.open(chat.Chat, claims={"sub": "ada"})
    assert await sync_to_async(chat.kick)("eve") == 1
    await eve.expect_close(4401)
    await gateway_client(chat.Chat.as_asgi()).expect_refusal(claims={"sub": "eve"})


async def test_answer_comes_later(browser: Browser) -> None:
    client = await browser.open(recipe("Answer later").Reports)
    await client.emit("report.make")
    await client.expect("report.ready", {"rows": 499500})


@pytest.mark.django_db(transaction=True)
async def test_handler_uses_the_orm(browser: Browser) -> None:
    client = await browser.open(recipe("Use the ORM in a handler").Members)
    await sync_to_async(create_user)("ada")
    await client.emit("member.find", "ada")
    await client.expect("member.found")
    await client.emit("member.find", {"name": "ada"})
    await client.expect_error("no_such_member")
    await sync_to_async(forget_connections)()


async def test_client_asks_for_too_much(browser: Browser) -> None:
    client = await browser.open(recipe("Limit what a client may ask for").Search)
    for _ in range(60):  # The first ten pass, and five a second.
        await client.emit("typing")
    error = await client.expect_error("rate_limited")
    assert error["retry_after"] <= 0.2


async def test_several_searches_run_at_once(browser: Browser) -> None:
    search = recipe("Limit what a client may ask for").Search
    together = threading.Barrier(3)  # Passed by three, or by none.
    search.search.__globals__["look_for"] = lambda _: together.wait(10)
    client = await browser.open(search)
    for words in "abc":
        await client.emit("search", words)
    found = [(await client.receive_json_from())["data"]["for"] for _ in "abc"]
    assert sorted(found) == ["a", "b", "c"]


async def test_gateway_stands_before_a_consumer_of_channels(browser: Browser) -> None:
    client = await browser.open(recipe("Use it with consumers of Channels").News)
    await client.emit("ping", 1)
    await client.expect("pong", 1)
    await channel_layers["default"].group_send("news", {"type": "news.flash", "headline": "Tea"})
    await client.expect("news", "Tea")


async def test_consumer_of_channels_reaches_gateways(browser: Browser) -> None:
    watcher = await browser.enter("boiler room")
    sensor = await browser.open(recipe("Use it with consumers of Channels", 1).Sensor)
    await sensor.send_to(text_data="21.5")
    await watcher.expect("reading", 21.5)


async def test_gateway_lives_on_another_layer(browser: Browser, settings: Any) -> None:
    settings.CHANNEL_LAYERS = recipe("Use several layers").CHANNEL_LAYERS
    games = recipe("Use several layers", 1)
    player = await browser.open(games.Game)
    await player.emit("table.join")
    await player.settle()
    await sync_to_async(games.deal)("queen")
    await player.expect("card", "queen")


def test_health_has_addresses() -> None:
    (included,) = recipe("Watch a server").urlpatterns
    assert all(included.resolve(name) for name in ("healthz", "readyz", "gateway-top"))


@pytest.mark.django_db
def test_operators_may_disconnect_people() -> None:
    backend = recipe("Watch a server", 1).Operators()
    user: Any = get_user_model().objects.create(username="ann")
    permission = "arcly_channels.disconnect_connection"
    assert not backend.has_perm(user, permission)
    user.groups.create(name="operators")
    assert backend.has_perm(user, permission)
    assert not backend.has_perm(user, "auth.delete_user")


def test_log_is_written_with_its_fields() -> None:
    record = logging.makeLogRecord({"msg": "%s is gone", "args": ("Ada",), **noted(7, code=4008)})
    line = json.loads(recipe("Watch a server", 2).Fields().format(record))
    assert line["message"] == "Ada is gone"
    assert (line["connection"], line["code"], line["tenant"]) == (7, 4008, None)
    settings = recipe("Watch a server", 3).LOGGING
    assert settings["formatters"]["fields"]["()"].endswith("Fields")


def test_metrics_have_an_address() -> None:
    urls = recipe("See who is slow")
    assert urls.urlpatterns[0].resolve("metrics") is not None

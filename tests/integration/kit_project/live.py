"""Tests of the project on a live server, as its author would write them, of both kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import override_settings
from websockets import Origin, Subprotocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from arcly_channels import broadcast_to_room, room_size
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import Clients, GatewayCommunicator, LiveGatewayTestCase, LiveServer
from tests.integration.kit_project.site import Users

DEADLINE = 10


def opened(server: LiveServer) -> ClientConnection:
    url, protocols = f"{server.ws_url}/ws/", [Subprotocol("arcly.v1")]
    return connect(url, subprotocols=protocols, origin=Origin(server.url))


@contextmanager
def joined(server: LiveServer) -> Iterator[ClientConnection]:
    with opened(server) as client:
        assert received(client)["event"] == "gateway:welcome"
        assert received(client)["event"] == "gateway:joined"
        yield client


def received(client: ClientConnection) -> Any:
    return json.loads(client.recv(DEADLINE))


def page(server: LiveServer, path: str = "/") -> str:
    with urlopen(server.url + path, timeout=DEADLINE) as response:
        text: str = response.read().decode()
    return text


def test_page_and_gateway_have_the_database_of_the_test(live_gateway_server: LiveServer) -> None:
    User.objects.create_user("ann")
    assert page(live_gateway_server) == "1 users"
    with joined(live_gateway_server) as client:
        for event in ("count", "count in a thread"):
            client.send(json.dumps({"event": event, "ref": 1}))
            assert received(client)["data"] == 1


def test_what_a_test_publishes_reaches_the_client(live_gateway_server: LiveServer) -> None:
    with joined(live_gateway_server) as client:
        assert room_size("users") == 1
        broadcast_to_room("users", "news", [1])
        assert received(client) == {"event": "news", "data": [1], "room": "users"}


def test_static_files_are_served(live_gateway_server: LiveServer) -> None:
    assert "Gateway" in page(live_gateway_server, "/static/arcly_channels/gateway.js")


def test_settings_that_a_test_overrides_count(live_gateway_server: LiveServer) -> None:
    settings = override_settings(ARCLY_CHANNELS={"PING_INTERVAL": 7})
    with settings, opened(live_gateway_server) as client:
        assert received(client)["data"]["ping"] == 7


def test_there_is_one_live_server_at_a_time(live_gateway_server: LiveServer) -> None:
    with pytest.raises(RuntimeError, match="there is one at a time"):
        LiveServer().__enter__()


@pytest.mark.django_db(transaction=True)
def test_sockets_are_closed_at_the_end_and_the_next_server_has_none() -> None:
    with LiveServer() as server:
        stack = joined(server)
        client = stack.__enter__()
    assert received(client)["event"] == "gateway:bye"
    with pytest.raises(ConnectionClosed) as closed:
        received(client)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    with LiveServer():
        assert room_size("users") == 0


class UsersTest(LiveGatewayTestCase):
    def test_gateway_is_live(self) -> None:
        User.objects.create_user("ann")
        assert page(self.live_server) == "1 users"
        assert self.live_server_url.startswith("http://localhost:")
        with joined(self.live_server) as client:
            broadcast_to_room("users", "news")
            assert received(client)["event"] == "news"

    def test_database_is_empty_again(self) -> None:
        assert page(self.live_server) == "0 users"


@pytest.mark.asyncio
@pytest.mark.django_db(transaction=True)
async def test_clients_may_be_left_to_the_fixture(
    gateway_client: Clients, gateway_layer: LocalChannelLayer
) -> None:
    ann = await gateway_client(Users.as_asgi()).connect(subprotocol="arcly.v1")
    assert await ann.request("count") == 0
    LEFT.append(ann)


def test_client_was_disconnected_at_the_end_of_its_test() -> None:
    (ann,) = LEFT
    assert ann.future.result() is None  # And was not cancelled.


LEFT: list[GatewayCommunicator] = []


def test_code_that_is_not_async_talks_to_a_gateway(gateway_layer: LocalChannelLayer) -> None:
    async def talk() -> None:
        async with GatewayCommunicator(Users.as_asgi()) as ann:
            await ann.connect()
            broadcast_to_room("users", "news")
            await ann.expect("news")

    async_to_sync(talk)()

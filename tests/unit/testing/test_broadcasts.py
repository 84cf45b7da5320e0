"""`capture_broadcasts`: whatever is published, by whomever, is recorded and can be expected."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from arcly_channels import (
    GatewayConsumer,
    abroadcast,
    asend_to,
    broadcast,
    broadcast_to_room,
    send_to,
    subscribe,
)
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import Broadcast, Clients, capture_broadcasts

pytestmark = pytest.mark.usefixtures("gateway_layer")


class Chat(GatewayConsumer):
    room_namespace = "chat"

    @subscribe("say")
    async def say(self, data: Any) -> None:
        await self.join_room("tea")
        await self.broadcast_to_room("tea", "said", data, exclude_self=True)
        await self.broadcast("news")
        await self.emit("done")


def test_what_is_published_without_a_client_is_recorded() -> None:
    with capture_broadcasts() as sent:
        broadcast_to_room("tea", "said", {"text": ("Hello",)})
        broadcast("news")
    assert list(sent) == [
        Broadcast("said", {"text": ["Hello"]}, group="tea", room="tea"),
        Broadcast("news", None, group=sent[1].group),
    ]


def test_true_is_not_one() -> None:
    with capture_broadcasts() as sent:
        broadcast("said", {"is_done": 1})
    with pytest.raises(AssertionError, match="said was expected to be published next"):
        sent.expect("said", {"is_done": True})


def test_audience_is_compared_where_it_is_said() -> None:
    with capture_broadcasts() as sent:
        broadcast_to_room("tea", "said", 1, tenant="acme")
        broadcast_to_room("tea", "said", 2, namespace="chat")
        broadcast("said", 3, tenant="acme")
        broadcast("said", 4, all_tenants=True)
        send_to("specific.test!own", "said", 5)
    sent.expect("said", 1, room="tea", tenant="acme")
    sent.expect("said", 2, room="tea", namespace="chat")
    sent.expect("said", 3, tenant="acme")
    sent.expect("said", 4, all_tenants=True)
    sent.expect("said", 5, channel="specific.test!own")
    sent.expect_nothing()


@pytest.mark.parametrize(
    "wrong",
    [{"room": "coffee"}, {"room": "tea"}, {"tenant": "acme"}, {"all_tenants": True}, {"data": 2}],
    ids=str,
)
def test_another_audience_or_other_data_is_a_failure(wrong: dict[str, Any]) -> None:
    with capture_broadcasts() as sent:
        broadcast_to_room("tea", "said", 1, tenant="acme")
    with pytest.raises(AssertionError, match="said was expected to be published next, and this"):
        sent.expect("said", **wrong)


def test_failure_shows_what_differs_and_all_that_was_published() -> None:
    with capture_broadcasts() as sent:
        broadcast_to_room("tea", "said", {"text": "Hullo"})
        broadcast_to_room("a cup", "said", None)
    with pytest.raises(AssertionError) as failure:
        sent.expect("said", {"text": "Hello"}, room="tea")
    assert (
        str(failure.value)
        == """\
said was expected to be published next, and this was
(- expected, + published)
  {
    "event": "said",
    "data": {
-     "text": "Hello"
+     "text": "Hullo"
    },
    "group": "tea"
  }
All that was published:
    said {"text":"Hullo"} to tea
    said null to room 'a cup' (arcly.r.a_20cup)"""
    )


def test_nothing_more_is_expected_after_all_that_was() -> None:
    with capture_broadcasts() as sent:
        broadcast("news")
    with pytest.raises(AssertionError, match="nothing was expected, and this was published: news"):
        sent.expect_nothing()
    sent.expect("news")
    sent.expect_nothing()
    with pytest.raises(AssertionError, match="news was expected to be published, and nothing more"):
        sent.expect("news")


async def test_gateways_are_heard_and_reach_their_clients(gateway_client: Clients) -> None:
    ann = await gateway_client(Chat.as_asgi()).connect()
    with capture_broadcasts() as sent:
        await ann.emit("say", "hi")
        await ann.expect("news")
        await ann.expect("done")
    sender = sent.expect("said", "hi", room="tea", namespace="chat").exclude
    assert isinstance(sender, int)
    sent.expect("news", exclude=None)
    sent.expect_nothing()  # What it emits to its own client is no broadcast.


async def test_async_functions_and_messages_of_channels_are_heard(
    gateway_layer: LocalChannelLayer,
) -> None:
    with capture_broadcasts() as sent:
        await abroadcast("news", 1)
        await asend_to("specific.test!own", "news", 2)
        await gateway_layer.group_send("tea", {"type": "gateway.event", "event": "news", "data": 3})
        await gateway_layer.group_send("tea", {"type": "chat.message"})
    assert [each.data for each in sent] == [1, 2, 3]


def test_threads_are_heard() -> None:
    with capture_broadcasts() as sent:
        thread = threading.Thread(target=broadcast, args=("news",))
        thread.start()
        thread.join()
    sent.expect("news")


async def test_what_is_not_delivered_reaches_nobody(gateway_client: Clients) -> None:
    ann = await gateway_client(Chat.as_asgi()).connect()
    with capture_broadcasts(deliver=False) as sent:
        await abroadcast("news")
        broadcast("news")
    await ann.expect_nothing()
    assert len(sent) == 2
    await abroadcast("more")
    await ann.expect("more")
    assert len(sent) == 2

"""Event streams: who may listen, to which rooms, and what the others are told."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from channels.exceptions import StopConsumer
from django.test import override_settings

from arcly_channels import (
    CloseCode,
    EventRefused,
    EventStream,
    GatewayConsumer,
    InvalidRoom,
    Refused,
    broadcast_to_room,
    subscribe,
)
from arcly_channels.identity import IdentityMiddlewareStack
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session.limits import places
from arcly_channels.testing.waiting import DEADLINE, eventually
from tests.streams import Listener, listening

CLAIMS = {"sub": "7", "role": ["editor"], "perms": []}


async def refused(application: Any, query: str = "", **scope: Any) -> tuple[int, Any]:
    """Return the status and the JSON with which a client is refused."""
    listener = Listener(application, query, **scope)
    status, body = await listener.ask(), await listener.whole()
    await listener.ended()
    assert places.taken == 0
    return status, json.loads(body)["data"]


# What is heard


async def test_stream_hears_its_rooms_and_no_others(layer: LocalChannelLayer) -> None:
    async with listening(EventStream.as_asgi(rooms=["tea", "a b"])) as listener:
        names = [(await listener.receive())["event"] for _ in range(3)]
        assert names == ["gateway:welcome", "gateway:joined", "gateway:joined"]
        for room in ("milk", "tea", "a b"):
            broadcast_to_room(room, "news", {"of": room})
        assert [(await listener.receive())["room"] for _ in range(2)] == ["tea", "a b"]


async def test_stream_is_counted_and_forgotten_as_a_connection(layer: LocalChannelLayer) -> None:
    async with listening(EventStream.as_asgi(rooms=["tea"])) as listener:
        assert (await listener.receive_event())[0] == "gateway:welcome"
        assert (layer.registry.connection_count(), places.taken) == (1, 1)
    assert (layer.registry.connection_count(), layer.registry.rooms(), places.taken) == (0, [], 0)


async def test_text_of_several_lines_stays_one_event(layer: LocalChannelLayer) -> None:
    async with listening(EventStream.as_asgi()) as listener:
        await listener.receive()
        layer.registry.broadcast_text('{"event": "a",\r\n"data":\r1,\n\n"x": "data: 2"}')
        assert await listener.receive() == {"event": "a", "data": 1, "x": "data: 2"}


async def test_stream_that_is_closed_says_bye_and_when_to_come_back(
    layer: LocalChannelLayer,
) -> None:
    async with listening(EventStream.as_asgi()) as listener:
        await listener.receive()
        layer.registry.close_all(CloseCode.SLOW_CONSUMER)
        body = await listener.whole()
        assert (await listener.receive_event())[1]["after"] == 1000
        assert 1000 <= int(body.rpartition("retry: ")[2].partition("\n")[0]) <= 5000


async def test_hooks_run_once_and_are_told_why_it_ended(layer: LocalChannelLayer) -> None:
    told: list[Any] = []

    class Feed(EventStream):
        async def on_connect(self) -> None:
            told.append(self.client.is_v1)

        async def on_disconnect(self, code: int) -> None:
            told.append((code, str(self.disconnect_reason)))

    async with listening(Feed.as_asgi()) as listener:
        await listener.receive()
    assert told == [True, (1005, "client")]


async def test_messages_of_channels_reach_the_method_of_their_type(
    layer: LocalChannelLayer,
) -> None:
    class Feed(EventStream):
        async def order_changed(self, message: dict[str, Any]) -> None:
            await self.emit("order", message["number"])

    async with listening(Feed.as_asgi(rooms=["orders"])) as listener:
        await listener.receive(), await listener.receive()
        await layer.group_send("orders", {"type": "order.changed", "number": 7})
        assert await listener.receive_event() == ("order", 7)


# Rooms


async def rooms_of(scope: dict[str, Any]) -> list[str]:
    return [f"order {scope['number']}"]


def rooms_in_thread(scope: dict[str, Any]) -> list[str]:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    return [f"order {scope['number']}"]


@pytest.mark.parametrize("rooms", [rooms_of, rooms_in_thread])
async def test_rooms_can_be_found_for_each_client(rooms: Any, layer: LocalChannelLayer) -> None:
    async with listening(EventStream.as_asgi(rooms=rooms), number=7) as listener:
        await listener.receive()
        assert await listener.receive_event() == ("gateway:joined", {"room": "order 7"})


async def test_nobody_joins_by_the_url_unless_it_is_said(layer: LocalChannelLayer) -> None:
    async with listening(EventStream.as_asgi(), "room=tea") as listener:
        await listener.receive()
        answer = await listener.receive()
        assert (answer["event"], answer["ref"]) == ("error", 1)
        assert answer["data"]["code"] == "forbidden"
    assert layer.registry.rooms() == []


async def test_rooms_of_the_url_may_have_any_characters(layer: LocalChannelLayer) -> None:
    class Feed(EventStream):
        async def may_join(self, room: str) -> None: ...

    hostile = "a%0D%0A%0D%0Adata:+x%26room%3Dy%20%C3%A9"
    async with listening(Feed.as_asgi(), f"room={hostile}") as listener:
        await listener.receive()
        _, joined = await listener.receive_event()
        assert joined == {"room": "a\r\n\r\ndata: x&room=y é"}


@pytest.mark.parametrize("query", ["&".join(["room=tea"] * 101), "x" * 2**20])
async def test_too_large_a_query_is_refused_unread(query: str, layer: LocalChannelLayer) -> None:
    asked: list[str] = []

    class Feed(EventStream):
        async def may_join(self, room: str) -> None:
            asked.append(room)

    assert (await refused(Feed.as_asgi(), query))[0] == 403
    assert asked == []


@override_settings(ARCLY_CHANNELS={"RATE_LIMIT": {"EVENTS": 1, "BURST": 2}})
async def test_rooms_of_the_url_count_against_the_rate(layer: LocalChannelLayer) -> None:
    asked: list[str] = []

    class Feed(EventStream):
        async def may_join(self, room: str) -> None:
            asked.append(room)

    async with listening(Feed.as_asgi(), "room=a&room=b&room=c") as listener:
        frames = [await listener.receive() for _ in range(4)]
        assert [each["event"] for each in frames[1:]] == ["gateway:joined"] * 2 + ["error"]
        assert frames[3]["data"]["code"] == "rate_limited"
        assert (frames[3]["ref"], asked) == (3, ["a", "b"])


async def test_room_of_a_url_that_is_none_is_no_error_of_the_server(
    layer: LocalChannelLayer,
) -> None:
    async def long(scope: Any) -> list[str]:
        return ["x" * 201]

    status, bye = await refused(EventStream.as_asgi(rooms=long))
    assert (status, bye["reason"]) == (403, "no such room")


async def test_failure_of_may_join_is_an_answer_and_a_line_of_the_log(
    layer: LocalChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Feed(EventStream):
        async def may_join(self, room: str) -> None:
            if room == "bad":
                raise LookupError
            if room == "late":
                raise EventRefused("later", "not yet", retry_after=3)

    async with listening(Feed.as_asgi(), "room=bad&room=late&room=good") as listener:
        await listener.receive()
        answers = [await listener.receive() for _ in range(3)]
        assert [each["data"].get("code") for each in answers] == ["internal", "later", None]
        assert answers[1]["data"]["retry_after"] == 3
    assert "Feed.may_join failed" in caplog.text


async def test_room_may_end_the_stream_as_handlers_of_channels_do(
    layer: LocalChannelLayer,
) -> None:
    class Feed(EventStream):
        async def may_join(self, room: str) -> None:
            raise StopConsumer

    listener = Listener(Feed.as_asgi(), "room=tea")
    await listener.ask()
    assert (await listener.receive_event())[0] == "gateway:welcome"
    await listener.ended()


@override_settings(ARCLY_CHANNELS={"HANDSHAKE_TIMEOUT": 0.05})
async def test_search_for_rooms_that_fails_too_late_is_a_line_of_the_log(
    layer: LocalChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    is_given_up = threading.Event()

    def rooms(scope: Any) -> list[str]:
        is_given_up.wait(DEADLINE)
        raise LookupError("too late")

    status, _ = await refused(EventStream.as_asgi(rooms=rooms))
    is_given_up.set()
    await eventually(lambda: "rooms failed after it was given up" in caplog.text)
    assert status == 503


@pytest.mark.parametrize("rooms", ["tea", b"tea", 7, None])
def test_rooms_that_are_none_are_found_at_once(rooms: Any) -> None:
    with pytest.raises(TypeError, match="rooms="):
        EventStream.as_asgi(rooms=rooms)


def test_bad_room_is_found_at_once() -> None:
    with pytest.raises(InvalidRoom):
        EventStream.as_asgi(rooms=["tea", ""])


# Refusals


class Members(EventStream):
    require_claims = True


class Editors(EventStream):
    required_roles = "editor"


class Busy(EventStream):
    async def authorize(self) -> None:
        raise Refused(CloseCode.RATE_LIMITED, "come back later")


class Away(EventStream):
    async def authorize(self) -> None:
        raise Refused(4123, "not\r\nyou")


@pytest.mark.parametrize(
    ("stream", "claims", "status", "code"),
    [
        (Members, None, 401, 4401),
        (Editors, None, 401, 4401),
        (Editors, {**CLAIMS, "role": []}, 403, 4403),
        (Busy, None, 429, 4429),
        (Away, None, 403, 4123),
    ],
)
async def test_refusal_is_a_status_and_a_bye(
    stream: Any, claims: Any, status: int, code: int, layer: LocalChannelLayer
) -> None:
    found, bye = await refused(stream.as_asgi(), claims=claims)
    assert (found, bye["code"]) == (status, code)


async def test_who_fulfils_what_is_asked_is_let_in(layer: LocalChannelLayer) -> None:
    async with listening(Editors.as_asgi(), claims=CLAIMS) as listener:
        assert (await listener.receive_event())[0] == "gateway:welcome"


async def test_refusal_that_passes_says_when_to_come_back(layer: LocalChannelLayer) -> None:
    listener = Listener(Busy.as_asgi())
    assert await listener.ask() == 429
    assert 5 <= int(listener.headers["retry-after"]) <= 15
    await listener.hang_up()


async def test_browser_that_was_here_is_told_to_try_again_as_no_status_could(
    layer: LocalChannelLayer,
) -> None:
    listener = Listener(Busy.as_asgi(), last="open")
    assert await listener.ask() == 200
    body = await listener.whole()
    assert body.startswith("retry: ")
    assert body.count("\n") == 2
    await listener.ended()


async def test_browser_that_was_here_and_may_not_be_is_refused(layer: LocalChannelLayer) -> None:
    assert (await refused(Away.as_asgi(), last="open"))[0] == 403


async def test_browser_that_was_told_to_stay_away_is_stopped(layer: LocalChannelLayer) -> None:
    listener = Listener(EventStream.as_asgi(), last="bye")
    assert await listener.ask() == 204
    await listener.ended()


async def test_no_place_is_status_503(settings: Any, layer: LocalChannelLayer) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    async with listening(EventStream.as_asgi()):
        listener = Listener(EventStream.as_asgi())
        assert await listener.ask() == 503
        await listener.ended()


@override_settings(ARCLY_CHANNELS={"HANDSHAKE_TIMEOUT": 0.01})
async def test_rooms_that_take_too_long_are_status_503(layer: LocalChannelLayer) -> None:
    async def slow(scope: Any) -> list[str]:
        await asyncio.sleep(60)
        return []

    assert (await refused(EventStream.as_asgi(rooms=slow)))[0] == 503


async def test_error_of_the_project_is_the_servers_to_answer(layer: LocalChannelLayer) -> None:
    async def broken(scope: Any) -> list[str]:
        raise LookupError

    listener = Listener(EventStream.as_asgi(rooms=broken))
    with pytest.raises(LookupError):
        await listener.ask()
    await eventually(lambda: places.taken == 0)


# Classes and scopes


def test_handler_of_events_would_never_run() -> None:
    with pytest.raises(TypeError, match="nothing can be sent to an EventStream"):

        class Feed(EventStream):
            @subscribe("say")
            async def say(self, data: Any) -> None: ...


def test_attribute_of_the_class_is_none_of_the_route() -> None:
    with pytest.raises(TypeError, match="require_claims"):
        EventStream.as_asgi(require_claims=True)  # type: ignore[call-arg]


def test_mixin_behind_it_would_be_ignored() -> None:
    class Mixin:
        require_claims = True

    with pytest.raises(TypeError, match="EventStream comes before it"):

        class Feed(EventStream, Mixin): ...


def test_gateway_and_stream_may_share_a_mixin() -> None:
    class Shared:
        require_claims = True

        async def on_refresh(self) -> None: ...

    class Chat(Shared, GatewayConsumer): ...

    class Feed(Shared, EventStream): ...

    assert Chat._gateway_declaration.policy == Feed._gateway_declaration.policy


async def test_other_scopes_are_refused(layer: LocalChannelLayer) -> None:
    with pytest.raises(ValueError, match="serves HTTP requests"):
        await EventStream.as_asgi()({"type": "websocket"}, None, None)


async def test_identity_is_found_for_streams(settings: Any, layer: LocalChannelLayer) -> None:
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": ["k" * 32]}}
    from arcly_channels.identity.tokens import issue_token

    application = IdentityMiddlewareStack(Members.as_asgi())
    bearer = f"Bearer {issue_token({'sub': '7'}, lifetime=60)}".encode()
    async with listening(application, headers=[(b"authorization", bearer)]) as listener:
        _, welcome = await listener.receive_event()
        assert "exp" in welcome
        assert listener.headers["vary"] == "Authorization"


async def test_token_in_the_url_does_not_count(settings: Any, layer: LocalChannelLayer) -> None:
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": ["k" * 32]}}
    from arcly_channels.identity.tokens import issue_token

    application = IdentityMiddlewareStack(Members.as_asgi())
    query = f"access_token={issue_token({'sub': '7'}, lifetime=60)}"
    assert (await refused(application, query))[0] == 401

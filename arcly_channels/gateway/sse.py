"""Server-sent events: a gateway for pages that only listen, and where WebSockets are blocked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any
from urllib.parse import unquote_plus

from asgiref.sync import iscoroutinefunction
from channels import DEFAULT_CHANNEL_LAYER
from channels.exceptions import StopConsumer

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EventRefused, InvalidRoom, Refused, RelayError
from arcly_channels.gateway.database import ThreadCall
from arcly_channels.gateway.serving import Serving
from arcly_channels.gateway.turns import ends_consumer
from arcly_channels.identity.middleware import Scope
from arcly_channels.identity.refusal import EVENT_STREAM, refuse_stream, respond
from arcly_channels.layers.message import Message
from arcly_channels.rooms import check_room
from arcly_channels.session.session import State
from arcly_channels.transports.base import Peer, Receive, Send, Transport
from arcly_channels.transports.select import select_event_transport
from arcly_channels.wire import protocol

Rooms = Iterable[str] | Callable[[Scope], Iterable[str]] | Callable[[Scope], Awaitable[Any]]
"""The rooms of every client, or what finds those of one in its scope."""

MAX_QUERY = 128 * 1024
"""Bytes of a query in which rooms are looked for."""

MOST_ROOMS = 1000
"""How many rooms one query may ask for where `MAX_ROOMS_PER_CONNECTION` is 0."""

GOODBYE = b"bye"
"""What a browser that comes back by itself gives as its `Last-Event-ID` when it should not."""

_ASKED = b"room="
_HEADERS = [*EVENT_STREAM, (b"x-accel-buffering", b"no")]  # Which nginx would do.


class EventStream(Serving):
    """One client that listens, by server-sent events: to what is broadcast, and to its rooms.

    `EventStream.as_asgi(rooms=…)` is for a route of type `http`. It has the attributes, the hooks
    and what there is to read and to call of a `GatewayConsumer`, but for `on_refresh`,
    `auth_refresh` and the methods of Channels; a subclass says with them who may come in. Nothing
    can be sent to it, so `@subscribe` in a subclass is a `TypeError`. The frames are those of
    `arcly.v1`, each as the `data` of one event; see `docs/how-to/server-sent-events.md`.

    A client that is refused gets status 401, 403, 429 or 503.
    """

    channel_layer_alias = DEFAULT_CHANNEL_LAYER

    _gateway_kind = "http"
    _gateway_serves = "an event stream serves HTTP requests"

    def __init__(self, rooms: Sequence[str] | Callable[[Scope], Any] = ()) -> None:
        self._gateway_finder = rooms if callable(rooms) else None
        self._gateway_rooms = () if callable(rooms) else rooms
        self._gateway_asked: list[str] = []

    @classmethod
    def as_asgi(cls, *, rooms: Rooms = ()) -> Any:
        """Return the ASGI application, as `path()` wants it; bad settings fail here already.

        `rooms` are those that every client is in, or a function that returns them for the scope of
        one: an `async def`, or a `def`, which runs in the thread of the database. It may raise
        `Refused`. Others that a client asks for, by `?room=…` in its URL, are up to `may_join`.

        Raises `TypeError` for rooms that are none, `InvalidRoom` for a bad name.
        """
        cls._check_served()
        found = rooms if callable(rooms) else checked(rooms)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await cls(found)(scope, receive, send)

        application.consumer_class = cls  # type: ignore[attr-defined]  # As Channels says it.
        return application

    # What the server calls

    async def http_request(self, message: Message) -> None:
        """Begin the stream; what else a client sends, as the body of its request, is counted."""
        session = self._gateway_session
        if session.state is State.ASKING:
            await self._begin()
        elif session.pay(len(message.get("body", b""))) and session.state is State.OPEN:
            session.expel("too much was sent")

    async def http_disconnect(self, message: Message) -> None:
        """End: the client is gone, or this side has closed the stream."""
        self._gateway_session.peer_left(CloseCode.NO_STATUS)
        raise StopConsumer

    # Inside

    async def _begin(self) -> None:
        if self.scope["method"] != "GET":
            await respond(self._gateway_send, 405, b"", [(b"allow", b"GET")])
            raise StopConsumer
        if self._last_event() == GOODBYE:
            await respond(self._gateway_send, 204, b"", [])  # The one word that a browser obeys.
            raise StopConsumer
        try:
            await self._gateway_session.ask(self._admit)
        except Refused as refusal:
            self._note_refusal(refusal)
            self._warn_of_missing_middleware()
            await self._refuse(refusal)
            raise StopConsumer from None
        start = {"type": "http.response.start", "status": 200, "headers": self._headers()}
        await self._gateway_send(start)
        await self._open(is_v1=True)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        is_shared = self.scope.get("http_version", "1.1") >= "2"  # The connection, by others.
        return _HEADERS if is_shared else [*_HEADERS, (b"connection", b"close")]

    def _last_event(self) -> bytes | None:
        """Return the id that a browser has of the stream before this one."""
        headers: Iterable[tuple[bytes, bytes]] = self.scope.get("headers", ())
        return next((value for name, value in headers if name == b"last-event-id"), None)

    async def _admit(self) -> None:
        """Decide about a client, and find out which rooms it is to be in."""
        self._gateway_asked = asked_rooms(self.scope.get("query_string", b""))
        await self._authorize_in_time()
        await self._run_hook("rooms", self._find_rooms)

    async def _find_rooms(self) -> None:
        if self._gateway_finder is not None:
            try:
                self._gateway_rooms = checked(await self._answer_of(self._gateway_finder))
            except InvalidRoom as error:  # Its name may be a part of the URL.
                raise Refused(CloseCode.FORBIDDEN, "no such room") from error

    async def _answer_of(self, finder: Callable[[Scope], Any]) -> Any:
        if iscoroutinefunction(finder):
            return await finder(self.scope)
        call = ThreadCall(finder, self.scope)
        task = asyncio.ensure_future(call.run())
        try:
            await asyncio.wait([task])
        finally:
            call.call_off()  # A thread cannot be stopped, but what has not begun can.
            if not task.done():
                task.add_done_callback(self._end_late)
        return task.result()

    def _end_late(self, task: asyncio.Future[Any]) -> None:
        """Report a search for rooms that failed when nobody waited for it any more."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report("rooms", "failed after it was given up", exc_info=error)

    async def _refuse(self, refusal: Refused) -> None:
        spread, was_here = self.channel_layer.spread(), self._last_event() is not None
        await refuse_stream(self._gateway_send, refusal, spread, was_here=was_here)

    def _transport_for(self, peer: Peer) -> Transport:
        return select_event_transport(peer)

    async def _greet(self) -> None:
        """Put the client into its rooms, answer those that it asks for, and greet it."""
        for room in self._gateway_rooms:
            await self._join(room)
        for ref, room in enumerate(self._gateway_asked, 1):
            await self._join(room, ref)
        await self.on_connect()

    def _pay(self) -> None:
        """Count a room that is asked for as the event that it is on a socket."""
        wait = self._gateway_session.pay(0)
        if wait:
            raise EventRefused(protocol.RATE_LIMITED, "too much at once", retry_after=wait)

    async def _join(self, room: str, ref: int | None = None) -> None:
        """Put the client into a room, if it may be there; tell it that it is, or why not.

        A `ref` is the place of a room among those that the URL asks for. Raises `RelayError` for
        one of the others that is not heard: the client would miss what is for it.
        """
        try:
            if ref is not None:
                self._pay()
                check_room(room)
                await self._ask_may_join(room)
            await self.client.join(room, ref)
        except Exception as error:
            is_lost = ref is None and isinstance(error, RelayError)
            if is_lost or ends_consumer(error):
                raise  # To `_open`, which has the client come back; or to what it is for.
            answer = self._refusal_of("may_join", error, ref)
            await self.channel_layer.send_frame(self.id, answer)


def checked(rooms: Any) -> tuple[str, ...]:
    """Return rooms as a tuple; raise `TypeError` for what is none, `InvalidRoom` for a bad room."""
    if isinstance(rooms, (str, bytes)) or not isinstance(rooms, Iterable):
        raise TypeError(f"rooms= is a list of rooms, or a function that returns one, not {rooms!r}")
    found = tuple(rooms)
    for room in found:
        check_room(room)
    return found


def asked_rooms(query: bytes) -> list[str]:
    """Return the rooms that a query asks for, in their order; raise `Refused` for too many."""
    most = get_settings().MAX_ROOMS_PER_CONNECTION or MOST_ROOMS
    if len(query) > MAX_QUERY or query.count(_ASKED) > most:
        raise Refused(CloseCode.FORBIDDEN, f"a stream is asked for at most {most} rooms")
    pairs = (pair for pair in query.split(b"&") if pair.startswith(_ASKED))
    return [unquote_plus(pair[len(_ASKED) :].decode("latin-1")) for pair in pairs]

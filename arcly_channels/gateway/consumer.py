"""`GatewayConsumer`: a Channels consumer whose clients talk in events and meet in rooms."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from channels.consumer import get_handler_name
from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from arcly_channels.close_codes import SENDABLE, CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EventRefused, InvalidRoom, MalformedFrame, Refused
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.gateway.database import queue_closing
from arcly_channels.gateway.guard import Guard
from arcly_channels.gateway.inbox import Inbox
from arcly_channels.gateway.subscriptions import collect
from arcly_channels.identity.refusal import refuse
from arcly_channels.layers.configured import gateway_layer
from arcly_channels.layers.message import Message
from arcly_channels.session.client import ClientHandle
from arcly_channels.transports.base import Peer, Receive, Send, Transport
from arcly_channels.transports.select import select_transport
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Event, Frame, Ref, decode, escaped, limited

logger = logging.getLogger(__name__)


class GatewayConsumer(Guard, AsyncWebsocketConsumer):
    """One connected client, and what happens to it.

    Use it alone, or before any of Channels' async websocket consumers. Events from the client go to
    the methods marked with `@subscribe`, one at a time. Everything sent to it, by these methods or
    by those of Channels, passes its bounded outbox in the order of the calls.

    `claims` and `tenant` are what the middleware put into the scope, or None; who may come in and
    do what is said by `require_claims` and the other attributes of `Guard`.
    """

    _methods: ClassVar[dict[str, str]] = {protocol.REFRESH: "auth_refresh"}

    _client: ClientHandle | None = None
    _outbox: Outbox | None = None
    _transport: Transport | None = None
    _peer_code: int | None = None
    _ending: BaseException | None = None
    _is_receiving = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls._methods = collect(cls)
        super().__init_subclass__(**kwargs)

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """Return the ASGI application, as `path()` wants it; bad settings fail here already.

        Raises `TypeError` for an attribute of `Guard` among `initkwargs`: Channels gives those to
        `__init__`, which ignores them, and `require_claims=True` must not be said in vain.
        """
        get_settings()
        for name in initkwargs:
            if hasattr(Guard, name):
                raise TypeError(f"{name} is said in the class {cls.__qualname__}, not in as_asgi()")
        return super().as_asgi(**initkwargs)

    # What a gateway overrides

    async def authorize(self) -> None:
        """Decide about a client before its socket is accepted; raise `Refused` to say no."""

    async def on_connect(self) -> None:
        """Greet a client: its socket is accepted, and it is registered. Runs exactly once."""

    async def on_disconnect(self, code: int) -> None:
        """Say goodbye, just before the client is unregistered.

        Runs exactly once per accepted socket, however it ended; `code` is the close code that this
        side chose (as 4008 for a slow consumer) or else the peer's, 1011 after an error, and 1012
        when the server shuts down.
        """

    # What a gateway calls

    @property
    def client(self) -> ClientHandle:
        """The handle to this client, safe to keep; there is none before the socket is accepted."""
        return self._registered()

    @property
    def id(self) -> int:
        """The id of this connection, which no other of this process has."""
        return self.client.id

    async def emit(self, event: str, data: Any = None) -> None:
        """Send an event to this client; see `ClientHandle`."""
        await self.client.emit(event, data)

    async def broadcast(
        self, event: str, data: Any = None, *, exclude_self: bool = False, all_tenants: bool = False
    ) -> None:
        """Send an event to every client of this tenant; see `ClientHandle`."""
        await self.client.broadcast(event, data, exclude_self=exclude_self, all_tenants=all_tenants)

    async def broadcast_to_room(
        self, room: str, event: str, data: Any = None, *, exclude_self: bool = False
    ) -> None:
        """Send an event to every client in `room`; see `ClientHandle`."""
        await self.client.broadcast_to_room(room, event, data, exclude_self=exclude_self)

    async def join_room(self, room: str) -> None:
        """Put this client into `room`."""
        await self.client.join_room(room)

    async def leave_room(self, room: str) -> None:
        """Take this client out of `room`."""
        await self.client.leave_room(room)

    # The life of a connection

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one client: the ASGI application that Channels and the server see."""
        self.scope = scope
        self.channel_layer = gateway_layer(self.channel_layer_alias)
        self.channel_name = await self.channel_layer.new_channel()
        self._server_receive, self._server_send = receive, send
        self._turn = asyncio.Lock()
        self._task = asyncio.current_task()
        inbox = Inbox(self.channel_layer, self.channel_name, self._dispatch_in_turn, self._stop)
        code = CloseCode.INTERNAL_ERROR
        try:
            while self._ending is None:
                await self._dispatch_in_turn(await self._receive())
            raise self._ending
        except StopConsumer:
            code = CloseCode.NORMAL
        except asyncio.CancelledError:
            code = CloseCode.SERVICE_RESTART
            raise
        finally:
            try:
                await inbox.close()
            finally:  # A server in a hurry may cancel again.
                await self._finish(code)

    async def dispatch(self, message: Message) -> None:
        """Handle a message at once; Channels waits for the database's thread first."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        await queue_closing()
        await handler(message)

    async def base_send(self, message: Message) -> None:
        """Take what Channels' methods send to the server, and keep it in order with the events."""
        outbox, kind = self._outbox, message["type"]
        if kind == "websocket.accept":
            if outbox is not None:
                raise RuntimeError("this socket was accepted before")
            await self._server_send(message)
            await self._open()
        elif outbox is None:
            await self._server_send(message)
        elif kind == "websocket.send":
            await self.channel_layer.send_frame(self.id, _frame(message))
        elif kind == "websocket.close":
            code = message.get("code", CloseCode.NORMAL)
            if code not in SENDABLE:
                raise ValueError(
                    f"{code!r} is no close code that can be sent: use 1000, or 3000 to 4999"
                )
            outbox.lane.call(outbox.close, code, message.get("reason") or "")
        else:
            await self._server_send(message)

    async def websocket_connect(self, message: Message) -> None:
        """Let a client in, or turn it away before it is anybody here; see `refuse`."""
        try:
            self._take_place()
            self._check_identity()
            await self.authorize()
            self._check_meanwhile()
        except Refused as refusal:
            logger.info("A client of %s was %s", type(self).__qualname__, refusal)
            await refuse(self.scope, self._server_send, refusal)
            raise StopConsumer from None
        await super().websocket_connect(message)

    async def websocket_receive(self, message: Message) -> None:
        """Take a frame as a sign of life, and pass it on."""
        self._touch()
        if self._outbox is None or self._outbox.close_code is None:  # Who must go has no say.
            await super().websocket_receive(message)

    async def websocket_disconnect(self, message: Message) -> None:
        """End, with the code that this side closed with or else the peer's."""
        self._peer_code = message.get("code", CloseCode.NO_STATUS)
        # Not `super()`: its groups are rooms here, left with the registry, and nobody should stay
        # registered while it waits for the database's thread.
        await self.disconnect(self._close_code(CloseCode.NO_STATUS))
        raise StopConsumer

    async def gateway_event(self, message: Message) -> None:
        """Send the client an event that came for it before it was registered."""
        if self._client is not None:  # Else it was denied, and is about to end.
            await self.emit(message["event"], message.get("data"))

    async def gateway_evicted(self, message: Message) -> None:
        """Close: more Channels messages came than this consumer handled."""
        await self.close(CloseCode.SLOW_CONSUMER)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Hand an event to its method; answer with an `error` event where that is not possible."""
        try:
            event = _event(text_data)
        except MalformedFrame as error:
            await self._reply_error(protocol.MALFORMED, error.problem, error.ref)
            return
        method = self._methods.get(event.event)
        if method is None:
            unknown = f"no event {escaped(event.event)}"
            await self._reply_error(protocol.UNKNOWN_EVENT, unknown, event.ref)
            return
        try:
            self._check_event(event.event)
            await getattr(self, method)(event.data)
        except (StopConsumer, AcceptConnection, DenyConnection):
            raise
        except EventRefused as refusal:
            await self._reply_error(refusal.code, refusal.message, event.ref)
        except InvalidRoom as error:
            await self._reply_error(protocol.INVALID_ROOM, str(error), event.ref)
        except Exception:
            logger.exception("%s.%s failed", type(self).__qualname__, method)
            self.channel_layer.count_handler_error()
            failed = "the server could not handle this"
            await self._reply_error(protocol.INTERNAL, failed, event.ref)

    # Inside

    async def _open(self) -> None:
        """Register the accepted socket."""
        settings = get_settings()
        self._transport = transport = select_transport(
            Peer(
                self.scope,
                self._server_receive,
                self._server_send,
                grace=settings.EVICTION_GRACE,
                inbound=settings.INBOUND_BUFFER,
                inbound_bytes=settings.INBOUND_BUFFER_BYTES,
                abandon=lambda: self._stop(StopConsumer()),
                alive=self._touch,
                shut_down=self._shut_down,
            )
        )
        self._outbox = outbox = Outbox(
            self.channel_layer.pump(),
            transport,
            max_frames=settings.OUTBOUND_BUFFER,
            max_bytes=settings.OUTBOUND_BUFFER_BYTES,
        )
        layer, claims, tenant = self.channel_layer, self.claims, self.tenant
        id = layer.connect(self.channel_name, outbox, self._about())
        self._client = ClientHandle(layer, outbox, id, claims=claims, tenant=tenant)
        await self._enter()
        await self.on_connect()

    async def _finish(self, code: int) -> None:
        """Say goodbye and leave nothing behind."""
        self._stop_watching()
        try:
            if self._client is not None:
                await self.on_disconnect(self._close_code(code))
        finally:
            self.channel_layer.disconnect(self.channel_name)
            if self._client is not None and self._outbox is not None:
                self._client.set_gone()
                if self._peer_code is None:  # What was sent, or a close, may be a moment old.
                    self._outbox.lane.call(self._outbox.flush)
                self._outbox.lane.call(self._outbox.cut)
            # It leads back here. Without that cycle all of the connection is freed at once.
            transport, self._transport = self._transport, None
            if transport is not None:
                await transport.stop()

    def _close_code(self, otherwise: int) -> int:
        """Return the code that this side closed with, or else the peer's, or else `otherwise`."""
        ours = None if self._outbox is None else self._outbox.close_code
        return ours or self._peer_code or otherwise

    def _stop(self, ending: BaseException) -> None:
        """End this consumer with `ending`, after the message that it is handling, if any."""
        if self._ending is None:
            self._ending = ending
            if self._is_receiving and self._task is not None:
                self._task.cancel()

    def _shut_down(self) -> None:
        """Close at once, as the server is about to end: what waits goes first, if it can."""
        outbox = self._outbox
        if outbox is not None:
            outbox.lane.call(outbox.close, CloseCode.SERVICE_RESTART)
            outbox.lane.call(outbox.flush)
            self._stop(StopConsumer())

    async def _receive(self) -> Message:
        self._is_receiving = True
        try:
            message = await self._server_receive()
        except asyncio.CancelledError:
            if self._ending is None:
                raise  # By the server, not by `_stop`.
            raise self._ending from None
        finally:
            self._is_receiving = False
        if self._transport is not None:
            self._transport.received()
        return message

    async def _dispatch_in_turn(self, message: Message) -> None:
        """Handle one message at a time, from the client and from other consumers alike."""
        async with self._turn:
            await self.dispatch(message)

    def _about(self) -> str:
        """Say in the log who this is, as far as that is known."""
        client = (self.scope.get("client") or ("an unknown address",))[0]
        user = "nobody" if self.claims is None else f"user {self.claims.get('sub')!r}"
        return f"{user}, at {self.scope.get('path', '')!r} from {client}"

    def _touch(self) -> None:
        if self._client is not None:
            self.channel_layer.registry.touch(self._client.id)

    def _take_place(self) -> None:
        limit = get_settings().MAX_CONNECTIONS
        if limit and len(self.channel_layer.registry) >= limit:
            raise Refused(CloseCode.TOO_MANY_CONNECTIONS, "too many connections")

    async def _reply_error(self, code: str, message: str, ref: Ref) -> None:
        frame = protocol.error_frame(code, message, ref)
        await self.channel_layer.send_frame(self.id, frame)


def _event(text: str | None) -> Event:
    if text is None:
        raise MalformedFrame("a frame is JSON text, not binary")
    return decode(text)


def _frame(message: Message) -> Frame:
    """Make a frame of what Channels' methods send; raise `EnvelopeError` when it is too large."""
    text, limit = message.get("text"), get_settings().MAX_FRAME_BYTES
    if text is not None:
        return limited(Frame.from_text(text), limit)
    return limited(Frame(bytes(message["bytes"]), is_text=False), limit)

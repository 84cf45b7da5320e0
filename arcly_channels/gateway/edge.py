"""The edge to Channels and ASGI: a consumer whose client is behind a session and its outbox."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, ClassVar

from channels.exceptions import DenyConnection, StopConsumer
from django.apps import apps

from arcly_channels.close_codes import SENDABLE, CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import HandshakeTimedOut, Refused, RelayError
from arcly_channels.gateway.database import is_closing_due, queue_closing
from arcly_channels.gateway.declaration import ATTRIBUTES, check_answer, declare
from arcly_channels.gateway.handling import Line, end
from arcly_channels.gateway.hurry import TimeLimit
from arcly_channels.gateway.inbox import CANCEL_TIMEOUT, Inbox
from arcly_channels.gateway.reporting import ENDLESS, ReportingConsumer, handler_name
from arcly_channels.gateway.turns import Turns, as_meant, was_cancelled
from arcly_channels.identity.refusal import chosen_subprotocol, refuse
from arcly_channels.layers.configured import gateway_layer
from arcly_channels.layers.message import Message
from arcly_channels.layers.processes import presence
from arcly_channels.reasons import DisconnectReason
from arcly_channels.relay.contract import Gap
from arcly_channels.session.drain import drain
from arcly_channels.session.guard import Guard
from arcly_channels.session.session import Session, State
from arcly_channels.transports.base import Peer, Receive, Send
from arcly_channels.transports.select import select_transport, unheard
from arcly_channels.wire.envelope import Frame, limited, size_of
from arcly_channels.wire.events import EVENT, GAP_MESSAGE
from arcly_channels.wire.protocol import SUBPROTOCOL, gap_frame

logger = logging.getLogger(__name__)


class SessionConsumer(ReportingConsumer):
    """The part of a gateway that serves one client, whatever its frames mean.

    It runs the messages in turn, asks who comes in, and ends in `Session.end`, however that came.
    What Channels' methods send goes through the outbox.
    """

    require_claims: ClassVar[bool] = False
    """Whether anonymous clients are refused. Roles and permissions imply it."""
    require_tenant: ClassVar[bool | None] = None
    """Whether clients without a tenant are refused; None means as soon as there is tenancy."""
    required_roles: ClassVar[str | Collection[str]] = ()
    """The roles of which a client must have one."""
    required_perms: ClassVar[str | Collection[str]] = ()
    """The permissions, each `resource:action`, that a client must have all of."""
    room_namespace: ClassVar[str | None] = None
    """What tells the rooms of this gateway from those of others that have another, or none."""
    sends: ClassVar[Mapping[str, Any]] = {}
    """The type of the data of each event that it sends, as in `{"message.receive": Message}`.

    In development and tests, any other event or data raises `PayloadMismatch`; those of the bases
    count, too. Where nothing is said, everything may be sent.
    """

    scope: dict[str, Any]

    _gateway_lines: dict[str, Line] | None = None
    """By event; None until there is one."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._gateway_declaration = declare(cls)

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """Return the ASGI application, as `path()` wants it; bad settings fail here already.

        Raises `TypeError` for an attribute of the class among `initkwargs`: Channels gives those
        to `__init__`, which ignores them, and `require_claims=True` must not be said in vain.
        """
        get_settings()
        if apps.apps_ready and not apps.is_installed("arcly_channels"):
            logger.warning(
                'Put "arcly_channels" into INSTALLED_APPS: without it, %s is served, but there are '
                "no system checks and no metrics, and a logout closes no socket",
                cls.__qualname__,
            )
        for name in initkwargs:
            if name in ATTRIBUTES:
                raise TypeError(f"{name} is said in the class {cls.__qualname__}, not in as_asgi()")
        return super().as_asgi(**initkwargs)

    # What a gateway overrides

    async def authorize(self) -> None:
        """Decide about a client before its socket is accepted; raise `Refused` to say no.

        Asked again when the client brings a fresh token, with the new `claims`: to refuse leaves it
        with the old ones.
        """

    async def on_connect(self) -> None:
        """Greet a client: its socket is accepted, and it is registered. Runs exactly once."""

    async def on_refresh(self) -> None:
        """Act on new `claims`, which are in force: leave the rooms that they do not allow, say."""

    async def on_gap(self, gap: Gap) -> None:
        """Act on messages that may be missing: send the client what is true now, say.

        Called when the way to the other processes was broken, and works again. A client of
        `arcly.v1` has been told by then; see `RedisChannelLayer`.
        """

    async def on_disconnect(self, code: int) -> None:
        """Say goodbye, just before the client is unregistered.

        Runs exactly once per accepted socket, however it ended; `code` is the close code that this
        side chose (as 4008 for a slow consumer) or else the peer's, 1011 after an error, and 1012
        when the server shuts down.
        """

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why the connection ended, in `on_disconnect`; None before."""
        return self._gateway_session.disconnect_reason

    # The life of a connection

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one client: the ASGI application that Channels and the server see.

        Raises `ValueError` for another kind of scope, as servers expect who ask for a lifespan.
        """
        if scope["type"] != "websocket":
            raise ValueError(f"a gateway serves WebSockets, and no scope of type {scope['type']!r}")
        self.scope = scope
        self.channel_layer = layer = gateway_layer(self.channel_layer_alias)
        self.channel_name = await layer.new_channel()
        self._gateway_receive, self._gateway_send = receive, send
        guard = Guard(self._gateway_declaration.policy, scope, layer.closings)
        self._gateway_turns = turns = Turns()
        self._gateway_session = session = Session(layer, self.channel_name, guard, turns)
        inbox = Inbox(layer, self.channel_name, self._take, session, turns)
        code = CloseCode.INTERNAL_ERROR
        try:
            while True:
                message = await turns.receive(receive)
                session.received()
                await turns.take(self.dispatch, message)
        except StopConsumer:
            code = CloseCode.NORMAL
        except asyncio.CancelledError as error:
            if was_cancelled():
                code = CloseCode.SERVICE_RESTART
            if not turns.was_cut():
                raise as_meant(error) from error.__cause__
        finally:
            await self._end(inbox, code)

    async def dispatch(self, message: Message) -> None:
        """Handle a message at once; Channels waits for the database's thread first."""
        handler = getattr(self, handler_name(message), None)
        if not callable(handler):
            self._complain(message)
            return
        if is_closing_due(self._gateway_turns.loop):
            await queue_closing()
        handling = handler(message)
        if inspect.isawaitable(handling):
            await handling
        else:  # A method of the project that is for something else.
            self._complain(message)

    async def base_send(self, message: Message) -> None:
        """Take what Channels' methods send to the server, and keep it in order with the events."""
        session, kind = self._gateway_session, message["type"]
        if kind == "websocket.accept":
            if session.client is not None:
                raise RuntimeError("this socket was accepted before")
            await self._gateway_send(message)
            await self._open(is_v1=message.get("subprotocol") == SUBPROTOCOL)
        elif session.client is None:
            if kind == "websocket.close":
                session.deny()
            await self._gateway_send(message)
        elif kind == "websocket.send":
            await self.channel_layer.send_frame(self.id, _frame(message))
        elif kind == "websocket.close":
            code = message.get("code", CloseCode.NORMAL)
            if code not in SENDABLE:
                raise ValueError(
                    f"{code!r} is no close code that can be sent: use 1000, or 3000 to 4999"
                )
            session.close(code, message.get("reason") or "")
        else:
            await self._gateway_send(message)

    async def accept(self, subprotocol: str | None = None, headers: Any = None) -> None:
        """Accept the socket, with the subprotocol of ours that the client offers, if any."""
        await super().accept(subprotocol or chosen_subprotocol(self.scope), headers)

    async def websocket_connect(self, message: Message) -> None:
        """Let a client in, or turn it away before it is anybody here; see `refuse`."""
        try:
            # Where nothing is asked that takes time, nothing comes meanwhile: `benchmarks/idle.py`.
            if type(self).authorize is SessionConsumer.authorize:
                await self._gateway_session.ask(self.authorize)
            else:
                with unheard(self.scope, self._gateway_send):
                    await self._gateway_session.ask(self._authorize_in_time)
        except Refused as refusal:
            self._note_refusal(refusal)
            self._warn_of_missing_middleware()
            spread = self.channel_layer.spread()
            await refuse(self.scope, self._gateway_send, refusal, spread)
            raise StopConsumer from None
        if self._gateway_session.state is State.CLOSING:
            raise StopConsumer  # By `close`. There are servers that take an accept after it.
        await super().websocket_connect(message)

    async def websocket_receive(self, message: Message) -> None:
        """Pass on a frame, unless it is too large or too early, or its client must go."""
        session = self._gateway_session
        if session.state is State.CLOSING:
            return  # It has no say.
        text = message.get("text")
        size = len(text) if text and text.isascii() else _size(message)  # No call for most.
        wait = session.pay(size)
        if not wait:
            await super().websocket_receive(message)
        elif session.state is State.OPEN:
            await self._put_off(message, wait)

    async def websocket_disconnect(self, message: Message) -> None:
        """End, with the code that this side closed with or else the peer's."""
        code = message.get("code", CloseCode.NO_STATUS)
        self._gateway_session.peer_closed(code)
        await self._end_handlers()
        code = self._gateway_session.peer_left(code)
        # Not `super()`: its groups are rooms here, left with the registry, and nobody should stay
        # registered while it waits for the database's thread.
        await self.disconnect(code)
        raise StopConsumer

    async def gateway_gap(self, message: Message) -> None:
        """Tell the client, and the gateway, that messages may be missing."""
        gap = Gap(message["since"], message["until"], message["why"])
        client = self._gateway_session.client
        if client is not None:
            if client.is_v1:
                await self.channel_layer.send_frame(client.id, gap_frame(gap.since, gap.until))
            await self.on_gap(gap)

    # Inside

    async def _put_off(self, message: Message, seconds: float) -> None:
        """Refuse a frame that came `seconds` too early: here, whatever else it may be, at once."""
        self._gateway_session.expel("too much was sent")

    async def _run_hook(self, name: str, hook: Callable[[], Awaitable[None]]) -> None:
        """Run a hook of the handshake; raise `HandshakeTimedOut` when it has taken too long."""
        try:
            async with TimeLimit(get_settings().HANDSHAKE_TIMEOUT, partial(self._give_up, name)):
                await hook()
        except HandshakeTimedOut as late:
            self._note_late(name, f"took longer than {late.seconds:g} s")
            raise

    async def _give_up(self, hook: str) -> None:
        """Be done with a client whose handshake is held up by a hook that does not end."""
        self._note_late(hook, ENDLESS)
        session, late = self._gateway_session, HandshakeTimedOut(get_settings().HANDSHAKE_TIMEOUT)
        try:
            if session.client is None:
                spread = self.channel_layer.spread()
                await refuse(self.scope, self._gateway_send, late, spread)
        finally:
            session.close(CloseCode.INTERNAL_ERROR, late.reason)
            await session.end(CloseCode.INTERNAL_ERROR, self._say_goodbye)

    async def _authorize_in_time(self) -> None:
        await self._run_hook("authorize", self._ask_authorize)

    async def _ask_authorize(self) -> None:
        """Ask `authorize`, which may say no as one does in Channels, too.

        Raises `TypeError` if it answers: False would let the client in.
        """
        try:
            answer: Any = await self.authorize()  # type: ignore[func-returns-value]  # Theirs may.
        except DenyConnection:
            raise Refused(CloseCode.FORBIDDEN) from None
        check_answer(type(self), "authorize", answer, Refused)

    async def _open(self, *, is_v1: bool) -> None:
        """Register the accepted socket."""
        if not self.channel_layer.reaches_others:
            presence.gateway_opened(self.scope)
        settings = get_settings()
        peer = Peer(
            self.scope,
            self._gateway_receive,
            self._gateway_send,
            grace=settings.EVICTION_GRACE,
            inbound=settings.INBOUND_BUFFER,
            inbound_bytes=settings.INBOUND_BUFFER_BYTES,
            endpoint=self._gateway_session,
            message_bytes=settings.MAX_MESSAGE_BYTES,
        )
        transport = select_transport(peer)
        transport.hold_server(drain.run)
        try:
            await self._gateway_session.open(
                transport,
                about=self._about(),
                namespace=self.room_namespace,
                is_v1=is_v1,
                encode=self._gateway_declaration.encoder(),
            )
        except RelayError as error:  # It would miss what is for it.
            self._report("accept", f"failed: {error}")
            self._gateway_session.close(CloseCode.INTERNAL_ERROR)
            return
        try:
            await self._run_hook("on_connect", self.on_connect)
        except HandshakeTimedOut as late:
            self._gateway_session.close(CloseCode.INTERNAL_ERROR, late.reason)
        except RelayError as error:  # What comes after it in the hook was not done.
            self._report("on_connect", f"failed: {error}")
            self._gateway_session.close(CloseCode.INTERNAL_ERROR)

    @property
    def _is_ending(self) -> bool:
        """Whether the client has no say any more."""
        return self._gateway_turns.is_ending or self._gateway_session.state is not State.OPEN

    async def _end(self, inbox: Inbox, code: int) -> None:
        """End the session, once; that a drain could not wait for it is no news to the server."""
        try:
            try:
                self._complain_of_endless(await inbox.close())
            finally:  # A server in a hurry may cancel again.
                try:
                    await self._end_handlers()
                finally:
                    await self._gateway_session.end(code, self._say_goodbye)
        except asyncio.CancelledError:
            if not self._gateway_turns.was_cut():
                raise

    async def _end_handlers(self) -> None:
        """End the handlers that run beside the turns, but do not wait for ever."""
        for event in await end(self._gateway_lines or {}, CANCEL_TIMEOUT):
            self._report(self._gateway_declaration.subscriptions[event].method, ENDLESS)
        self._gateway_lines = None  # Only now: whoever is cancelled meanwhile comes back.

    async def _say_goodbye(self, code: int) -> None:
        try:
            await self.on_disconnect(code)
        except RelayError as error:
            self._report("on_disconnect", f"failed: {error}")
        except asyncio.CancelledError as error:
            raise as_meant(error) from error.__cause__

    async def _take(self, message: Message) -> None:
        """Handle a message of another consumer, or of whoever knows the channel or a group."""
        if message.get("type") in (EVENT, GAP_MESSAGE) or self._is_handled(handler_name(message)):
            await self._gateway_turns.take(self.dispatch, message)
        else:
            self._complain(message)

    def _is_handled(self, name: str) -> bool:
        """Return whether the project has a method of that name which a Channels message may run."""
        if name.startswith(("_", "websocket_")) or name in self._gateway_declaration.reserved:
            return False
        attribute = getattr(type(self), name, None)  # Not of `self`: a property would run.
        return callable(attribute) and not isinstance(attribute, type)


def _frame(message: Message) -> Frame:
    """Make a frame of what Channels' methods send; raise `EnvelopeError` when it is too large."""
    text, limit = message.get("text"), get_settings().MAX_FRAME_BYTES
    if text is not None:
        return limited(Frame.from_text(text), limit)
    return limited(Frame(bytes(message["bytes"]), is_text=False), limit)


def _size(message: Message) -> int:
    """Return how many bytes a message from the client has."""
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    return size_of(text)

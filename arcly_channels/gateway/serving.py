"""The life of what serves one client: its messages in turn, and one end, however it comes."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Iterable
from typing import Any, ClassVar

from channels.exceptions import StopConsumer
from django.apps import apps

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import HandshakeTimedOut, RelayError
from arcly_channels.gateway.database import is_closing_due, queue_closing
from arcly_channels.gateway.declaration import ATTRIBUTES, declare
from arcly_channels.gateway.hooks import Hooks
from arcly_channels.gateway.inbox import Inbox
from arcly_channels.gateway.reporting import handler_name
from arcly_channels.gateway.speaking import Speaking
from arcly_channels.gateway.turns import Turns, as_meant, was_cancelled
from arcly_channels.layers.configured import gateway_layer
from arcly_channels.layers.message import Message
from arcly_channels.layers.processes import presence
from arcly_channels.relay.contract import Gap
from arcly_channels.session.drain import drain
from arcly_channels.session.guard import Guard
from arcly_channels.session.session import Session
from arcly_channels.transports.base import Peer, Receive, Send, Transport
from arcly_channels.wire.events import EVENT, GAP_MESSAGE
from arcly_channels.wire.protocol import gap_frame

logger = logging.getLogger(__name__)


class Serving(Hooks, Speaking):
    """One client, and what happens to it, whatever its connection is to the server.

    It runs the messages in turn, and ends in `Session.end`, however that came. A subclass has the
    handlers of what the server says, of which one calls `_open`.
    """

    channel_layer_alias: str

    _gateway_kind: ClassVar[str]
    """The type of the scopes that are served."""
    _gateway_serves: ClassVar[str]
    """The same, for people."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._gateway_declaration = declare(cls)

    @classmethod
    def _check_served(cls, named: Iterable[str] = ()) -> None:
        """Find out before the first client comes whether the settings are right.

        Raises `TypeError` for an attribute of the class among what is `named` for an instance,
        which ignores it: `require_claims=True` must not be said in vain.
        """
        get_settings()
        if apps.apps_ready and not apps.is_installed("arcly_channels"):
            logger.warning(
                'Put "arcly_channels" into INSTALLED_APPS: without it, %s is served, but there are '
                "no system checks and no metrics, and a logout closes no socket",
                cls.__qualname__,
            )
        for name in named:
            if name in ATTRIBUTES:
                raise TypeError(f"{name} is said in the class {cls.__qualname__}, not in as_asgi()")

    # The life of a connection

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one client: the ASGI application that Channels and the server see.

        Raises `ValueError` for another kind of scope, as servers expect who ask for a lifespan.
        """
        if scope["type"] != self._gateway_kind:
            raise ValueError(f"{self._gateway_serves}, and no scope of type {scope['type']!r}")
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

    async def gateway_gap(self, message: Message) -> None:
        """Tell the client, and the gateway, that messages may be missing."""
        gap = Gap(message["since"], message["until"], message["why"])
        client = self._gateway_session.client
        if client is not None:
            if client.is_v1:
                await self.channel_layer.send_frame(client.id, gap_frame(gap.since, gap.until))
            await self.on_gap(gap)

    # Inside

    async def _open(self, *, is_v1: bool) -> None:
        """Register the accepted client, and greet it."""
        if not self.channel_layer.reaches_others:
            presence.gateway_opened(self.scope)
        transport = self._transport_for(self._peer())
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
            await self._run_hook("on_connect", self._greet)
        except HandshakeTimedOut as late:
            self._gateway_session.close(CloseCode.INTERNAL_ERROR, late.reason)
        except RelayError as error:  # What comes after it in the hook was not done.
            self._report("on_connect", f"failed: {error}")
            self._gateway_session.close(CloseCode.INTERNAL_ERROR)

    def _peer(self) -> Peer:
        settings = get_settings()
        return Peer(
            self.scope,
            self._gateway_receive,
            self._gateway_send,
            grace=settings.EVICTION_GRACE,
            inbound=settings.INBOUND_BUFFER,
            inbound_bytes=settings.INBOUND_BUFFER_BYTES,
            endpoint=self._gateway_session,
            message_bytes=settings.MAX_MESSAGE_BYTES,
        )

    def _transport_for(self, peer: Peer) -> Transport:
        raise NotImplementedError

    def _greet(self) -> Awaitable[None]:
        """Do what the handshake's time limit is for, once the client is registered."""
        return self.on_connect()

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
        """End what runs beside the turns, if anything does, but do not wait for ever."""

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
        if name.startswith(("_", f"{self._gateway_kind}_")):
            return False
        if name in self._gateway_declaration.reserved:
            return False
        attribute = getattr(type(self), name, None)  # Not of `self`: a property would run.
        return callable(attribute) and not isinstance(attribute, type)

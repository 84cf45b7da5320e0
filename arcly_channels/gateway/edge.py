"""The edge to Channels and WebSockets: a consumer whose client is behind a session."""

from __future__ import annotations

from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from arcly_channels.close_codes import SENDABLE, CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import Refused
from arcly_channels.gateway.handling import Line, end
from arcly_channels.gateway.hooks import Hooks
from arcly_channels.gateway.inbox import CANCEL_TIMEOUT
from arcly_channels.gateway.reporting import ENDLESS
from arcly_channels.gateway.serving import Serving
from arcly_channels.identity.refusal import chosen_subprotocol, refuse
from arcly_channels.layers.message import Message
from arcly_channels.session.session import State
from arcly_channels.transports.base import Peer, Transport
from arcly_channels.transports.select import select_transport, unheard
from arcly_channels.wire.envelope import Frame, limited, size_of
from arcly_channels.wire.protocol import SUBPROTOCOL


class SessionConsumer(Serving, AsyncWebsocketConsumer):
    """The part of a gateway that serves one client, whatever its frames mean.

    What Channels' methods send goes through the outbox.
    """

    _gateway_kind = "websocket"
    _gateway_serves = "a gateway serves WebSockets"
    _gateway_lines: dict[str, Line] | None = None
    """By event; None until there is one."""

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """Return the ASGI application, as `path()` wants it; bad settings fail here already.

        Raises `TypeError` for an attribute of the class among `initkwargs`, which Channels gives to
        `__init__`.
        """
        cls._check_served(initkwargs)
        return super().as_asgi(**initkwargs)

    # What a gateway overrides

    async def on_refresh(self) -> None:
        """Act on new `claims`, which are in force: leave the rooms that they do not allow, say."""

    # What Channels and the server call

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
            if type(self).authorize is Hooks.authorize:
                await self._gateway_session.ask(self.authorize)
            else:
                with unheard(self.scope, self._gateway_send):
                    await self._gateway_session.ask(self._authorize_in_time)
        except Refused as refusal:
            self._note_refusal(refusal)
            self._warn_of_missing_middleware()
            await self._refuse(refusal)
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

    # Inside

    async def _put_off(self, message: Message, seconds: float) -> None:
        """Refuse a frame that came `seconds` too early: here, whatever else it may be, at once."""
        self._gateway_session.expel("too much was sent")

    async def _refuse(self, refusal: Refused) -> None:
        await refuse(self.scope, self._gateway_send, refusal, self.channel_layer.spread())

    def _transport_for(self, peer: Peer) -> Transport:
        return select_transport(peer)

    @property
    def _is_ending(self) -> bool:
        """Whether the client has no say any more."""
        return self._gateway_turns.is_ending or self._gateway_session.state is not State.OPEN

    async def _end_handlers(self) -> None:
        """End the handlers that run beside the turns, but do not wait for ever."""
        for event in await end(self._gateway_lines or {}, CANCEL_TIMEOUT):
            self._report(self._gateway_declaration.subscriptions[event].method, ENDLESS)
        self._gateway_lines = None  # Only now: whoever is cancelled meanwhile comes back.


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

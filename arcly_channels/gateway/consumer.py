"""`GatewayConsumer`: a Channels consumer whose clients talk in events and meet in rooms."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer

from arcly_channels.exceptions import EventRefused, InvalidRoom, MalformedFrame
from arcly_channels.gateway.declaration import declare
from arcly_channels.gateway.edge import SessionConsumer
from arcly_channels.gateway.subscriptions import subscribe
from arcly_channels.gateway.turns import was_cancelled
from arcly_channels.layers.message import Message
from arcly_channels.session.client import ClientHandle
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Event, Ref, decode, escaped


class GatewayConsumer(SessionConsumer):
    """One connected client, and what happens to it.

    Use it alone, or before any of Channels' async websocket consumers; after one, it gives that
    the bounded outbox and the life of a connection, and leaves the frames to it. Events from the
    client go to the methods marked with `@subscribe`, one at a time. Everything sent to it, by
    these methods or by those of Channels, passes its outbox in the order of the calls.

    A client that is refused before its socket is accepted gets status 403, or `gateway:bye` if it
    offers `arcly.v1`: with 4401 when claims are needed and there are none, with 4403 otherwise.
    """

    # What a gateway calls

    @property
    def client(self) -> ClientHandle:
        """The handle to this client, safe to keep; there is none before the socket is accepted."""
        client = self._gateway_session.client
        if client is None:
            raise RuntimeError("there is no client before its socket is accepted; see on_connect")
        return client

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
        """Put this client into `room`; see `ClientHandle`."""
        await self.client.join_room(room)

    async def leave_room(self, room: str) -> None:
        """Take this client out of `room`."""
        await self.client.leave_room(room)

    # What a client sends

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Hand an event to its method; answer with an `error` event where that is not possible."""
        try:
            event = _event(text_data)
        except MalformedFrame as error:
            await self._reply_error(protocol.MALFORMED, error.problem, error.ref)
            return
        subscription = self._gateway_declaration.subscriptions.get(event.event)
        if subscription is None:
            unknown = f"no event {escaped(event.event)}"
            await self._reply_error(protocol.UNKNOWN_EVENT, unknown, event.ref)
            return
        try:
            self._gateway_session.guard.check_event(subscription)
            await getattr(self, subscription.method)(event.data)
        except (StopConsumer, AcceptConnection, DenyConnection):
            raise
        except EventRefused as refusal:
            await self._reply_error(refusal.code, refusal.message, event.ref)
        except InvalidRoom as error:
            await self._reply_error(protocol.INVALID_ROOM, str(error), event.ref)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and was_cancelled():
                raise
            self._report(subscription.method, "failed", exc_info=error)
            failed = "the server could not handle this"
            await self._reply_error(protocol.INTERNAL, failed, event.ref)

    @subscribe(protocol.REFRESH)
    async def auth_refresh(self, data: Any) -> None:
        """Go on with a fresh token, `{"token": …}`: it is answered with `auth.refreshed`.

        The token must be of the same subject and tenant, fulfil what the gateway requires, and be
        to the liking of `authorize`. Otherwise the client gets an `error` event, and stays for as
        long as it could before.
        """
        token = data.get("token") if isinstance(data, dict) else None
        claims = await self._gateway_session.refresh(token, self._ask_authorize)
        await self.on_refresh()
        await self.emit(protocol.REFRESHED, {"exp": claims["exp"]})

    async def gateway_event(self, message: Message) -> None:
        """Send the client an event that came for it before it was registered."""
        if self._gateway_session.client is not None:  # Else it was denied, and is about to end.
            await self.emit(message["event"], message.get("data"))

    async def _reply_error(self, code: str, message: str, ref: Ref) -> None:
        frame = protocol.error_frame(code, message, ref)
        await self.channel_layer.send_frame(self.id, frame)


GatewayConsumer._gateway_declaration = declare(GatewayConsumer)


def _event(text: str | None) -> Event:
    if text is None:
        raise MalformedFrame("a frame is JSON text, not binary")
    return decode(text)

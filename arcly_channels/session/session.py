"""The life of one connection, from the handshake to the goodbye; of no framework and no server."""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import NoPlace, Refused, ServerEnds
from arcly_channels.fanout.audience import One
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import NOBODY, About, Connection
from arcly_channels.fanout.tally import Tally
from arcly_channels.identity.claims import Claims
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.logs import noted
from arcly_channels.reasons import DisconnectReason, Limit, of_close, of_peer
from arcly_channels.session.allowance import Allowance
from arcly_channels.session.client import ClientHandle
from arcly_channels.session.drain import drain
from arcly_channels.session.guard import Authorize, Guard
from arcly_channels.session.limits import places
from arcly_channels.transports.base import Transport
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import Encode, encode_event

logger = logging.getLogger(__name__)
_NOWHERE = Tally()
"""Where nobody looks: a client is not there yet."""


_CROWDED = {
    Limit.CONNECTIONS: "too many connections",
    Limit.USER: "too many connections of one user",
    Limit.ADDRESS: "too many connections from one address",
}


class State(enum.Enum):
    """How far a connection has come."""

    ASKING = enum.auto()
    """It may be refused yet: nobody is registered."""
    OPEN = enum.auto()
    """Its client is registered, and its events count."""
    CLOSING = enum.auto()
    """This side has closed it, or the peer has: the client has no say, and gets nothing more."""
    GONE = enum.auto()
    """It is said goodbye to, or was."""


class Consumer(Protocol):
    """What handles the messages of a connection."""

    @property
    def is_busy(self) -> bool:
        """Whether it is handling one."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it runs in."""

    def end(self) -> None:
        """Receive no more, and end after what it is doing."""

    def cancel(self) -> None:
        """Have what it is doing cancelled, be it the goodbye, and end."""


class Session:
    """One connection on `channel`: asks who comes, registers the client, and leaves nothing behind.

    `ask`, then `open` if it is accepted, then `end`, in any case and whatever happened. Belongs to
    one event loop.
    """

    __slots__ = (
        "__weakref__",
        "_allowance",
        "_channel",
        "_connection",
        "_consumer",
        "_has_left",
        "_outbox",
        "_peer_code",
        "_state",
        "client",
        "disconnect_reason",
        "guard",
        "layer",
        "tally",
        "transport",
    )

    def __init__(self, layer: GatewayLayer, channel: str, guard: Guard, consumer: Consumer) -> None:
        self._consumer = consumer
        self.layer = layer
        self._channel = channel
        self.guard = guard
        self._state = State.ASKING
        self._allowance: Allowance | None = None
        self._outbox: Outbox | None = None
        self.transport: Transport | None = None
        self._connection: Connection | None = None
        self._peer_code: int | None = None
        self._has_left = False
        self.disconnect_reason: DisconnectReason | None = None
        """Why the connection ended, once it has."""
        self.tally = _NOWHERE
        """Where the loop of the connection counts what its client sends."""
        self.client: ClientHandle | None = None
        """The handle to the client, once it is registered."""

    @property
    def state(self) -> State:
        is_over = self._closed_with is not None or self._has_left
        if self._state is State.OPEN and is_over:
            return State.CLOSING  # By whoever found it in a group, or too slow; or by the peer.
        return self._state

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that this belongs to."""
        return self._consumer.loop

    @property
    def is_ending(self) -> bool:
        """Whether the goodbye has begun: handlers have ended."""
        return self._state is State.GONE

    @property
    def has_ended(self) -> bool:
        """Whether the goodbye is over, and nothing stayed behind."""
        return self._state is State.GONE and self.transport is None

    async def ask(self, authorize: Authorize) -> None:
        """Decide about a client that comes, and hold a place for it; raise `Refused` to say no."""
        if drain.is_on:
            raise ServerEnds
        self._take_place()
        self.guard.check_entry()
        await authorize()
        self.guard.check_meanwhile()
        if drain.is_on:
            raise ServerEnds

    def deny(self) -> None:
        """Note that the connection was closed, so that it is not to be accepted."""
        self._state = State.CLOSING

    async def open(
        self,
        transport: Transport,
        *,
        about: About = NOBODY,
        namespace: str | None = None,
        is_v1: bool = False,
        encode: Encode = encode_event,
    ) -> None:
        """Register a client whose connection was accepted, and put it into the groups it is in.

        `about` is who that is, for the log, and `namespace` that of its rooms. A client that speaks
        `arcly.v1` (`is_v1`) is welcomed before anything else, and told why when it has to go. Its
        events are encoded by `encode`.
        """
        settings, layer, guard = get_settings(), self.layer, self.guard
        self.transport = transport
        self._outbox = outbox = Outbox(
            layer.pump(),
            transport,
            max_frames=settings.OUTBOUND_BUFFER,
            max_bytes=settings.OUTBOUND_BUFFER_BYTES,
            dialect=layer.v1 if is_v1 else None,
        )
        self.tally = outbox.lane.tally
        id = layer.connect(self._channel, outbox, about, self._welcome if is_v1 else None)
        self._connection = layer.registry.get(id)
        self.client = ClientHandle(
            layer,
            outbox,
            id,
            claims=guard.claims,
            tenant=guard.tenant,
            namespace=namespace,
            encode=encode,
        )
        self._state = State.OPEN
        await self._enter()
        if drain.is_on:
            self.shut_down()

    async def refresh(self, token: object, authorize: Authorize) -> Claims:
        """Go on with a fresh token; see `Guard.refresh`.

        The client stays in the group of each that it had, so revoking any of them closes it.
        """
        try:
            claims = await self.guard.refresh(token, authorize)
        finally:
            self.guard.watch(self.close)  # It may have looked at claims that were not to be.
        if self.client is not None:
            self.client.claims = claims
            await self._enter()
        return claims

    def seen(self) -> None:
        """Note a sign of life."""
        if self._connection is not None:
            self._connection.last_seen = self.layer.registry.clock()

    def received(self) -> None:
        """Note that something from the client was taken from the server."""
        self.seen()
        if self.transport is not None:
            self.transport.received()

    def pay(self, size: int) -> float:
        """Count a message of so many bytes; return 0, or in how many seconds it may come.

        Closes for one that is too large.
        """
        wait = (self._allowance or self._new_allowance()).take(size, time.monotonic())
        if wait:
            self._refuse(wait)
        return wait

    def err(self) -> bool:
        """Count a message that is refused; return True, and close, when there were too many."""
        if self._allowance is None or not self._allowance.err(time.monotonic()):
            return False
        self.layer.count_limit(Limit.ERRORS)
        self.expel("too many messages were refused")
        return True

    def bothered(self) -> None:
        """Count a frame that is no message like an event; close when there are far too many."""
        if self.state is State.OPEN and self.pay(0):
            self.err()

    def expel(self, reason: str) -> None:
        """Close, as the client sends too much, and hear no more of it."""
        self.close(CloseCode.RATE_LIMITED, reason)
        if self.transport is not None:
            self.transport.ignore()

    def too_large(self) -> None:
        """Close, as the client sends a message of more bytes than may be."""
        if self.state is State.OPEN:
            self.layer.count_limit(Limit.MESSAGE)
            self.close(CloseCode.MESSAGE_TOO_BIG, "the message is too large")

    def close(self, code: int, reason: str = "") -> None:
        """Close with `code` what is open, after its backlog. Only the first close counts."""
        if self.client is not None:
            self.layer.registry.close(One(self.client.id), code, reason)

    def shut_down(self) -> None:
        """Close at once, as the server is about to end: what waits goes first, if it can."""
        self.close(CloseCode.SERVICE_RESTART)
        if self._outbox is not None:
            self._outbox.lane.call(self._outbox.flush)
        self.abandon()

    def abandon(self) -> None:
        """Have the application receive no more, and end after what it is doing."""
        self._consumer.end()

    def cancel(self) -> None:
        """Cancel what the application is doing, be it the goodbye, and have it end."""
        self._consumer.cancel()

    def is_deaf(self) -> bool:
        """Return whether the application receives nothing now, as it is busy with a message."""
        return self._consumer.is_busy

    def has_left(self) -> bool:
        """Look whether the peer has hung up, which is not read yet: it has no say from then on."""
        self._has_left = self.transport is not None and self.transport.has_left()
        return self._has_left

    def peer_closed(self, code: int) -> None:
        """Note the close code of the peer, who is gone, while handlers are still running."""
        self._peer_code = code

    def peer_left(self, code: int) -> int:
        """Note that the peer is gone, with its close code; return the one that counts."""
        self._peer_code = code
        self._begin_farewell(code)
        return self._code_or(code)

    async def end(self, code: int, goodbye: Callable[[int], Awaitable[None]]) -> None:
        """Say goodbye, close with `code` what is open yet, and leave nothing behind.

        Only the first call does anything. `goodbye` is called once if there is a client, with the
        code that closed the connection. However often this is cancelled, nothing stays registered.
        """
        if self._state is State.GONE:
            return
        self._begin_farewell(code)
        self._state = State.GONE
        try:
            if self.client is not None:
                self._tell(self._code_or(code))
                await goodbye(self._code_or(code))
        finally:
            self.layer.disconnect(self._channel)
            try:
                await self._hang_up(code)
            finally:
                places.give_back(self)

    # Inside

    def _new_allowance(self) -> Allowance:
        settings = get_settings()
        self._allowance = Allowance(settings.RATE_LIMIT, settings.MAX_MESSAGE_BYTES)
        return self._allowance

    def _refuse(self, wait: float) -> None:
        if wait == math.inf:
            self.too_large()
        else:
            self.layer.count_limit(Limit.RATE)

    def _take_place(self) -> None:
        """Take a place among all, the user's and those of the address; raise `Refused`."""
        limit = places.take(self, get_settings().MAX_CONNECTIONS, self.guard.shares())
        if limit is None:
            return
        self.layer.count_limit(limit)
        kind = Refused if limit is Limit.USER else NoPlace
        raise kind(CloseCode.TOO_MANY_CONNECTIONS, _CROWDED[limit])

    def _welcome(self, id: int) -> Frame:
        settings, claims = get_settings(), self.guard.claims
        return protocol.welcome_frame(
            f"{self.layer.node}-{id}",
            ping=settings.PING_INTERVAL,
            pong=self.transport is None or not self.transport.hears_pongs,
            spread=self.layer.spread(),
            exp=None if claims is None else claims.get("exp"),
            limits={
                "frame": settings.MAX_MESSAGE_BYTES,
                "rooms": settings.MAX_ROOMS_PER_CONNECTION,
            },
        )

    @property
    def _closed_with(self) -> int | None:
        """The code that this side closed with, if it has."""
        return None if self._outbox is None else self._outbox.close_code

    def _code_or(self, otherwise: int) -> int:
        return self._closed_with or self._peer_code or otherwise

    async def _enter(self) -> None:
        """Join the groups through which the client is reached, and start its time."""
        if self.client is None:
            return
        await self.layer.join_all(self.client.id, self.guard.groups())
        self.guard.watch(self.close)
        try:
            self.guard.check_meanwhile()
        except Refused as refusal:
            self.close(refusal.code, refusal.reason)

    def _begin_farewell(self, code: int) -> None:
        """Let the client's handle speak for the goodbye: its handlers have ended."""
        self.guard.stop_watching()
        self.disconnect_reason = self.disconnect_reason or self._why(code)
        if self._state is State.OPEN:
            self._state = State.CLOSING
        if self.client is not None:
            self.client.begin_farewell()

    def _why(self, otherwise: int) -> DisconnectReason:
        """Return why this ends; `otherwise` is the code where neither side has closed yet."""
        if self._outbox is not None and self._outbox.close_code is not None:
            return of_close(self._outbox.close_code, self._outbox.close_reason)
        return of_close(otherwise) if self._peer_code is None else of_peer(self._peer_code)

    def _tell(self, code: int) -> None:
        """Count the end of a connection, and note it in the log."""
        reason = (self.disconnect_reason or DisconnectReason.ERROR).value
        self.layer.count_disconnect(reason, code)
        id, about = (None, NOBODY) if (row := self._connection) is None else (row.id, row.about)
        extra = noted(id, about.tenant, code, reason)
        logger.info("Connection %s ended: %s, with code %d", id, reason, code, extra=extra)

    async def _hang_up(self, code: int) -> None:
        """Close the connection, behind what the client was sent, and let go of its transport."""
        outbox, transport = self._outbox, self.transport
        if self.client is None or outbox is None or transport is None:
            self.transport = None
            return
        self.client.set_gone()
        try:
            if self._peer_code is None:
                outbox.lane.call(outbox.close, code)
                outbox.lane.call(outbox.flush)
            await transport.stop()
        finally:
            self.transport = None
            outbox.lane.call(outbox.cut)

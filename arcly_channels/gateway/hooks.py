"""What a class that serves clients says of them and overrides, and how long that may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, ClassVar

from channels.exceptions import DenyConnection

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EventRefused, HandshakeTimedOut, Refused
from arcly_channels.gateway.declaration import check_answer
from arcly_channels.gateway.hurry import TimeLimit
from arcly_channels.gateway.reporting import ENDLESS, Reporting
from arcly_channels.reasons import DisconnectReason
from arcly_channels.relay.contract import Gap
from arcly_channels.wire import protocol


class Hooks(Reporting):
    """Asks who may come in, and tells the class what becomes of its clients."""

    require_claims: ClassVar[bool] = False
    """Whether anonymous clients are refused, with 4401. Roles and permissions imply it."""
    require_tenant: ClassVar[bool | None] = None
    """Whether clients without a tenant are refused, with 4403; None, the default, means as soon as
    the settings have a `TENANT_STRATEGY`."""
    required_roles: ClassVar[str | Collection[str]] = ()
    """The roles of which a client must have one, or is refused with 4403: a string or several."""
    required_perms: ClassVar[str | Collection[str]] = ()
    """The permissions, each `resource:action`, all of which a client must have; the same."""
    room_namespace: ClassVar[str | None] = None
    """None, the default, or a string: only gateways that have the same share their rooms. With None
    they are shared by all gateways of the layer that have none. `broadcast` knows no namespaces."""
    sends: ClassVar[Mapping[str, Any]] = {}
    """The type of the data of each event that it sends, as in `{"message.receive": Message}`.

    In development and tests, any other event or data raises `PayloadMismatch`; those of the bases
    count, too. Empty, the default, it may send anything; see
    `docs/how-to/typed-events.md#what-is-sent`.
    """

    # What a gateway overrides

    async def authorize(self) -> None:
        """Decide about a client before it is accepted; raise `Refused` to say no.

        It returns nothing: whatever it returns is a `TypeError`, lest `return False` let somebody
        in. What the class requires was looked at before; `id` and `client` do not exist yet. Asked
        again when the client brings a fresh token, with the new `claims`: to refuse leaves it with
        the old ones.
        """

    async def may_join(self, room: str) -> None:
        """Decide whether the client may put itself into `room`; raise `EventRefused` to say no.

        Asked for `gateway:join`, which clients of `arcly.v1` may send, and for the rooms that the
        URL of an event stream names. By default none may. Whatever it returns is a `TypeError`, as
        with `authorize`.
        """
        raise EventRefused(protocol.FORBIDDEN, "this gateway says itself who joins which room")

    async def on_connect(self) -> None:
        """Greet a client: it is accepted, and registered. Runs exactly once."""

    async def on_gap(self, gap: Gap) -> None:
        """Act on messages that may be missing: send the client what is true now, say.

        Called when the way to the other processes was broken, and works again. `gap.since` and
        `gap.until` are Unix times, `gap.why` is for the log. A client of `arcly.v1` has got
        `gateway:gap` by then. Only with a layer of several processes, and its `on_gap="notify"`.
        """

    async def on_disconnect(self, code: int) -> None:
        """Say goodbye, just before the client is unregistered.

        Runs exactly once per accepted client, however it ended. `code` is the close code that this
        side chose (as 4008 for a slow consumer) or else the peer's; 1000 after a `StopConsumer`,
        1011 after an exception, 1012 when the server shuts down: it waits for this, within
        `DRAIN_DEADLINE`. `disconnect_reason` says why in a word. What was kept of the client's
        handle speaks once more here, to tell the others.
        """

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why the connection ended, in `on_disconnect`: a `DisconnectReason`; None before."""
        return self._gateway_session.disconnect_reason

    # Inside

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
                await self._refuse(late)
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

    async def _ask_may_join(self, room: str) -> None:
        """Ask `may_join`; raise `TypeError` if it answers: False would let the client in."""
        answer: Any = await self.may_join(room)  # type: ignore[func-returns-value]  # Theirs may.
        check_answer(type(self), "may_join", answer, EventRefused)

    async def _refuse(self, refusal: Refused) -> None:
        """Tell a client that it is refused."""
        raise NotImplementedError

    async def _say_goodbye(self, code: int) -> None:
        """Run `on_disconnect`."""
        raise NotImplementedError

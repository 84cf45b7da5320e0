"""`GatewayCommunicator`: a gateway's client in a test, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import EventRefused
from arcly_channels.identity.claims import read_only
from arcly_channels.identity.tenancy import get_tenants
from arcly_channels.layers.message import Message
from arcly_channels.rooms import TenantLike
from arcly_channels.testing.recording import (
    RecordingCommunicator,
    event_of,
    in_short,
    is_ping,
    value_of,
)
from arcly_channels.testing.wire import ANYTHING, is_equal, plain
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Ref, encode

if TYPE_CHECKING:
    from typing_extensions import Self


class GatewayCommunicator(RecordingCommunicator):
    """The client's end of a WebSocket whose other end is a gateway, in the same event loop.

    What is expected is the next frame, not some frame to come; only pings are passed over, unless
    one is expected. A failure shows what came instead, and all frames before it. Compared is what
    is on the wire, so models, dates and tuples may be given for what becomes of them.

    What fails in the gateway is raised here, in the next call or at the end: with `raise_errors`
    False it is not, and the client sees what any client would. An `expect_error("internal")` takes
    the failure of a handler for expected.

    Pings of `arcly.v1` are answered. With `answers_pings` False, it is a client that is gone.

    Belongs to one event loop. `disconnect` ends it, or the end of an `async with`.
    """

    subprotocol: str | None = None
    """What the gateway has chosen of the subprotocols that were offered."""
    welcome: Mapping[str, Any] = MappingProxyType({})
    """The data of `gateway:welcome`, which a client of `arcly.v1` gets first."""
    bye: Mapping[str, Any] = MappingProxyType({})
    """The data of `gateway:bye`, which it gets before a close."""

    # Connecting

    async def connect(
        self,
        *,
        claims: Mapping[str, Any] | None = None,
        tenant: TenantLike | None = None,
        user: Any = None,
        subprotocol: str | None = None,
        **scope: Any,
    ) -> Self:
        """Connect as somebody, and return this client; fail if it is refused.

        `claims`, `tenant`, `user` and whatever else is given are put into the scope, where
        middleware would put them; the id of a tenant stands for the tenant of the settings, where
        there is one. `on_connect` may be under way yet; with the `subprotocol` `arcly.v1`, the
        client was welcomed.

        Where Channels' communicator returns a pair, this fails: see `expect_refusal`.
        """
        __tracebackhide__ = True
        self.scope.update(self._identity(claims, tenant, user, subprotocol) | scope)
        refused = await self._shake_hands()
        if refused is not None:
            self._fail(f"the client was refused with {refused}")
        return self

    async def expect_refusal(
        self,
        code: int | None = None,
        *,
        claims: Mapping[str, Any] | None = None,
        tenant: TenantLike | None = None,
        user: Any = None,
        subprotocol: str | None = None,
        **scope: Any,
    ) -> int:
        """Try to connect as somebody, who must be turned away; with `code`, if that is given.

        Returns the code. The reason is in `bye`, for clients of `arcly.v1`.
        """
        __tracebackhide__ = True
        self.scope.update(self._identity(claims, tenant, user, subprotocol) | scope)
        refused = await self._shake_hands()
        if refused is None:
            self._fail("the client was let in, and expected to be refused")
        elif code is not None and refused != code:
            self._fail(f"the client was refused with {refused}, and {int(code)} was expected")
        return int(refused or 0)

    # Sending

    async def emit(self, event: str, data: Any = None, *, ref: Ref = None) -> None:
        """Send an event to the gateway. Anything else is sent by Channels' `send_to`."""
        await self.send_to(text_data=encode(event, plain(data), ref=ref).text)

    async def request(self, event: str, data: Any = None) -> Any:
        """Send an event with a `ref`, and return what the handler replies; `arcly.v1` only.

        Raises `EventRefused` with the error's code when it is answered by an error. Frames that
        come before the answer can be expected afterwards.
        """
        __tracebackhide__ = True
        if not self._is_v1:
            raise RuntimeError('only arcly.v1 has replies: connect(subprotocol="arcly.v1")')
        ref = next(self._numbers)
        await self.emit(event, data, ref=ref)
        answer = await self._answer(event, ref)
        if answer["event"] != protocol.ERROR:
            return answer["data"]
        error = answer["data"]
        refusal = EventRefused(
            error["code"], error["message"], retry_after=error.get("retry_after")
        )
        refusal.details = error.get("details", [])
        raise refusal from self._failure_told_by(answer)  # Which is raised at the end, too.

    async def join(self, room: str) -> Any:
        """Ask the gateway to join a room, and return what it says; `EventRefused` if it may not."""
        __tracebackhide__ = True
        return await self.request(protocol.JOIN, {"room": room})

    # Expecting

    async def expect(self, event: str, data: Any = ANYTHING, *, room: Any = ANYTHING) -> Any:
        """Take the next event, which must be this one, and return its data.

        `data` and `room` are compared if they are given.
        """
        __tracebackhide__ = True
        envelope = await self._envelope(event)
        given = {"data": data if data is ANYTHING else plain(data), "room": room}
        compared = {key: each for key, each in given.items() if each is not ANYTHING}
        if envelope.get("event") != event:
            self._fail(
                f"{event} was expected, and another frame came",
                {"event": event, **compared},
                envelope,
            )
        came = {key: envelope.get(key) for key in compared}
        if not is_equal(compared, came):
            self._fail(f"{event} came with something else than expected", compared, came)
        self._acknowledge(envelope)
        return envelope["data"]

    async def expect_error(self, code: str) -> Any:
        """Take the next event, which must be an `error` with this code, and return its data."""
        __tracebackhide__ = True
        envelope = await self._envelope(protocol.ERROR)
        if _error_code(envelope) != code:
            wanted = {"event": protocol.ERROR, "data": {"code": code}}
            self._fail(f"the error {code} was expected, and another frame came", wanted, envelope)
        self._acknowledge(envelope)
        return envelope["data"]

    async def expect_nothing(self) -> None:
        """Fail if a frame has come, or comes of what the gateway was sent up to now.

        Does not wait: see `settle`. A ping is nothing.
        """
        __tracebackhide__ = True
        await self.settle()
        came = [each for each in self._came if not is_ping(each)]
        self._came.clear()
        if came:
            self._fail(f"nothing was expected, and this came: {in_short(came[0])}")
        self._raise_end()

    async def expect_close(self, code: int | None = None) -> int:
        """Take the close that the gateway sends next, and return its code.

        It must be `code`, if that is given. The gateway waits for the answer: `disconnect` is it.
        """
        __tracebackhide__ = True
        what = "a close" if code is None else f"a close with {int(code)}"
        message = await self._next_but_pings(what)
        if self._is_v1 and event_of(message) == protocol.BYE:
            self.bye = value_of(message)["data"]
            message = await self._next(what)
        if message["type"] != "websocket.close":
            self._fail(f"{what} was expected, and another frame came: {in_short(message)}")
        came = int(message.get("code", CloseCode.NORMAL))
        if code is not None and came != code:
            self._fail(f"the gateway closed with {came}, and {int(code)} was expected")
        return came

    # Ending, beside `disconnect`

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        await end(self, is_failing=error is not None)

    # Inside

    def _identity(
        self,
        claims: Mapping[str, Any] | None,
        tenant: TenantLike | None,
        user: Any,
        subprotocol: str | None,
    ) -> dict[str, Any]:
        """Return what is to be in the scope; what is not given is left to the application."""
        if isinstance(tenant, str):
            tenant = get_tenants().get(tenant) or tenant
        given = {
            "claims": None if claims is None else read_only(claims),
            "tenant": tenant,
            "user": user,
            "subprotocols": None if subprotocol is None else [subprotocol],
        }
        return {key: value for key, value in given.items() if value is not None}

    @property
    def _is_v1(self) -> bool:
        return self.subprotocol == protocol.SUBPROTOCOL

    async def _shake_hands(self) -> int | None:
        """Ask to be let in; return None, or the code of the refusal."""
        await self.send_input({"type": "websocket.connect"})
        message = await self._next("an answer")
        if message["type"] == "websocket.accept":
            self.subprotocol = message.get("subprotocol")
            if not self._is_v1:
                return None
            message = await self._next("gateway:welcome")
            if event_of(message) == protocol.WELCOME:
                self.welcome = value_of(message)["data"]
                return None
            self._came.appendleft(message)
            return await self.expect_close()
        return int(message.get("code", CloseCode.NORMAL))

    async def _answer(self, event: str, ref: Ref) -> dict[str, Any]:
        """Return the frame with `ref`, and leave what comes before it to be expected."""
        others: list[dict[str, Any]] = []
        while True:
            message = await self._next(f"an answer to {event}")
            envelope = value_of(message)
            if message["type"] == "websocket.close":
                self._fail(f"an answer to {event} was expected, and this came: {in_short(message)}")
            if isinstance(envelope, dict) and envelope.get("ref") == ref:
                self._came.extendleft(reversed(others))
                return envelope
            others.append(message)

    async def _envelope(self, event: str) -> dict[str, Any]:
        """Return the next frame, which is to be `event`, as what it is on the wire."""
        is_ping_wanted = event == protocol.PING
        message = await (self._next if is_ping_wanted else self._next_but_pings)(event)
        envelope = value_of(message)
        if not isinstance(envelope, dict) or "event" not in envelope:
            self._fail(f"{event} was expected, and this is no event: {in_short(message)}")
        return envelope

    async def _next_but_pings(self, what: str) -> Message:
        message = await self._next(what)
        while is_ping(message):
            message = await self._next(what)
        return message

    def _failure_told_by(self, envelope: dict[str, Any]) -> BaseException | None:
        """Return the handler's failure of which the client is told by a frame, if it is."""
        is_internal = _error_code(envelope) == protocol.INTERNAL
        return self._failures[0] if is_internal and self._failures else None

    def _acknowledge(self, envelope: dict[str, Any]) -> None:
        """Take a handler's failure for expected, if its client was told of it by this frame."""
        if self._failure_told_by(envelope) is not None:
            self._failures.pop(0)


def _error_code(envelope: dict[str, Any]) -> Any:
    """Return the code of an `error`, or None for any other event."""
    data: Any = envelope.get("data") if envelope.get("event") == protocol.ERROR else None
    return data.get("code") if isinstance(data, dict) else None


async def end(client: GatewayCommunicator, *, is_failing: bool) -> None:
    """Disconnect a client at the end of a test, whose own failure comes before the gateway's."""
    __tracebackhide__ = True
    try:
        await client.disconnect()
    except Exception:
        if not is_failing:
            raise

"""`GatewayConsumer`: a Channels consumer whose clients talk in events and meet in rooms."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from channels.exceptions import StopConsumer

from arcly_channels.exceptions import EventRefused, MalformedFrame
from arcly_channels.fanout.tally import OTHER
from arcly_channels.gateway.answers import Answer, reply
from arcly_channels.gateway.controls import CONTROLS
from arcly_channels.gateway.edge import SessionConsumer
from arcly_channels.gateway.handling import Line, TimedOut
from arcly_channels.gateway.subscriptions import Subscription, subscribe
from arcly_channels.gateway.turns import ends_consumer
from arcly_channels.layers.message import Message
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Event, Frame, Ref, decode, escaped


class GatewayConsumer(SessionConsumer):
    """One connected client, and what happens to it: a consumer of Channels, routed as any other.

    Each event from the client, `{"event": …, "data": …}`, goes to the method that is marked with
    its name, one at a time unless that says otherwise:

        from arcly_channels import EventRefused, GatewayConsumer, subscribe


        class Chat(GatewayConsumer):
            async def on_connect(self):
                await self.join_room("lobby")
                await self.emit("welcome", {"you": self.id})

            @subscribe("message.send")
            async def message(self, text):
                if not isinstance(text, str):
                    raise EventRefused("invalid_text", "Send a string.")
                await self.broadcast_to_room("lobby", "message.receive", text)

            async def on_disconnect(self, code):
                await self.broadcast_to_room("lobby", "left", self.id)

    To override: `authorize` and `may_join`, which say no by raising; `on_connect`, `on_disconnect`,
    `on_refresh` and `on_gap`. To call: `emit`, `broadcast`, `broadcast_to_room`, `join_room`,
    `leave_room`, and `close` of Channels, which sends what is waiting first. To read: `id`,
    `client`, `claims`, `tenant`, `disconnect_reason`, and whatever a consumer has, as `scope`. To
    set on the class: `require_claims`, `require_tenant`, `required_roles`, `required_perms`,
    `room_namespace` and `sends`. Whatever else is listed here is how it works, and nothing to call.

    Everything sent to the client, by these methods or by those of Channels, passes its bounded
    outbox in the order of the calls. Its layer, `channel_layer_alias`, has to be one of ours;
    another raises `ImproperlyConfigured`. A client that is refused before its socket is accepted
    gets status 403, or `gateway:bye` if it offers `arcly.v1`: with 4401 when claims are needed and
    there are none, with 1012 when the server is about to end, with 4403 otherwise.

    Use it alone, or before any of Channels' async websocket consumers. After one, as in
    `class Feed(AsyncJsonWebsocketConsumer, GatewayConsumer)`, it leaves the frames to that, and
    gives it all the rest: the bounded outbox, identity, rooms, the hooks.
    """

    # What a client sends

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Hand an event to its method, and answer with what it returns or what went wrong."""
        try:
            event = _event(text_data)
        except MalformedFrame as error:
            await self._send_answer(self._malformed(error))
        else:
            await self._answer(event, self._handled, event)

    @subscribe(protocol.REFRESH)
    async def auth_refresh(self, data: Any) -> Any:
        """Go on with a fresh token, `{"token": …}`: it is answered with `auth.refreshed`.

        The token must be of the same subject and tenant, fulfil what the gateway requires, and be
        to the liking of `authorize`. Otherwise the client gets an `error` event, and stays for as
        long as it could before.
        """
        token = data.get("token") if isinstance(data, dict) else None
        claims = await self._gateway_session.refresh(token, self._ask_authorize)
        await self.on_refresh()
        refreshed = {"exp": claims["exp"]}
        return Answer(protocol.REFRESHED, refreshed, {**refreshed, "time": time.time()})

    # Inside

    async def _put_off(self, message: Message, seconds: float) -> None:
        """Answer an event that came `seconds` too early, unless there were too many of those."""
        if not self._gateway_declaration.takes_events:
            await super()._put_off(message, seconds)
        elif not self._gateway_session.err():
            ref, wait = _ref_of(message.get("text")), math.ceil(seconds * 1000) / 1000
            early = self._error(protocol.RATE_LIMITED, "too much at once", ref, retry_after=wait)
            await self._send_answer(early)

    async def _handled(self, event: Event) -> Frame | None:
        """Run the method for an event; return the answer to it, if there is to be one."""
        is_v1 = self.client.is_v1
        tally = self._gateway_session.tally
        if is_v1 and (control := CONTROLS.get(event.event)):
            tally.event(event.event).came += 1
            return await control(self, event)
        subscription = self._gateway_declaration.subscriptions.get(event.event)
        counted = tally.event(OTHER if subscription is None else subscription.event)
        counted.came += 1
        if subscription is None:
            raise EventRefused(protocol.UNKNOWN_EVENT, f"no event {escaped(event.event)}")
        self._gateway_session.guard.check_event(subscription)
        if not subscription.is_plain:
            return await self._handled_on_terms(subscription, event)
        data = subscription.data_of(event)
        started = perf_counter()
        try:
            result = await getattr(self, subscription.method)(data)
        finally:
            counted.add(perf_counter() - started)
        return reply(subscription, result, event.ref, is_v1=is_v1)

    async def _handled_on_terms(self, subscription: Subscription, event: Event) -> Frame | None:
        """Do the same within limits; a handler that may run beside others is answered later."""
        line = self._line_of(subscription)
        line.pay()
        wait = partial(line.wait_for_slot, self._gateway_session.has_left)
        await self._gateway_turns.wait(wait)
        if self._is_ending:  # It was not when this came; see `websocket_receive`.
            return None
        if subscription.terms.concurrency == 1:
            return await self._finished(subscription, line, event)
        answering = self._answer(event, self._finished, subscription, line, event)
        line.start(answering, self._gateway_turns.fail)
        await asyncio.sleep(0)  # One begins each turn of the loop, and others run between them.
        return None

    async def _answer(
        self, event: Event, handle: Callable[..., Awaitable[Frame | None]], *args: Any
    ) -> None:
        """Handle an event, and send the client what there is to answer."""
        try:
            answer = await handle(*args)
        except (Exception, asyncio.CancelledError) as error:
            if ends_consumer(error):
                raise
            answer = self._refusal(event, error)
        await self._send_answer(answer)

    async def _send_answer(self, answer: Frame | None) -> None:
        if answer is not None:
            await self.channel_layer.send_frame(self.id, answer)

    async def _finished(self, subscription: Subscription, line: Line, event: Event) -> Frame | None:
        handler, late = getattr(self, subscription.method), partial(self._end_late, subscription)
        data = subscription.data_of(event)
        started = perf_counter()
        try:
            result = await line.call(handler, data, late)
        finally:
            tally = self._gateway_session.tally
            tally.event(subscription.event).add(perf_counter() - started)
        return reply(subscription, result, event.ref, is_v1=self.client.is_v1)

    def _line_of(self, subscription: Subscription) -> Line:
        if self._gateway_lines is None:
            self._gateway_lines = {}
        line = self._gateway_lines.get(subscription.event)
        if line is None:
            line = self._gateway_lines[subscription.event] = Line(subscription.terms)
        return line

    def _end_late(self, subscription: Subscription, task: asyncio.Future[Any]) -> None:
        """Report a handler that failed when nobody waited for it any more."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, (EventRefused, StopConsumer)):
            self._report(subscription.method, "failed after it was cancelled", exc_info=error)

    def _malformed(self, error: MalformedFrame) -> Frame | None:
        """Return the answer to a frame that is none, unless there were too many of those."""
        if self._gateway_session.err():
            return None
        return self._error(protocol.MALFORMED, error.problem, error.ref)

    def _refusal(self, event: Event, error: BaseException) -> Frame:
        """Return the answer to an event that was not obeyed; count and log what is our fault."""
        subscription = self._gateway_declaration.subscriptions.get(event.event)
        method = "may_join" if event.event == protocol.JOIN else "receive"
        method = method if subscription is None else subscription.method
        if isinstance(error, TimedOut):
            self._report(method, f"took longer than {error.timeout:g} s")
        return self._refusal_of(method, error, event.ref)


def _event(text: str | None) -> Event:
    if text is None:
        raise MalformedFrame("a frame is JSON text, not binary")
    return decode(text)


def _ref_of(text: str | None) -> Ref:
    """Return the mark of a frame, if there is one, that is not looked at any further."""
    try:
        return _event(text).ref
    except MalformedFrame as error:
        return error.ref

"""What a client is answered with when its event was handled."""

from __future__ import annotations

from typing import Any, NamedTuple

from arcly_channels.conf.settings import is_under_development
from arcly_channels.gateway.subscriptions import Subscription
from arcly_channels.wire.envelope import Frame, Ref, encode
from arcly_channels.wire.events import encode_reply


class Answer(NamedTuple):
    """What a handler of ours is answered with, and for a client of `arcly.v1` instead of that."""

    event: str
    data: Any
    v1: Any

    def frame(self, ref: Ref, *, is_v1: bool) -> Frame:
        return encode(self.event, self.v1 if is_v1 else self.data, ref=ref)


def reply(subscription: Subscription, result: Any, ref: Ref, *, is_v1: bool) -> Frame | None:
    """Return what a handler's result is for the client, if it is to be told.

    In development, raises `PayloadMismatch` for a result that is not of the type it should be.
    """
    if isinstance(result, Answer):
        return result.frame(ref if is_v1 else None, is_v1=is_v1)
    if not is_v1 or ref is None:
        return None
    payload = subscription.reply
    if payload is None:
        return encode_reply(result, ref)
    frame = encode_reply(payload.write(result), ref)
    if is_under_development():
        payload.check(result, frame)
    return frame

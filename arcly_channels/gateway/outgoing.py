"""What a gateway says in `sends`, and what holds the events that it sends against that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from arcly_channels.exceptions import PayloadMismatch
from arcly_channels.gateway.hints import Hint, payload_of
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import encode_event
from arcly_channels.wire.protocol import RESERVED

if TYPE_CHECKING:
    from arcly_channels.gateway.payloads import Payload

ATTRIBUTE = "sends"


def collect_sends(gateway: type) -> dict[str, Payload]:
    """Return what a gateway and its bases say that they send, by event; the nearest counts.

    Raises `TypeError` for what is no such mapping.
    """
    found: dict[str, Payload] = {}
    for owner in reversed(gateway.__mro__):
        said = vars(owner).get(ATTRIBUTE, {})
        where = f"{owner.__qualname__}.{ATTRIBUTE}"
        if not isinstance(said, Mapping):
            raise TypeError(f'{where} is a dict as in {{"message.receive": Message}}, not {said!r}')
        for event, annotation in said.items():
            if not isinstance(event, str) or not event or event.startswith(RESERVED):
                raise TypeError(f"{where} has {event!r}, which no event of a gateway may be called")
            found[event] = payload_of(Hint(annotation, f"{where}[{event!r}]"))
    return found


class CheckedEvents:
    """Encodes events as `encode_event` does, but only those that a gateway says it sends.

    For development and tests: raises `PayloadMismatch` for any other, and for other data.
    """

    def __init__(self, gateway: str, sends: Mapping[str, Payload]) -> None:
        self._gateway = gateway
        self._sends = sends

    def __call__(self, event: str, data: Any, *, room: str | None = None) -> Frame:
        frame = encode_event(event, data, room=room)
        payload = self._sends.get(event)
        if payload is None:
            where = f"{self._gateway} sends {event!r}, which is not in its `{ATTRIBUTE}`"
            raise PayloadMismatch(where)
        payload.check(data, frame)
        return frame

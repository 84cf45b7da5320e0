"""Every error this package raises of its own, as one tree under `ArclyError`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from arcly_channels.close_codes import CloseCode


class ArclyError(Exception):
    """The root: `except ArclyError` catches whatever this package raises of its own."""


class EnvelopeError(ArclyError, ValueError):
    """A payload cannot be written as JSON, or is too large. Nothing was sent to anybody.

    `path` names the offending value from the payload's root, as in `data.items[3]['a b'].price`. It
    is one short line, whatever the keys are; where finding the value would take long, it ends
    in `…` above it.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path} cannot be sent: {problem}")
        self.path = path
        self.problem = problem


class UnportableMessage(ArclyError, TypeError):
    """A Channels message holds what no relay carries to another process. Nobody got it.

    `path` names the offending value, as in `message.orders[3].total`, in one short line.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path} would not survive a relay between processes: {problem}")
        self.path = path
        self.problem = problem


class MalformedFrame(ArclyError, ValueError):
    """An inbound frame is not an envelope. `ref` is the frame's own, when it has a valid one."""

    def __init__(self, problem: str, ref: int | str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.ref = ref


class InvalidRoom(ArclyError, ValueError):
    """A room name that is not a string of 1 to 200 characters, and at most 400 bytes."""


class Refused(ArclyError):
    """Raised in `GatewayConsumer.authorize` to turn a client away before its socket is accepted.

    `code` is a close code of `close_codes` or of your own: 1000 or 3000 to 4999, which is what an
    application may send, or else `ValueError`. `reason` is a short word for the client and the log.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        if code != CloseCode.NORMAL and not 3000 <= code <= 4999:
            raise ValueError(f"a close code is 1000 or 3000 to 4999, not {code!r}")
        super().__init__(f"refused with {code}{': ' + reason if reason else ''}")
        self.code = code
        self.reason = reason


class ServerEnds(Refused):
    """A client comes while the server is about to end; it should come back, with the others."""

    def __init__(self) -> None:
        Exception.__init__(self, "refused: the server is about to end")
        self.code = CloseCode.SERVICE_RESTART
        self.reason = "the server restarts"


class NoPlace(Refused):
    """There is no place for one more socket: not even to say so."""


class HandshakeTimedOut(Refused):
    """A hook of the handshake took longer than it may.

    Whoever is refused for that comes back later: it is a server that has too much to do.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(CloseCode.TOO_MANY_CONNECTIONS, "the server took too long")
        self.seconds = seconds


class EventRefused(ArclyError):
    """An event from a client is not for that client to send, or not in that form.

    The client gets an `error` event with `code` and `message`, each cut to 4,096 characters, and
    with `retry_after`, the seconds after which it is worth to try again, where that is given.
    """

    def __init__(self, code: str, message: str, *, retry_after: float | None = None) -> None:
        if retry_after is not None and not isinstance(retry_after, (int, float)):
            raise TypeError(f"retry_after is a number of seconds, not {retry_after!r}")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.details: list[Detail] = []
        """What is wrong with the data, where that is why."""


class Detail(TypedDict):
    """One fault of an event's data: where it is, as in `data.items[3].price`, and what it is."""

    path: str
    message: str


class InvalidPayload(EventRefused):
    """The data of an event is not what its handler takes, whose annotation says that.

    A handler may raise it as well, for faults that a type cannot know of.
    The client gets an `error` event with the code `invalid_payload` and with these `details`.
    """

    def __init__(self, details: Iterable[Detail]) -> None:
        given = list(details)
        first = "".join(f"{each['path']}: {each['message']}" for each in given[:1])
        rest = f" (and {len(given) - 1} more)" if len(given) > 1 else ""
        super().__init__("invalid_payload", first + rest)
        self.details = given


class PayloadMismatch(ArclyError, TypeError):
    """A gateway is about to send what it says it does not. Nothing was sent.

    Raised in development and tests only. `where` that is said, and `details` of what is wrong.
    """

    def __init__(self, where: str, details: Iterable[Detail] = ()) -> None:
        self.where = where
        self.details = list(details)
        faults = "; ".join(f"{each['path']}: {each['message']}" for each in self.details)
        super().__init__(f"{where}: {faults}" if faults else where)


class SlowConsumer(ArclyError):
    """A plain consumer took nothing from its full channel for too long, and is evicted.

    A layer's `receive` raises it, after the backlog, so that it ends the consumer and closes its
    socket. Not `StopConsumer`, with which Channels ends and leaves the socket open on some servers.
    """

    def __init__(self) -> None:
        super().__init__("this consumer took nothing from its full channel for too long: evicted")


class LoopStalled(ArclyError, TimeoutError):
    """A thread's frames were not taken: the event loop that holds the sockets is blocked.

    Nothing of the call that raised this was sent to the clients of that loop.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the event loop of the sockets took no frames for {seconds:g} s; "
            "something blocks it, or the thread it is waiting for is this one"
        )
        self.seconds = seconds


class RelayError(ArclyError):
    """What was for other processes, too, has not reached them for certain."""


class RelayUnavailable(RelayError, ConnectionError):
    """There is no link to the other processes: nothing was sent to them."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the relay cannot be reached, and nothing was sent: {why}")
        self.why = why


class RelayOutcomeUnknown(RelayError, TimeoutError):
    """It was sent to the relay, which has not said that it came: it may arrive, or not.

    Nothing is sent again, since what comes twice is worse. Where it may come twice, do so yourself.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"sent, and nobody knows whether it arrives: {why}")
        self.why = why


class RelayUnanswered(RelayError, TimeoutError):
    """Some processes gave no answer in time. `answers` are those of the others."""

    def __init__(self, answers: list[object], missing: int) -> None:
        super().__init__(f"{missing} of {missing + len(answers)} processes gave no answer in time")
        self.answers = answers
        self.missing = missing

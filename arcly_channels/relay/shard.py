"""A server of the relay, as one process sees it: a link to publish by, and one to hear by.

What this process sends to a group that it is in comes back to it, as it comes to the others: so the
messages of a group have one order everywhere. Two links, because a server that cuts off whoever
does not read should cut the one that hears, and because replies must not wait behind messages.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from arcly_channels.exceptions import RelayError, RelayOutcomeUnknown, RelayUnavailable
from arcly_channels.logs import Repeats
from arcly_channels.relay import subscriber as hearing
from arcly_channels.relay.connector import Connector
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.inspection import Inspection, examine
from arcly_channels.relay.letters import Expected, Letter
from arcly_channels.relay.link import Link
from arcly_channels.relay.office import Office
from arcly_channels.relay.parcels import Envelope, Garbled
from arcly_channels.relay.publisher import Publisher
from arcly_channels.relay.subscriber import Subscriber
from arcly_channels.relay.topics import CLASSIC, Hearing, Verbs

logger = logging.getLogger(__name__)

RETELL = 0.25
"""Seconds after which the others are told of what they have missed, where there is a link."""

ALIKE = "all that have the prefix need the same symmetric_encryption_keys, and releases that agree"

Dial = Callable[[], Awaitable[Link]]
"""Makes a link to the server of a shard."""


class RelayShard:
    """Both links to one server, and what is on its way by them. Belongs to one event loop."""

    def __init__(
        self, number: int, dial: Dial, office: Office, probe: bytes, verbs: Verbs = CLASSIC
    ) -> None:
        self._office = office
        self.dial = dial
        self.probe = probe
        """The topic by which it is found out whether what is sent arrives."""
        self.is_elsewhere: Callable[[Letter, Exception], bool] = _is_here
        """Called with a letter that was refused; returns whether it is taken care of."""
        self._verbs = verbs
        self._publish = b"*3\r\n$%d\r\n%b\r\n" % (len(verbs.publish), verbs.publish.encode())
        self._sequence = number << 48  # No two parcels of a process have the same.
        self._expected = Expected(lambda letter: self.publisher.end(letter))
        self._kept_since: float | None = None
        """Since when parcels went no further than this process, or a server that is no master."""
        self._is_logged = False
        """Whether the log was told of a letter that failed, since there is the link."""
        self._unreadable = Repeats(interval=60)
        self.is_hearing = False
        """Whether this process hears something by it, and not only publishes."""
        self.publisher = Publisher(
            self._dial_master,
            self._encode,
            self._undelivered,
            self._on_unknown,
            self._on_refused,
            self._go_up,
        )
        self.subscriber = Subscriber(
            dial,
            verbs,
            on_message=self._on_message,
            is_wanted=office.is_wanted,
            on_lost=self._expected.lose,
            on_return=self._on_return,
        )
        self._inspection = Inspection(self.publisher, self.subscriber, self._leave_replica)

    @property
    def problem(self) -> str | None:
        """What is wrong with the links at the moment, if anything is."""
        for connector in self._connectors():
            if connector.link is None or connector.problem is not None:
                return connector.problem or "there is no link to the server"
        return self.publisher.trouble

    def start(self) -> None:
        """Begin to publish."""
        self.publisher.connector.start()
        self._inspection.ask_role()

    def hear(self) -> None:
        """Begin to hear. Idempotent."""
        if not self.is_hearing:
            self.is_hearing = True
            self.subscriber.pin_for_ever(self.probe)
            self.subscriber.start()
            self._inspection.look(lambda: self.probe)

    def probe_by(self, probe: bytes) -> None:
        """Use another topic from now on to find out whether what is sent arrives."""
        old, self.probe = self.probe, probe
        if self.is_hearing:
            self.subscriber.unfollow([old])
            self.subscriber.pin_for_ever(probe)

    def retire(self, heir: RelayShard) -> None:
        """Hear nothing any more, as the server has nothing any more. Only `stop` may follow.

        What the others have to know is `heir`'s to tell.
        """
        if self.is_hearing:
            self.subscriber.unfollow([self.probe])
            self.subscriber.go_deaf()
        if self._kept_since is not None:
            heir._kept_since = min(self._kept_since, heir._kept_since or self._kept_since)
            heir._tell_what_was_kept()

    async def stop(self) -> None:
        """Send what was posted, and end both links."""
        self.is_hearing = False
        self._inspection.stop()
        await self.publisher.stop()
        await self.subscriber.stop()

    @property
    def links(self) -> list[Link]:
        """The links that there are."""
        return [each.link for each in self._connectors() if each.link is not None]

    @property
    def links_wanted(self) -> int:
        """How many there should be."""
        return len(self._connectors())

    # Inside: out

    async def _dial_master(self) -> Link:
        """Make a link to publish by; raise where the server would take a message for nothing."""
        link, asked = await self.dial(), time.time()
        try:
            await asyncio.wait_for(examine(link, self._verbs), hearing.TIMEOUT)
        except asyncio.TimeoutError:
            link.abort()
            raise ConnectionError("the server does not answer") from None
        except BaseException:
            link.abort()
            raise
        self._inspection.was_master = asked
        return link

    def _encode(self, letter: Letter) -> bytes:
        """Return the command for a letter, and expect it back where that is how it gets here."""
        if letter.command is not None:
            return letter.command
        office = self._office
        if not letter.is_done_here:  # That has its own.
            self._sequence = letter.sequence = self._sequence + 1
        data = office.sealer.seal(
            letter.kind,
            letter.flags,
            letter.content,
            node=office.node_number,
            sequence=letter.sequence,
            at=time.time(),
        )
        if self._verbs is CLASSIC:
            letter.content = b""  # It waits for its answer without: it is not sent again.
        if letter.here is not None:
            state = self.subscriber.state_of(letter.subject)
            if state is Hearing.HEARD:
                letter.is_expected = True
            else:
                office.deliver(letter)
            if state is not None:
                self._expect(letter)  # It comes back in any case, and must not count then.
        office.stats.parcels_out += 1
        office.stats.bytes_out += len(data)
        subject = letter.subject
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            *(self._publish, len(subject), subject, len(data), data),
        )

    def _expect(self, letter: Letter) -> None:
        oldest = self._expected.add(letter)
        if oldest is not None:  # What has come by the time it comes counts for nothing then.
            oldest.has_come_back = True
            self._office.deliver(oldest)
            if oldest.is_acknowledged:
                self.publisher.end(oldest)

    def _undelivered(self, letter: Letter, what: str, why: str) -> None:
        """Deliver here what went no further, and let the others know, or whoever has sent it."""
        self._office.stats.dropped[what] += 1
        if (letter.here or letter.is_done_here) and self._office.serves():
            self._keep_since(time.time())
            if what != "down" and not self._is_logged:
                self._is_logged = True  # Until the next link.
                logger.error("What is for other processes, too, reaches only this one: %s", why)
            self._office.deliver(letter)
            letter.settle()
        else:
            self._fail(letter, RelayUnavailable(why))

    def _on_refused(self, letter: Letter, error: Exception) -> None:
        if not self.is_elsewhere(letter, error):
            self.publisher.trouble = why = f"the server refuses it: {error}"
            self._undelivered(letter, "refused", why)

    def _on_unknown(self, letter: Letter, why: str) -> None:
        self._office.stats.unknown += 1
        self._fail(letter, RelayOutcomeUnknown(why))

    def _fail(self, letter: Letter, error: RelayError) -> None:
        """Tell whoever waits that a letter has failed; where nobody does, the log: once a while."""
        if not letter.settle(error) and letter.kind is not Kind.PROBE and not self._is_logged:
            self._is_logged = True  # Until the next link.
            logger.error("For other processes, and nobody waits to hear it: %s", error)

    def _go_up(self) -> None:
        self._is_logged = False
        self._tell_what_was_kept()

    def _keep_since(self, since: float) -> None:
        """Have the others told, with the next link, or soon where there is one."""
        if self._kept_since is None and self.publisher.connector.link is not None:
            asyncio.get_running_loop().call_later(RETELL, self._tell_what_was_kept)
        self._kept_since = min(since, self._kept_since or since)

    def _tell_what_was_kept(self) -> None:
        since = self._kept_since
        if since is not None and self.publisher.connector.link is not None:
            self._kept_since = None
            told = self._office.kept(since, time.time())
            told.add_done_callback(partial(self._is_told, since))

    def _is_told(self, since: float, told: asyncio.Future[int]) -> None:
        """Tell it again later, if it is not certain that the others know. Twice is no harm."""
        if told.cancelled() or told.exception() is not None:
            self._keep_since(since)

    def _leave_replica(self, since: float) -> None:
        """Leave a server that is a replica by now; what it took since it was a master is lost."""
        self._kept_since = self._kept_since or since
        for link in self.links:
            link.abort()

    # Inside: in

    def _on_message(self, topic: bytes, data: bytes) -> None:
        """Take what has arrived. Nothing that anybody could send raises here."""
        office = self._office
        stats = office.stats
        office.heard_at = now = time.time()
        stats.parcels_in += 1
        stats.bytes_in += len(data)
        try:
            envelope = office.sealer.open(data)
            self.subscriber.last_sent = envelope.sent_at
            if envelope.node != office.node_number:
                stats.lag.add(max(0.0, now - envelope.sent_at))
                office.take(topic, envelope)
            elif envelope.kind is not Kind.PROBE:
                self._come_back(envelope)
        except Garbled as error:
            stats.dropped[str(error)] += 1
            if self._unreadable.due(str(error)) is not None:
                logger.warning(
                    "Something from another process cannot be read (%s): %s", error, ALIKE
                )

    def _come_back(self, envelope: Envelope) -> None:
        letter = self._expected.pop(envelope.sequence)
        if letter is None:
            return  # It was done at once.
        self._office.stats.lag.add(max(0.0, time.time() - envelope.sent_at))
        letter.has_come_back = True
        if isinstance(letter.done, asyncio.Future):
            # Whoever waits in this loop goes on in its next turn, before the outboxes are emptied
            # that this fills. So the next message is under way meanwhile: a tenth of the rate of
            # `benchmarks/scale_out.py`.
            letter.settle()
        self._office.deliver(letter)
        letter.settle()
        if letter.is_acknowledged:  # Else Redis says so in a moment.
            self.publisher.end(letter)

    def _on_return(self, since: float, why: str) -> None:
        self._office.missed(since, time.time(), why)

    def _connectors(self) -> list[Connector]:
        both = [self.publisher.connector]
        return [*both, self.subscriber.connector] if self.is_hearing else both


def _is_here(letter: Letter, error: Exception) -> bool:
    return False

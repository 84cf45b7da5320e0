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
from typing import Protocol

from arcly_channels.exceptions import RelayError, RelayOutcomeUnknown, RelayUnavailable
from arcly_channels.relay import subscriber as hearing
from arcly_channels.relay.connector import Connector
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.letters import Expected, Letter
from arcly_channels.relay.link import Link, Refusal, Reply, command
from arcly_channels.relay.parcels import Envelope, Garbled, Sealer
from arcly_channels.relay.publisher import Publisher
from arcly_channels.relay.stats import Stats
from arcly_channels.relay.subscriber import Subscriber
from arcly_channels.relay.topics import CLASSIC, Hearing, Verbs

logger = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at the link that hears. What is counted is looks, not time, so that a
loop that was blocked does not take its own silence for the server's."""

ROLE_INTERVAL = 4.0
"""Seconds between two questions whether the server is a master. A replica takes what is published,
says so, and passes it on to nobody else; five seconds later that is to be over."""

MAX_UNANSWERED = 3
"""How many of these questions in a row may have no answer. Then the link is given up: it leads
nowhere, or the server hangs. Eight seconds of that are borne, so that what was written arrives."""


Dial = Callable[[], Awaitable[Link]]
"""Makes a link to the server of a shard."""


class Office(Protocol):
    """What a shard is to a relay: who takes what arrives, and knows what is wanted."""

    node_number: int
    sealer: Sealer
    stats: Stats
    heard_at: float

    def serves(self) -> bool:
        """Return whether there is anybody here who could be reached."""

    def is_wanted(self, topic: bytes) -> bool:
        """Return whether somebody here is to get what is on a topic."""

    def take(self, topic: bytes, envelope: Envelope) -> None:
        """Do the local half of what has arrived from another process."""

    def deliver(self, letter: Letter) -> None:
        """Do the local half of what this process has sent."""

    def missed(self, since: float, until: float, why: str) -> None:
        """Take note that messages may be missing here."""

    def kept(self, since: float, until: float) -> asyncio.Future[int]:
        """Tell the others that messages may be missing there, which went no further than this.

        Returns a future of whether they were told.
        """


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
        self._silent_looks: int | None = None
        """How often the link was looked at since a probe was acknowledged; None without one."""
        self._is_probing = False
        self._is_logged = False
        """Whether the log was told of a letter that failed, since there is the link."""
        self._timer: asyncio.TimerHandle | None = None
        self._role_timer: asyncio.TimerHandle | None = None
        self._unanswered = 0
        """How often it was asked in vain, since there was an answer."""
        self._was_master = 0.0
        """When the server was known to be a master, the last time."""
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

    @property
    def problem(self) -> str | None:
        """What is wrong with the links at the moment, if anything is."""
        for connector in self._connectors():
            if connector.link is None or connector.problem is not None:
                return connector.problem or "there is no link to the server"
        return None

    @property
    def is_hearing(self) -> bool:
        """Whether this process hears something by it, and not only publishes."""
        return self._timer is not None

    def start(self) -> None:
        """Begin to publish."""
        self.publisher.connector.start()
        self._role_timer = asyncio.get_running_loop().call_later(ROLE_INTERVAL, self._ask_role)

    def hear(self) -> None:
        """Begin to hear. Idempotent."""
        if self._timer is None:
            self.subscriber.pin_for_ever(self.probe)
            self.subscriber.start()
            self._timer = asyncio.get_running_loop().call_later(TICK, self._look)

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
        for timer in filter(None, (self._timer, self._role_timer)):
            timer.cancel()
        self._timer = self._role_timer = None
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
            await asyncio.wait_for(self._check(link), hearing.TIMEOUT)
        except BaseException:
            link.abort()
            raise
        self._was_master = asked
        return link

    async def _check(self, link: Link) -> None:
        role = await _asked(link, b"ROLE")
        if _is_replica(role):
            raise ConnectionError("the server is a replica, which passes nothing on")
        info = await _asked(link, b"INFO", b"cluster")
        if b"cluster_enabled:1" in (info or b"") and self._verbs is CLASSIC:
            raise ConnectionError(
                "the server is of a Redis Cluster, where PUBLISH costs every node: say cluster=True"
            )

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
            self._undelivered(letter, "refused", f"the server refuses it: {error}")

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
            asyncio.get_running_loop().call_later(TICK, self._tell_what_was_kept)
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

    # Inside: in

    def _on_message(self, topic: bytes, data: bytes) -> None:
        """Take what has arrived. Nothing that anybody could send raises here."""
        office = self._office
        stats = office.stats
        office.heard_at = now = time.time()
        stats.parcels_in += 1
        stats.bytes_in += len(data)
        self._silent_looks = None
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

    # Inside: whether the links are what they seem

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._look)
        link = self.subscriber.connector.link
        if link is None or link.silence < hearing.PROBE:
            self._silent_looks = None
        elif self._silent_looks is not None:
            self._silent_looks += 1
            if self._silent_looks * TICK > hearing.PROBE:
                self._silent_looks = None
                link.abort()  # What was published did not come: nothing comes any more.
        elif not self._is_probing:
            self._post_probe()

    def _post_probe(self) -> None:
        """Publish what has to come back. If the server does not take it, that says nothing."""
        letter = Letter(self.probe, Kind.PROBE, 0, b"")
        letter.done = asyncio.get_running_loop().create_future()
        letter.done.add_done_callback(self._probe_posted)
        self._is_probing = True
        self.publisher.post(letter)

    def _probe_posted(self, done: asyncio.Future[int]) -> None:
        self._is_probing = False
        link = self.subscriber.connector.link
        is_taken = not done.cancelled() and done.exception() is None
        if is_taken and link is not None and link.silence >= hearing.PROBE:
            self._silent_looks = 0

    def _ask_role(self) -> None:
        self._role_timer = asyncio.get_running_loop().call_later(ROLE_INTERVAL, self._ask_role)
        link = self.publisher.connector.link
        if link is None:
            return
        if self._unanswered >= MAX_UNANSWERED:
            link.abort()
            return
        self._unanswered += 1
        link.write(command(b"ROLE"), [partial(self._learn_role, time.time())])

    def _learn_role(self, asked: float, role: Reply) -> None:
        """Leave a server that is a replica by now; what it took since it was a master is lost."""
        self._unanswered = 0
        if isinstance(role, ConnectionResetError):
            return  # The link is lost.
        if not _is_replica(role):
            self._was_master = asked
            return
        self._kept_since = self._kept_since or self._was_master
        for link in self.links:
            link.abort()

    def _connectors(self) -> list[Connector]:
        both = [self.publisher.connector]
        return [*both, self.subscriber.connector] if self.is_hearing else both


async def _asked(link: Link, *words: bytes) -> Reply:
    """Return what the server says of itself; None where we may not ask."""
    try:
        return await link.ask(*words)
    except Refusal:
        return None


def _is_here(letter: Letter, error: Exception) -> bool:
    return False


def _is_replica(role: object) -> bool:
    return isinstance(role, list) and bool(role) and role[0] == b"slave"

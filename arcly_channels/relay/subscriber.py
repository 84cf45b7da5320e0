"""Hears what one server has for this process, and knows when it may have missed something.

A topic is subscribed to once, however many want it. Nobody is told that a topic is heard before the
server has said so; on a slow link a message sent a moment later would be lost otherwise. What is
not wanted any more is let go of a second later, so that who leaves and comes back costs nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.relay.connector import Connector
from arcly_channels.relay.link import Link, Reply, command
from arcly_channels.relay.topics import Hearing, Topic, Verbs

BATCH = 512
"""How many topics one command names."""

LINGER = 1.0
"""Seconds for which a topic that nobody wants is heard yet."""

TIMEOUT = 1.0
"""Seconds within which the server should say that a topic is heard."""

PROBE = 1.0
"""Seconds without a byte after which the link is put to the test, and that the test may take."""

MOVED = "a part of the cluster has moved"
"""Why there is a gap, although the link stands."""


class Subscriber:
    """The way in from one server. Belongs to one event loop.

    `on_message` is called with a topic and what was published under it. `is_wanted` says whether a
    topic that has no pin is to be kept. `on_return` is called when all topics are heard again that
    were not for a while, with the Unix time until which everything has come, and why.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[Link]],
        verbs: Verbs,
        *,
        on_message: Callable[[bytes, bytes], None],
        is_wanted: Callable[[bytes], bool],
        on_lost: Callable[[], None],
        on_return: Callable[[float, str], None],
    ) -> None:
        self.on_moved: Callable[[], float] = time.time
        """Called when the server says that it has a topic no more; returns until when it had it."""
        self.connector = Connector(dial, self._go_up, self._go_down)
        self._on_message = on_message
        self._is_wanted = is_wanted
        self._on_lost = on_lost
        self._on_return = on_return
        self._verbs = verbs
        self._on_reply: dict[bytes, Callable[[bytes, Any], None]] = {
            verbs.message.encode(): self._message,
            verbs.subscribe.lower().encode(): self._subscribed,
            verbs.unsubscribe.lower().encode(): self._unsubscribed,
        }
        self._loop = asyncio.get_running_loop()
        self._topics: dict[bytes, Topic] = {}
        self._missed: set[bytes] = set()
        """The topics that are part of a gap: they are to be heard, and are not."""
        self._asked: list[bytes] = []
        """What is to be subscribed to at the end of this turn of the loop."""
        self._idle: dict[bytes, float] = {}
        """Which topics nobody may want, and when to look again; the next comes first."""
        self._timer: asyncio.TimerHandle | None = None
        self._link: Link | None = None
        """The last that there was."""
        self._up_since = 0.0
        self.last_sent = math.inf
        """When the last message that came by the link was sent, by the clock of its sender. A loop
        that stood still reads it much later."""
        self._gap: tuple[float, str] | None = None
        """Until when all has come of these topics, and why no longer; None without a gap."""

    def __len__(self) -> int:
        """The number of topics."""
        return len(self._topics)

    @property
    def is_down(self) -> bool:
        """Whether nothing is heard, and it is known that this will take a while."""
        return self.connector.is_down

    def state_of(self, name: bytes) -> Hearing | None:
        """Return how far a topic is; None where there is none."""
        topic = self._topics.get(name)
        return None if topic is None else topic.state

    async def follow(self, names: Iterable[bytes]) -> None:
        """Pin topics, and return when all of them are heard.

        Where it is known that there is no link, return at once: whatever is missed until there is
        one will be a gap. Raises `RelayUnavailable` when the server does not answer, and then
        nothing is pinned.
        """
        topics = [self._pin(name) for name in names]
        try:
            waits = {topic.heard for topic in topics if topic.heard is not None}
            if waits and not self.is_down:
                await asyncio.wait(waits, timeout=TIMEOUT)
            late = [topic for topic in topics if topic.heard is not None]
            if any(topic.hearer.connector.link is not None for topic in late):
                raise RelayUnavailable("the server does not say that the group is heard")
            for topic in late:
                topic.hearer._miss([topic.name], time.time(), "there was no link")
        except BaseException:
            for topic in topics:
                topic.hearer.unfollow([topic.name])
            raise

    def pin_for_ever(self, name: bytes) -> None:
        """Pin a topic, and do not wait until it is heard."""
        self._pin(name)

    def hear(self, name: bytes) -> None:
        """Begin to hear a topic for as long as it is wanted, and do not wait until it is heard."""
        self._pin(name)
        self.unfollow([name])

    def unfollow(self, names: Iterable[bytes]) -> None:
        """Take back a pin of each topic."""
        for name in names:
            topic = self._topics.get(name)
            if topic is not None:
                topic.pins -= 1
                self.look_at(name)

    def look_at(self, name: bytes) -> None:
        """Let go of a topic, a while later, if nobody wants it now and then."""
        topic = self._topics.get(name)
        if topic is None or self._keeps(topic):
            return
        self._idle.setdefault(name, time.monotonic() + LINGER)
        if self._timer is None:
            self._timer = self._loop.call_later(LINGER, self._look_at_idle)

    def move_out(self, hearer_of: Callable[[bytes], Subscriber], since: float) -> None:
        """Give each topic to whom it belongs by now. What was heard here was so until `since`."""
        for topic in list(self._topics.values()):
            other = hearer_of(topic.name)
            if other is self:
                continue
            gap = (since, MOVED) if topic.state is Hearing.HEARD else None
            if topic.name in self._missed:
                gap = self._gap
                self._missed.discard(topic.name)
            del self._topics[topic.name]
            self._idle.pop(topic.name, None)
            if self._keeps(topic):
                other._move_in(topic, gap)
        if not self._missed:
            self._gap = None

    def ask_again(self) -> None:
        """Ask for all topics that are not heard: the server may have them by now."""
        for topic in self._topics.values():
            if topic.state is Hearing.WANTED:
                self._ask_for(topic)

    def go_deaf(self) -> None:
        """Hear nothing any more, as of now."""
        if self.connector.link is not None:
            self.connector.link.on_push = _ignore
        self._on_lost()

    def start(self) -> None:
        """Begin to hear. Idempotent."""
        self.connector.start()

    async def stop(self) -> None:
        """End the link; who waits for a topic is told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.connector.stop()
        for topic in self._topics.values():
            if topic.heard is not None and not topic.heard.done():
                topic.heard.set_result(None)
        self._topics.clear()
        self._missed.clear()
        self._idle.clear()

    # Inside

    def _move_in(self, topic: Topic, gap: tuple[float, str] | None) -> None:
        topic.hearer = self
        self._topics[topic.name] = topic
        self._ask_for(topic)
        if gap is not None:
            self._miss([topic.name], *gap)
        self.look_at(topic.name)

    def _pin(self, name: bytes) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self)
            self._ask_for(topic)
        elif topic.state is Hearing.ENDING:
            self._ask_for(topic)
        topic.pins += 1
        return topic

    def _ask_for(self, topic: Topic) -> None:
        self._unhear(topic)
        if not self._asked:
            self._loop.call_soon(self._ask)
        self._asked.append(topic.name)

    def _ask(self) -> None:
        asked, self._asked = self._asked, []
        if self.connector.link is not None:
            self._tell(self._verbs.subscribe, [name for name in asked if name in self._topics])

    def _tell(self, verb: str, names: list[bytes]) -> None:
        link = self.connector.link
        if link is not None and names:
            link.write(b"".join([command(verb, *batch) for batch in self._batches(names)]))

    def _batches(self, names: list[bytes]) -> Iterator[list[bytes]]:
        for some in self._verbs.alike(names):
            for start in range(0, len(some), BATCH):
                yield some[start : start + BATCH]

    def _keeps(self, topic: Topic) -> bool:
        return topic.pins > 0 or self._is_wanted(topic.name)

    def _look_at_idle(self) -> None:
        now, ended = time.monotonic(), list[bytes]()
        for name, due in list(itertools.islice(self._idle.items(), BATCH)):  # The rest: next turn.
            if due > now:
                break
            del self._idle[name]
            topic = self._topics.get(name)
            if topic is None or self._keeps(topic):
                continue
            if topic.state is Hearing.HEARD:
                topic.state = Hearing.ENDING
                ended.append(name)
            elif topic.state is Hearing.WANTED:
                self._idle[name] = now + LINGER  # It is on its way.
        self._tell(self._verbs.unsubscribe, ended)
        wait = next(iter(self._idle.values())) - now if self._idle else 0
        self._timer = self._loop.call_later(wait, self._look_at_idle) if self._idle else None

    # What the link says

    def _go_up(self, link: Link) -> None:
        self._link = link
        self._up_since, self.last_sent = time.time(), math.inf
        link.on_push = self._take
        self._asked.clear()
        self._return(link, iter(list(self._topics.values())))

    def _return(self, link: Link, topics: Iterator[Topic]) -> None:
        """Ask for topics by a new link, some in each turn of the loop, if they are wanted still."""
        if link is not self.connector.link:
            return
        some = list(itertools.islice(topics, BATCH))
        mine = [topic for topic in some if self._topics.get(topic.name) is topic]
        wanted = []
        for topic in mine:
            if self._keeps(topic):
                wanted.append(topic.name)
            else:
                del self._topics[topic.name]
                self._missed.discard(topic.name)
        self._tell(self._verbs.subscribe, wanted)
        if some:
            self._loop.call_soon(self._return, link, topics)
        else:
            self._come_back()

    def _go_down(self) -> None:
        for topic in self._topics.values():
            self._unhear(topic)
        if self._link is not None and self._topics:
            last_sent = max(self.last_sent, self._up_since)  # Whatever its sender's clock says.
            since = min(time.time() - self._link.silence, last_sent)
            self._miss(self._topics, since, "the link was lost")
        self._on_lost()

    def _unhear(self, topic: Topic) -> None:
        topic.state = Hearing.WANTED
        if topic.heard is None:
            topic.heard = self._loop.create_future()

    def _miss(self, names: Iterable[bytes], since: float, why: str) -> None:
        """Have topics be part of a gap, which goes back to `since`."""
        self._missed.update(names)
        if self._gap is None or since < self._gap[0]:
            self._gap = (since, why)

    def _come_back(self) -> None:
        """Report the end of a gap, when there was one and all is heard again."""
        if not self._missed and self._gap is not None:
            gap, self._gap = self._gap, None
            self._on_return(*gap)

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, list) and len(reply) == 3 and (take := self._on_reply.get(reply[0])):
            take(reply[1], reply[2])
        elif isinstance(reply, Exception) and str(reply).startswith("MOVED "):
            self.on_moved()
        elif isinstance(reply, Exception) and self.connector.link is not None:
            self.connector.refuse(f"the server refuses to be listened to: {reply}")

    def _message(self, name: bytes, data: bytes) -> None:
        self._on_message(name, data)

    def _subscribed(self, name: bytes, number: int) -> None:
        topic = self._topics.get(name)
        if topic is None or topic.state is not Hearing.WANTED:
            return
        topic.state = Hearing.HEARD
        self.connector.prove()
        heard, topic.heard = topic.heard, None
        if heard is not None and not heard.done():
            heard.set_result(None)
        if self._missed:
            self._missed.discard(name)
            self._come_back()

    def _unsubscribed(self, name: bytes, number: int) -> None:
        topic = self._topics.get(name)
        if topic is None:
            return
        if topic.state is Hearing.ENDING:
            del self._topics[name]
        elif topic.state is Hearing.HEARD:  # Nobody has asked for that.
            self._unhear(topic)
            self._miss([name], self.on_moved(), MOVED)


def _ignore(reply: Reply) -> None:
    pass

"""What a gateway class says, looked at once, when the class is made.

Whatever would be ignored in silence, or fail with the first client, raises `TypeError` here.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction
from channels.consumer import SyncConsumer

from arcly_channels.conf.settings import is_under_development
from arcly_channels.conf.spelling import meant
from arcly_channels.gateway.outgoing import ATTRIBUTE, CheckedEvents, collect_sends
from arcly_channels.gateway.subscriptions import Subscription, collect, mark_of
from arcly_channels.logs import Repeats
from arcly_channels.rooms import checked_namespace
from arcly_channels.session.guard import Policy
from arcly_channels.wire.events import Encode, encode_event

if TYPE_CHECKING:
    from arcly_channels.gateway.payloads import Payload

ATTRIBUTES = (
    "require_claims",
    "require_tenant",
    "required_roles",
    "required_perms",
    "room_namespace",
    ATTRIBUTE,
)
"""What is said in the class and not in `as_asgi()`."""

HOOKS: dict[str, tuple[str, ...]] = {
    "authorize": (),
    "may_join": ("room",),
    "on_connect": (),
    "on_refresh": (),
    "on_gap": ("gap",),
    "on_disconnect": ("code",),
}
"""The coroutines that a gateway overrides, and what they are given."""

OF_INSTANCES = frozenset({"scope", "channel_layer", "channel_name", "groups"})
"""What every instance has beside the attributes of its class."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """The policy of a gateway class, its subscriptions by event, and what it logs too often."""

    name: str
    policy: Policy
    subscriptions: dict[str, Subscription]
    sends: dict[str, Payload]
    """What it says that it sends, by event; where it says nothing, it may send anything."""
    reserved: frozenset[str]
    """The names that no Channels message may call: not meant for that, or guarded."""
    takes_events: bool
    """Whether its frames are events, and not what another consumer makes of them."""
    failures: Repeats = dataclasses.field(default_factory=Repeats)

    def encoder(self) -> Encode:
        """Return what encodes the events of a client: in development, only what `sends` has."""
        if self.sends and is_under_development():
            return CheckedEvents(self.name, self.sends)
        return encode_event


def declare(gateway: Any) -> Declaration:
    """Return what a gateway class says; raise `TypeError` for what cannot be meant."""
    subscriptions = collect(gateway)
    _check_bases(gateway)
    _check_spelling(gateway)
    _check_receive(gateway, subscriptions)
    for hook, parameters in HOOKS.items():
        if hasattr(gateway, hook):
            _check_hook(gateway, hook, parameters)
    for subscription in subscriptions.values():
        _check_name(gateway, subscription)
    _check_private(gateway)
    if gateway.room_namespace is not None:
        checked_namespace(gateway.room_namespace)
    handlers = {each.method for each in subscriptions.values()}
    own = {name for each in gateway.__mro__ if _is_framework(each) for name in vars(each)}
    takes_events = any(map(_is_ours, _definers(gateway, "receive")[:1]))
    reserved = OF_INSTANCES | own | handlers
    return Declaration(
        gateway.__qualname__,
        Policy.of(gateway),
        subscriptions,
        collect_sends(gateway),
        reserved,
        takes_events,
    )


def check_answer(gateway: type, hook: str, answer: object, refusal: type[Exception]) -> None:
    """Refuse what a hook returned that says no by raising: False would let somebody in."""
    if answer is not None:
        raise TypeError(
            f"{gateway.__qualname__}.{hook} returned {answer!r}: it says no by raising "
            f"{refusal.__name__}, and yes by returning nothing"
        )


def _check_bases(gateway: type) -> None:
    """Refuse a mixin whose attributes or hooks are hidden by ours, and a consumer that is sync."""
    if issubclass(gateway, SyncConsumer):
        raise TypeError(
            f"{gateway.__qualname__}: GatewayConsumer is async, and a synchronous consumer is not: "
            "take its async counterpart, or leave it as it is, without an outbox"
        )
    base = next(each for each in gateway.__mro__ if _is_ours(each)).__qualname__
    for name in (*ATTRIBUTES, *HOOKS):
        definers = _definers(gateway, name)
        others = [each for each in definers[1:] if _is_framework(definers[0])]
        if others:
            raise TypeError(
                f"{gateway.__qualname__}: {others[0].__qualname__}.{name} would be ignored, as "
                f"{base} comes before it: put {others[0].__qualname__} first in the bases"
            )


def _check_spelling(gateway: type) -> None:
    """Refuse an attribute that is one of ours misspelt: it would let everybody in."""
    for name, value in vars(gateway).items():
        if name in ATTRIBUTES or callable(value):  # Handlers are many, and comparing takes long.
            continue
        # `send` is a method of Channels, which it would replace, and too short to be near.
        intended = ATTRIBUTE if name == "send" else meant(name, ATTRIBUTES, cutoff=0.9)
        if intended is not None:
            raise TypeError(f"nobody reads {gateway.__qualname__}.{name}: did you mean {intended}?")


def _check_receive(gateway: type, subscriptions: dict[str, Subscription]) -> None:
    """Refuse a class that says twice who takes the frames, as one of both would never run.

    Nor may one have handlers that takes none.
    """
    receivers = _definers(gateway, "receive")
    if not receivers:
        for event in subscriptions:
            raise TypeError(
                f"{gateway.__qualname__}: the handler of {event!r} would never run, because "
                "nothing can be sent to an EventStream"
            )
        return
    receiver, *hidden = receivers
    if _is_ours(receiver):
        for each in (*hidden, *_definers(gateway, "receive_json")):
            if not _is_framework(each):
                raise TypeError(
                    f"{gateway.__qualname__}: {each.__qualname__} takes frames with a method that "
                    "would never run, because GatewayConsumer takes them as events: put "
                    "GatewayConsumer last in the bases, or make handlers with @subscribe"
                )
    elif _is_framework(receiver):
        for subscription in subscriptions.values():
            if not _is_framework(_definers(gateway, subscription.method)[-1]):
                raise TypeError(
                    f"{gateway.__qualname__}: the handler of {subscription.event!r} would never "
                    f"run, because {receiver.__qualname__} takes the frames: put GatewayConsumer "
                    "first in the bases"
                )


def _check_hook(gateway: type, name: str, parameters: tuple[str, ...]) -> None:
    hook = getattr(gateway, name)
    if not iscoroutinefunction(inspect.unwrap(hook)):
        raise TypeError(f"{gateway.__qualname__}.{name} must be an async def, not {hook!r}")
    try:
        inspect.signature(hook).bind(None, *parameters)
    except TypeError:
        wanted = ", ".join(("self", *parameters))
        raise TypeError(
            f"{gateway.__qualname__}.{name} must take ({wanted}): a method of another use needs "
            "another name"
        ) from None


def _check_name(gateway: type, subscription: Subscription) -> None:
    """Refuse a handler with the name of something that every gateway is made of."""
    name = subscription.method
    of_framework = (vars(each)[name] for each in _definers(gateway, name) if _is_framework(each))
    if name in OF_INSTANCES or any(mark_of(attribute) is None for attribute in of_framework):
        raise TypeError(
            f"{gateway.__qualname__}: the handler of {subscription.event!r} cannot be named "
            f"{name}, which is a part of every gateway: name it handle_{name}, say"
        )


def _check_private(gateway: type) -> None:
    """Refuse a class with a private name of ours, whose meaning it cannot know."""
    ours = {name for each in gateway.__mro__ if _is_ours(each) for name in vars(each)}
    for each in gateway.__mro__:
        for name in () if _is_framework(each) else ours.intersection(vars(each)):
            if name.startswith("_") and not name.startswith(("__", "_gateway_")):
                raise TypeError(
                    f"{each.__qualname__}.{name} would replace a private part of GatewayConsumer: "
                    "give it another name"
                )


def _definers(gateway: type, name: str) -> list[type]:
    """Return the classes of the MRO that define `name`."""
    return [each for each in gateway.__mro__ if name in vars(each)]


def _is_framework(cls: type) -> bool:
    return cls is object or cls.__module__.startswith("channels.") or _is_ours(cls)


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith("arcly_channels.")

"""What a gateway says about one client: to the log, and to whoever watches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import (
    EventRefused,
    InvalidRoom,
    Refused,
    RelayError,
    RelayOutcomeUnknown,
)
from arcly_channels.fanout.rows import About
from arcly_channels.fanout.tally import OTHER
from arcly_channels.gateway.declaration import Declaration
from arcly_channels.identity.address import origin_of
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.layers.message import Message
from arcly_channels.logs import noted
from arcly_channels.reasons import Limit
from arcly_channels.rooms import TenantLike
from arcly_channels.session.session import Session
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Frame, Ref

logger = logging.getLogger(__name__)

ENDLESS = "goes on though it was cancelled: it is left alone"

FAILED = "arcly_channels.failed"
"""The key in a scope's `extensions` of what is called with each exception of a handler: tests want
to see what a client is not told."""


class Reporting:
    """Knows who its client is, and says what went wrong: of each kind at most once a second."""

    scope: dict[str, Any]
    channel_layer: GatewayLayer

    _gateway_declaration: ClassVar[Declaration]
    _gateway_session: Session

    @property
    def claims(self) -> Mapping[str, Any] | None:
        """What is known about who is behind the connection, or None; middleware puts it there."""
        claims: Mapping[str, Any] | None = self.scope.get("claims")
        return claims

    @property
    def tenant(self) -> TenantLike | None:
        """The tenant this client belongs to, or None; middleware puts it there."""
        tenant: TenantLike | None = self.scope.get("tenant")
        return tenant

    # Inside

    def _about(self) -> About:
        """Return who this is, as far as that is known, for the log and for who watches."""
        sub = (self.claims or {}).get("sub")
        proxies = get_settings().TRUSTED_PROXIES
        address = origin_of(self.scope, proxies) if proxies else None
        address = address or (self.scope.get("client") or ("",))[0]
        return About(
            None if sub is None else str(sub),
            self._tenant_id(),
            self.scope.get("path", ""),
            str(address),
        )

    def _tenant_id(self) -> str | None:
        """Return the tenant's id; whatever else it is that a project has put into the scope."""
        return None if self.tenant is None else str(getattr(self.tenant, "id", self.tenant))

    def _noted(self, **more: Any) -> dict[str, object]:
        """Return what a line of the log about this connection says beside its text."""
        client = self._gateway_session.client
        return noted(None if client is None else client.id, self._tenant_id(), **more)

    def _complain_of_endless(self, message: Message | None) -> None:
        if message is not None:
            self._report(handler_name(message), ENDLESS)

    def _complain(self, message: Message) -> None:
        kind = message.get("type")
        shown = kind[:50] if isinstance(kind, str) else type(kind)
        self._report("", f"has no handler for messages of the type {shown!r}")

    def _report(self, method: str, problem: str, **more: Any) -> None:
        """Count what went wrong, and log it: of each problem of a method at most once a second."""
        self.channel_layer.count_handler_error()
        tell = self.scope.get("extensions", {}).get(FAILED)
        if tell is not None and "exc_info" in more:
            tell(more["exc_info"])
        about = f"{method} {problem}" if method else ""  # What others make up is no key.
        missed = self._gateway_declaration.failures.due(about)
        if missed is not None:
            where = ".".join(filter(None, (type(self).__qualname__, method)))
            extra = self._noted()
            logger.error("%s %s%s", where, problem, _more(missed), extra=extra, **more)

    def _refusal_of(self, method: str, error: BaseException, ref: Ref) -> Frame:
        """Return what a client is told of an error; count and log what is our fault."""
        if isinstance(error, EventRefused):
            more = {"retry_after": error.retry_after, "details": error.details}
            return self._error(error.code, error.message, ref, **more)
        if isinstance(error, InvalidRoom):
            return self._error(protocol.INVALID_ROOM, error, ref)
        if isinstance(error, RelayError):
            self._report(method, f"failed: {error}")
            if isinstance(error, RelayOutcomeUnknown):
                failed = "nobody knows whether this has reached the other processes of the server"
                return self._error(protocol.OUTCOME_UNKNOWN, failed, ref)
            failed = "the server cannot reach its other processes"
            return self._error(protocol.UNAVAILABLE, failed, ref)
        self._report(method, "failed", exc_info=error)
        return self._error(protocol.INTERNAL, "the server could not handle this", ref)

    def _error(self, code: str, message: object, ref: Ref, **more: Any) -> Frame:
        """Return an error frame, and count it."""
        is_ours = isinstance(code, str) and code in protocol.ERRORS
        self._gateway_session.tally.count_error(code if is_ours else OTHER)
        return protocol.error_frame(code, message, ref, **more)

    def _note_late(self, hook: str, problem: str) -> None:
        self.channel_layer.count_limit(Limit.HANDSHAKE)
        self._report(hook, problem)

    def _note_refusal(self, refusal: Refused) -> None:
        """Log that a client was refused: for each code at most once a second."""
        missed = self._gateway_declaration.failures.due(f"refused {refusal.code}")
        if missed is not None:
            name, rest = type(self).__qualname__, _more(missed)
            extra = self._noted(code=refusal.code, reason=refusal.reason)
            logger.info("A client of %s was %s%s", name, refusal, rest, extra=extra)

    def _warn_of_missing_middleware(self) -> None:
        """Say, once a second at most, that nobody can have claims here: all are refused."""
        declaration = self._gateway_declaration
        asks = declaration.policy.require_claims or declaration.policy.access
        if asks and "claims" not in self.scope and declaration.failures.due("claims") is not None:
            logger.warning(
                "%s asks for claims, and no middleware has looked for any: put "
                "IdentityMiddlewareStack around its routes in asgi.py",
                type(self).__qualname__,
            )


def _more(missed: int) -> str:
    return f" ({missed} more like it were not logged)" if missed else ""


def handler_name(message: Message) -> str:
    """Return the name of the method for a message; empty where its type is no string."""
    kind = message.get("type")
    return _method_name(kind) if isinstance(kind, str) else ""


@lru_cache(maxsize=64)  # What is the same object is found in the class without a search.
def _method_name(kind: str) -> str:
    return kind.replace(".", "_")

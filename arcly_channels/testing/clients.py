"""The clients of one test: whatever happens in it, all are disconnected at its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from arcly_channels.asgi import Application
from arcly_channels.testing.communicator import GatewayCommunicator, end

P = ParamSpec("P")
T = TypeVar("T")


class Clients:
    """Makes communicators, and disconnects at the end of a test those that still are connected."""

    def __init__(self) -> None:
        self._made: list[GatewayCommunicator] = []

    def __call__(
        self,
        application: Application,
        path: str = "/",
        headers: list[tuple[bytes, bytes]] | None = None,
        *,
        raise_errors: bool = True,
        answers_pings: bool = True,
    ) -> GatewayCommunicator:
        """Make a communicator, which is to be connected: see `GatewayCommunicator`."""
        client = GatewayCommunicator(
            application,
            path,
            headers,
            raise_errors=raise_errors,
            answers_pings=answers_pings,
        )
        self._made.append(client)
        return client

    def closing(self, test: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Return the same test, with the clients disconnected at its end, in its event loop.

        It fails with what failed in a gateway, unless it did by itself.
        """

        @wraps(test)
        async def closed(*args: P.args, **more: P.kwargs) -> T:
            __tracebackhide__ = True
            try:
                result = await test(*args, **more)
            except BaseException:
                await self._close(is_failing=True)
                raise
            await self._close(is_failing=False)
            return result

        return closed

    async def _close(self, *, is_failing: bool) -> None:
        """Disconnect the newest client first; the failure of none keeps another connected."""
        async with AsyncExitStack() as stack:
            for client in self._made:
                stack.push_async_callback(partial(end, client, is_failing=is_failing))
            self._made.clear()

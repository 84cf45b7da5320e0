"""A server for tests with a browser: Daphne, in a thread of the tests' own process.

So what a test publishes reaches the browser, settings that it overrides count, and a database in
memory is the same one: nothing is forked, pickled or started anew. Twisted's reactor cannot be
started twice in a process, so the first live server starts it, and all of them use its one port.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar
from unittest import mock

from channels.routing import get_default_application
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.db import connections
from django.test import TransactionTestCase

from arcly_channels.asgi import Application
from arcly_channels.testing.isolation import isolated_layers
from arcly_channels.testing.waiting import DEADLINE

HOST = "localhost"

GRACE = 1.0
"""Seconds that requests get to end by themselves when their server does."""


class LiveServer:
    """Serves an application of ASGI, or the project's, inside a `with`; one at a time.

    With the static files of the apps, whatever DEBUG is; on `localhost`, which is an allowed host.
    Channel layers are those of the block alone, as `isolated_layers` makes them. At the end of the
    block connections are closed, gateways with 1012.
    """

    def __init__(self, application: Application | None = None) -> None:
        self._application = application
        self._stack = ExitStack()
        self.url = self.ws_url = ""

    def __enter__(self) -> LiveServer:
        with ExitStack() as stack:
            stack.enter_context(isolated_layers())
            stack.enter_context(_allowed_host())
            stack.enter_context(_shared_memory())
            application = self._application or get_default_application()
            if apps.is_installed("django.contrib.staticfiles"):
                application = ASGIStaticFilesHandler(application)  # type: ignore[arg-type]  # Any will do.
            daphne = _daphne()
            stack.enter_context(daphne.serving(application))
            self.url, self.ws_url = (f"{each}://{HOST}:{daphne.port}" for each in ("http", "ws"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class LiveGatewayTestCase(TransactionTestCase):
    """A test case with a live server, as Channels' and Django's own, and with their attributes."""

    live_server: ClassVar[LiveServer]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.live_server = LiveServer()
        cls.live_server.__enter__()
        cls.addClassCleanup(cls.live_server.__exit__, None, None, None)

    @property
    def live_server_url(self) -> str:
        return self.live_server.url

    @property
    def live_server_ws_url(self) -> str:
        return self.live_server.ws_url


class _Daphne:
    """Daphne on a free port, for as long as the process lives; it serves what it is told to."""

    def __init__(self) -> None:
        # Only where a live server is asked for: this installs Twisted's reactor.
        from daphne.server import Server

        self._application: Application | None = None
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ready = threading.Event()
        self._server = Server(
            application=self._serve,
            endpoints=["tcp:port=0:interface=127.0.0.1"],
            signal_handlers=False,
            ready_callable=self._is_ready.set,
        )
        thread = threading.Thread(target=self._server.run, name="live server", daemon=True)
        thread.start()
        self._is_ready.wait(DEADLINE)
        if not self._server.listening_addresses:
            raise RuntimeError("Daphne does not listen; its reason is in the log")
        self.port: int = self._server.listening_addresses[0][1]
        atexit.register(self._stop, thread)

    @contextmanager
    def serving(self, application: Application) -> Iterator[None]:
        """Serve an application inside the block; at its end, end all that is going on."""
        if self._application is not None:
            raise RuntimeError("another live server is in use: there is one at a time")
        self._application = application
        try:
            yield
        finally:
            self._application = None
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(2 * DEADLINE)

    async def _serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        if self._application is None:
            raise ConnectionRefusedError("no live server is in use")
        task = asyncio.current_task()
        if task is not None:
            self._tasks[task] = scope["type"]
            task.add_done_callback(self._tasks.pop)
        await self._application(scope, receive, send)

    async def _end(self) -> None:
        """Cancel all sockets, and requests that do not end: most are about to close their files."""
        for kinds, patience in ((("websocket",), GRACE), (("websocket", "http"), DEADLINE)):
            for task, kind in list(self._tasks.items()):
                if kind in kinds:
                    task.cancel()
            if self._tasks:
                await asyncio.wait(list(self._tasks), timeout=patience)

    def _stop(self, thread: threading.Thread) -> None:
        from twisted.internet import reactor

        reactor.callFromThread(self._server.stop)
        thread.join(DEADLINE)


@lru_cache(maxsize=1)
def _daphne() -> _Daphne:
    return _Daphne()


@contextmanager
def _allowed_host() -> Iterator[None]:
    """Allow the server's host. In the list itself: origin validators have it by now."""
    hosts = settings.ALLOWED_HOSTS
    hosts.append(HOST)
    try:
        yield
    finally:
        hosts.remove(HOST)


@contextmanager
def _shared_memory() -> Iterator[None]:
    """Have all threads use this thread's connections to databases that are in memory."""
    every: Any = connections.all()
    shared = {
        each.alias: each for each in every if each.vendor == "sqlite" and each.is_in_memory_db()
    }
    create = connections.create_connection

    def connection_of(alias: str) -> Any:
        return shared.get(alias) or create(alias)

    for each in shared.values():
        each.inc_thread_sharing()  # For good: a thread that outlives the block keeps it.
    with mock.patch.object(connections, "create_connection", connection_of):
        yield

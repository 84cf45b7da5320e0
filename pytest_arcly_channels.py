"""The pytest plugin of arcly_channels: fixtures that begin with `gateway_`.

It stands outside of the package, which is imported when a fixture is asked for and not before: so
pytest starts as fast as without it, and in projects that have no Django.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from arcly_channels.layers import LocalChannelLayer
    from arcly_channels.testing import Clients, Clock, LiveServer

pytest.register_assert_rewrite("arcly_channels.testing.contract")


@pytest.fixture
def gateway_layer() -> Iterator[LocalChannelLayer]:
    """The default channel layer of this test; see `isolated_layers`."""
    from arcly_channels.testing import isolated_layers

    with isolated_layers() as layer:
        yield layer


@pytest.fixture
def gateway_clock() -> Iterator[Clock]:
    """Makes time pass: `gateway_clock.advance(seconds)`."""
    from arcly_channels.testing import Clock

    with Clock() as clock:
        yield clock


@pytest.fixture
def gateway_client(gateway_layer: LocalChannelLayer) -> Clients:
    """Makes communicators, as `GatewayCommunicator` does, which are disconnected at the end."""
    from arcly_channels.testing import Clients

    return Clients()


@pytest.fixture
def live_gateway_server() -> Iterator[LiveServer]:
    """The project on a real server, in this process; for tests with a browser."""
    from arcly_channels.testing import LiveServer

    with LiveServer() as server:
        yield server


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have pytest-django commit what tests with a live server write: it has threads of its own."""
    has_django = item.config.pluginmanager.has_plugin("django")
    if has_django and "live_gateway_server" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Have the clients of an async test disconnected inside it, whatever runs its event loop."""
    clients = getattr(item, "funcargs", {}).get("gateway_client")
    closing = getattr(clients, "closing", None)  # Else a fixture of theirs has the name.
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj) and closing:
        item.obj = closing(item.obj)

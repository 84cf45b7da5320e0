"""The chat of the demo in real browsers, each of which is on another server of two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import Visit, wait_for_message, write
from tests.redis_servers import RedisServer
from tests.servers import Server, demo_cluster

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture(scope="module")
def server(redis: RedisServer) -> Iterator[Server]:
    with demo_cluster(redis=redis.url) as server:
        yield server


def test_browsers_on_two_servers_chat(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    assert server_of(ada) != server_of(bob)
    write(ada, "The kettle is on")
    wait_for_message(bob, "The kettle is on")
    write(bob, "On my way")
    wait_for_message(ada, "On my way")


def test_pages_say_that_messages_may_be_missing_and_go_on(visit: Visit, redis: RedisServer) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    redis.kill()
    redis.start()
    for page in (ada, bob):
        page.get_by_role("log").get_by_text("may be missing").wait_for()
    write(ada, "Still there?")
    wait_for_message(bob, "Still there?")


def server_of(page: Page) -> str:
    """Return what is before the dash in the connection's id, which the page shows at its status."""
    title = page.locator("[role=status][title]").get_attribute("title")
    assert title is not None
    node, dash, _ = title.removeprefix("Connection ").partition("-")
    assert node
    assert dash
    return node

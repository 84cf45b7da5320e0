"""Pages whose connection is lost: what they hear then, and when they are back."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.gateway_pages import REFUSED, Pages, heard, page_server, say, until
from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with page_server(tmp_path_factory.mktemp("losses")) as server:
        yield server


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_pages_are_back_in_their_room_after_a_restart_of_the_server(
    pages: Pages, server: Server, how: signal.Signals
) -> None:
    ada, bob = pages.joined("ada"), pages.joined("bob")
    say(ada, "before")
    for page in (ada, bob):
        heard(page, "before")
    pages.expected = REFUSED
    server.stop(how)
    for page in (ada, bob):
        until(page, "states.some((state) => state.startsWith('waiting'))")
    server.start()
    for page in (ada, bob):
        until(page, "joins.length === 2")
        assert page.evaluate("gaps") == ["tea"]
    say(ada, "after")
    heard(bob, "after")
    say(bob, "and more")
    for page in (ada, bob):
        assert heard(page, "and more") == ["before", "after", "and more"]


def test_what_is_said_offline_is_delivered_once_when_the_network_is_back(pages: Pages) -> None:
    ada, bob = pages.joined("ada", has_clock=True), pages.joined("bob")
    cut_off(pages, ada)
    assert say(ada, "from the train") is False
    ada.context.set_offline(False)
    heard(bob, "from the train")
    say(bob, "welcome back")
    for page in (ada, bob):
        assert heard(page, "welcome back") == ["from the train", "welcome back"]
    assert ada.evaluate("[gateway.state, ...errors]") == ["open"]


def test_what_has_waited_for_ten_seconds_is_told_as_expired_and_never_sent(pages: Pages) -> None:
    ada, bob = pages.joined("ada", has_clock=True), pages.joined("bob")
    cut_off(pages, ada)
    assert say(ada, "too late") is False
    ada.clock.run_for(9_000)
    assert ada.evaluate("errors") == []
    ada.clock.run_for(1_000)
    assert ada.evaluate("errors") == ["expired"]
    ada.context.set_offline(False)
    ada.clock.resume()
    until(ada, "joins.length === 2")
    say(ada, "in time")
    assert heard(bob, "in time") == ["in time"]


def test_volatile_event_is_dropped_offline(pages: Pages) -> None:
    ada, bob = pages.joined("ada", has_clock=True), pages.joined("bob")
    cut_off(pages, ada)
    typing = "gateway.emit('say', { room: 'tea', text: 'typing' }, { volatile: true })"
    assert ada.evaluate(typing) is False
    ada.context.set_offline(False)
    until(ada, "joins.length === 2")
    say(ada, "typed")
    assert heard(bob, "typed") == ["typed"]


def cut_off(pages: Pages, page: Page) -> None:
    """Take a page's network away, and have it find out. The time of the page stands still then."""
    pages.expected = REFUSED
    page.evaluate("addEventListener('offline', () => { globalThis.isOffline = true; })")
    page.clock.pause_at(time.time() + 5)
    page.context.set_offline(True)
    until(page, "globalThis.isOffline")
    page.clock.run_for(6_000)  # It asks the server for a sign of life, which has so long for it.
    until(page, "gateway.state === 'waiting'")

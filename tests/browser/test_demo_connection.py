"""The chat of the demo when the connection is away; and who is told that somebody types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import (
    Visit,
    in_module,
    join,
    wait_for_connection,
    wait_for_message,
    write,
)
from tests.servers import Server, demo_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXPIRY = 30_000
"""Milliseconds within which a message that waits for ten seconds is given up."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The server, which a test may stop; the next one finds it running."""
    yield running
    running.stop()
    running.start()


def test_page_comes_back_after_a_restart_of_the_server(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    ada.get_by_role("textbox", name="Message to").fill("Half a sentence")
    server.stop()
    ada.get_by_role("status").get_by_text("Connection lost").wait_for()
    server.start()
    for page in (ada, bob):
        wait_for_connection(page)
        page.get_by_role("log").get_by_text("You were away").wait_for()
    ada.get_by_role("button", name="Send").click()
    wait_for_message(bob, "Half a sentence")


def test_banner_counts_down_to_the_next_attempt(visit: Visit, server: Server) -> None:
    ada = visit("Ada", "tea")
    banner = ada.locator(".banner")
    assert not banner.is_visible()
    server.stop()
    banner.get_by_text(re.compile(r"Connection lost. Next attempt in \d+ s.")).wait_for()
    server.start()
    banner.wait_for(state="hidden")
    wait_for_connection(ada)


def test_try_now_does_not_wait(visit: Visit, server: Server) -> None:
    ada = visit("Ada", "tea")
    server.stop()
    # An attempt that fails is followed by a longer wait: by now one of more than 8 seconds.
    ada.locator(".banner").get_by_text(re.compile(r"in (9|1\d) s")).wait_for(timeout=60_000)
    server.start()
    attempts = "module.gateway.on('gateway:state', ({ state }) => window.states.push(state));"
    in_module(ada, "connection", f"window.states = []; {attempts}")
    ada.get_by_role("button", name="Try now").click()
    assert ada.evaluate("window.states[0]") == "connecting"
    wait_for_connection(ada)
    assert ada.evaluate("window.states") == ["connecting", "open"]


def test_message_written_while_away_is_sent_or_shown_as_not_sent(
    visit: Visit, server: Server
) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    server.stop()
    ada.get_by_role("status").get_by_text("Connection lost").wait_for()
    write(ada, "Are you there?")
    unsent = ada.locator(".unsent", has_text="Are you there?")
    unsent.get_by_text("Waits for the connection").wait_for()
    unsent.get_by_text("Not sent: the connection was away for too long").wait_for(timeout=EXPIRY)
    server.start()
    wait_for_connection(ada)
    wait_for_connection(bob)
    assert bob.get_by_text("Are you there?").count() == 0
    unsent.get_by_role("button", name="Send again").click()
    wait_for_message(bob, "Are you there?")
    unsent.wait_for(state="detached")


def test_message_that_the_queue_does_not_take_is_shown_as_not_sent(
    visit: Visit, server: Server
) -> None:
    ada = visit("Ada", "tea")
    server.stop()
    ada.get_by_role("status").get_by_text("Connection lost").wait_for()
    fill = "for (let n = 0; n < 100; n++) module.gateway.emit('nothing');"
    in_module(ada, "connection", fill)
    write(ada, "One more")
    ada.get_by_text("Not sent: too many messages wait already.").wait_for()
    ada.get_by_role("button", name="Discard").click()
    assert ada.locator(".unsent").count() == 0


def test_others_see_for_a_while_that_somebody_types(visit: Visit, server: Server) -> None:
    ada, bob, eve = visit("Ada", "tea"), visit("Bob", "tea"), visit("Eve", "garden")
    type_something(ada)
    bob.get_by_text("Ada is typing…").wait_for()
    assert ada.get_by_text("is typing").count() == 0
    assert eve.get_by_text("is typing").count() == 0
    bob.get_by_text("Ada is typing…").wait_for(state="detached")


def test_who_has_written_types_no_more(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    type_something(ada)
    bob.get_by_text("Ada is typing…").wait_for()
    ada.keyboard.press("Enter")
    wait_for_message(bob, "Hm")
    assert bob.get_by_text("is typing").count() == 0


def test_typing_is_told_once_in_a_while(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    count = "module.gateway.on('message.typing', () => { window.told += 1; });"
    in_module(bob, "connection", f"window.told = 0; {count}")
    for _ in range(20):
        type_something(ada)
    ada.keyboard.press("Enter")
    wait_for_message(bob, "Hm" * 20)
    seconds = ada.evaluate("performance.now()") / 1000  # Since the page was opened.
    assert 1 <= bob.evaluate("window.told") <= 1 + seconds / 2


def test_second_tab_does_not_say_that_one_types_oneself(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    second = ada.context.new_page()
    second.goto(f"{server.url}/#tea")
    wait_for_connection(second)
    type_something(ada)
    bob.get_by_text("Ada is typing…").wait_for()
    write(bob, "Yes?")
    wait_for_message(second, "Yes?")  # It was sent after the other.
    assert second.get_by_text("is typing").count() == 0


def test_typing_is_of_its_room(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    join(bob, "garden")
    type_something(ada)
    bob.get_by_role("link", name="tea").click()
    bob.get_by_text("Ada is typing…").wait_for()
    bob.get_by_role("link", name="garden").click()
    assert bob.get_by_text("is typing").count() == 0


def type_something(page: Page) -> None:
    page.get_by_role("textbox", name="Message to").press_sequentially("Hm")

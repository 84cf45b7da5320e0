"""The chat of the demo in real browsers, served by Daphne."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import Server, demo_server, skip_for_want_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEADLINE = 15_000
"""Milliseconds that a page may take to show something."""

Visit = Callable[..., "Page"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_for_want_of("playwright")
    chromium = os.environ.get("ARCLY_CHROMIUM") or shutil.which("chromium")
    if chromium is None or not Path(chromium).exists():
        skip_for_want_of("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Opens a browser of its own for a person, who picks a name and a room, or logs in."""
    contexts = []

    def enter(name: str, room: str, *, password: str = "", host: str = "127.0.0.1") -> Page:
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(DEADLINE)
        page.goto(f"http://{host}:{server.port}")
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_label("Room").fill(room)
        page.get_by_role("button", name="Enter").click()
        page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
        return page

    yield enter
    for context in contexts:
        context.close()


def write(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message to").fill(text)
    page.get_by_role("button", name="Send").click()


def wait_for_message(page: Page, text: str) -> None:
    page.get_by_role("log").get_by_text(text, exact=True).wait_for()


def test_message_typed_in_one_browser_is_seen_in_the_other(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    write(ada, "The kettle is on")
    wait_for_message(bob, "The kettle is on")
    assert bob.get_by_role("log").get_by_text("Ada", exact=True).is_visible()
    write(bob, "On my way")
    wait_for_message(ada, "On my way")


def test_message_is_not_seen_in_another_room(visit: Visit) -> None:
    ada, eve = visit("Ada", "tea"), visit("Eve", "garden")
    write(ada, "Between us")
    wait_for_message(ada, "Between us")
    ada.get_by_label("Room to join").fill("garden")
    ada.get_by_role("button", name="Join").click()
    write(ada, "To everybody here")
    wait_for_message(eve, "To everybody here")  # It was sent after the other.
    assert eve.get_by_text("Between us").count() == 0


def test_room_that_was_left_is_no_longer_heard(visit: Visit) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    bob.get_by_label("Room to join").fill("garden")
    bob.get_by_role("button", name="Join").click()
    bob.get_by_role("button", name="Leave tea").click()
    write(bob, "Here now")
    wait_for_message(bob, "Here now")  # So the server knows that he left.
    write(ada, "Are you there?")
    wait_for_message(ada, "Are you there?")
    ada.get_by_label("Room to join").fill("garden")
    ada.get_by_role("button", name="Join").click()
    write(ada, "Ah, here")
    wait_for_message(bob, "Ah, here")
    assert bob.get_by_text("Are you there?").count() == 0


def test_names_and_messages_are_text_and_never_html(visit: Visit) -> None:
    name, attack = "<b>Eve</b>", "<img src=x onerror=\"document.title='owned'\">"
    eve, ada = visit(name, "tea"), visit("Ada", "tea")
    write(eve, attack)
    wait_for_message(ada, attack)
    assert ada.get_by_role("log").get_by_text(name, exact=True).is_visible()
    assert ada.locator("img, main b").count() == 0
    assert eve.get_by_text(f"You are {name}").is_visible()


def test_tenants_do_not_hear_each_other(visit: Visit) -> None:
    wile = visit("wile", "tea", password="demo", host="acme.localhost")
    hank = visit("hank", "tea", password="demo", host="globex.localhost")
    guest, stranger = visit("Road Runner", "tea", host="acme.localhost"), visit("Ada", "tea")
    write(wile, "The rocket skates are here")
    wait_for_message(guest, "The rocket skates are here")
    assert guest.get_by_role("log").get_by_text("wile", exact=True).is_visible()
    for page in (hank, stranger):
        write(page, "Only us?")
        wait_for_message(page, "Only us?")  # It was sent after the other.
        assert page.get_by_text("The rocket skates are here").count() == 0


def test_moderator_kicks_a_user_and_suspends_a_tenant(visit: Visit) -> None:
    admin = visit("admin", "tea", password="demo", host="localhost")
    wile = visit("wile", "tea", password="demo", host="acme.localhost")
    hank = visit("hank", "tea", password="demo", host="globex.localhost")
    moderate(admin, "Kick", "wile")
    wile.get_by_role("alert").get_by_text("the user was disconnected").wait_for()
    wile.get_by_role("link", name="Come back").click()
    wile.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
    moderate(admin, "Suspend", "acme")
    wile.get_by_role("alert").get_by_text("the tenant is suspended").wait_for()
    wile.get_by_role("link", name="Come back").click()
    wile.get_by_text("This chat is suspended").wait_for()
    write(hank, "Still here")
    wait_for_message(hank, "Still here")
    moderate(admin, "Resume", "acme")
    wile.reload()
    wile.get_by_role("status").get_by_text("Connected", exact=True).wait_for()


def moderate(admin: Page, action: str, who: str) -> None:
    admin.get_by_label("Tenant or user").fill(who)
    admin.get_by_role("button", name=action, exact=True).click()
    admin.get_by_role("log").get_by_text(f"{action.lower()} {who}: done").wait_for()


def test_page_comes_back_after_a_restart_of_the_server(visit: Visit, server: Server) -> None:
    ada, bob = visit("Ada", "tea"), visit("Bob", "tea")
    ada.get_by_role("textbox", name="Message to").fill("Half a sentence")
    server.stop()
    ada.get_by_role("status").get_by_text("Connection lost").wait_for()
    assert ada.get_by_role("button", name="Send").is_disabled()
    server.start()
    for page in (ada, bob):
        page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
    ada.get_by_role("button", name="Send").click()
    wait_for_message(bob, "Half a sentence")

"""The recipes for pages: what they say is built, served by Daphne, and looked at in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.sites import Open, site
from tests.documents import DOCS, blocks, section
from tests.node import BUNDLE, bundle
from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocket

PAGE = DOCS / "how-to" / "browser-recipes.md"
COMMON = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]

PROBE = """
import { Gateway } from "arcly-channels";
import { StrictMode, useState } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { useGateway, useRoom } from "./gateway.js";

globalThis.gateway = new Gateway("/ws/");
globalThis.seen = [];

function Part() {
  useGateway(gateway);
  useRoom(gateway, "tea", {
    joined: () => seen.push("joined"),
    "message.receive": ({ text }) => seen.push(text),
  });
  return null;
}

function Whole() {
  const [parts, setParts] = useState(1);
  globalThis.show = (number) => flushSync(() => setParts(number));
  return Array.from({ length: parts }, (_, number) => <Part key={number} />);
}

createRoot(document.querySelector("#root")).render(<StrictMode><Whole /></StrictMode>);
"""
"""Parts that keep no messages, so that one which comes twice is there twice."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with site(tmp_path_factory.mktemp("plain"), COMMON + section(PAGE, "A page")) as server:
        yield server


@pytest.fixture(scope="module")
def react(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("react")
    text = COMMON + section(PAGE, "A page") + section(PAGE, "React")
    with site(directory, text) as server:
        (directory / "src" / "probe.jsx").write_text(PROBE)
        for name in ("chat", "probe"):
            source, target = f"src/{name}.jsx", f"mysite/static/{name}.js"
            bundle(directory / source, directory / target)
        yield server


@pytest.fixture(scope="module")
def htmx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    modules = ("htmx.org/dist/htmx.min.js", "htmx.org/dist/ext/hx-upsert.min.js")
    text = COMMON + section(PAGE, "htmx")
    with site(tmp_path_factory.mktemp("htmx"), text, *modules) as server:
        yield server


def test_script_is_bundled_as_the_page_says() -> None:
    (command,) = blocks(section(PAGE, "React"), "console")
    assert " ".join(BUNDLE) in command


def write(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def wait_for(page: Page, text: str) -> None:
    page.get_by_role("log").get_by_text(text).wait_for()


def wait_for_state(page: Page, state: str) -> None:
    page.get_by_role("status").get_by_text(state, exact=True).wait_for()


def tell_two_and_a_third(server: Server, open_page: Open, text: str) -> Page:
    """Have two people see what one of them writes, and a third who comes later; return the one."""
    ada, bob = (open_page(server.url) for _ in range(2))
    for each in (ada, bob):
        wait_for_state(each, "Connected")
    write(ada, text)
    for each in (ada, bob):
        wait_for(each, text)
    wait_for(open_page(server.url), text)
    return ada


def test_two_people_chat_on_the_plain_page(plain: Server, open_page: Open) -> None:
    ada = tell_two_and_a_third(plain, open_page, "The <b>kettle</b> is on")
    assert ada.get_by_label("Message").input_value() == ""


def test_plain_page_says_what_was_not_sent(plain: Server, open_page: Open) -> None:
    ada = open_page(plain.url)
    write(ada, "   ")
    ada.get_by_text("Not sent: Write 1 to 1000 characters.").wait_for()
    ada.evaluate("gateway.close()")
    write(ada, "Hello?")
    ada.get_by_text("Not sent: closed").wait_for()
    assert ada.get_by_label("Message").input_value() == "Hello?"


def test_plain_page_shows_what_it_missed_once_and_in_order(plain: Server, open_page: Open) -> None:
    ada, bob = (open_page(plain.url) for _ in range(2))
    write(ada, "One")
    wait_for(bob, "One")
    bob.evaluate("gateway.close()")
    write(ada, "Two")
    wait_for(ada, "Two")
    bob.evaluate("gateway.connect()")
    wait_for(bob, "Two")
    write(ada, "Three")
    wait_for(bob, "Three")
    shown = [text.partition(": ")[2] for text in bob.get_by_role("listitem").all_inner_texts()]
    assert shown[-3:] == ["One", "Two", "Three"]


def test_plain_page_is_back_after_a_restart(tmp_path: Path, open_page: Open) -> None:
    with site(tmp_path, COMMON + section(PAGE, "A page")) as server:
        ada = open_page(server.url)
        write(ada, "Before")
        wait_for(ada, "Before")
        server.stop()
        wait_for_state(ada, "Offline")
        server.start()
        wait_for_state(ada, "Connected")
        write(ada, "After")
        wait_for(ada, "After")


def test_two_people_chat_on_the_page_of_react(react: Server, open_page: Open) -> None:
    tell_two_and_a_third(react, open_page, "The kettle is on")


def probed(react: Server, open_page: Open) -> tuple[Page, list[WebSocket]]:
    """Open a page of React with the probe in place of the chat; return it and its sockets."""
    page, sockets = open_page("about:blank"), []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.route("**/chat.js", lambda route: route.continue_(url=f"{react.url}/static/probe.js"))
    page.goto(react.url)
    page.wait_for_function("seen.includes('joined')")
    return page, sockets


def test_strict_mode_makes_one_connection_and_doubles_nothing(
    react: Server, open_page: Open
) -> None:
    page, sockets = probed(react, open_page)
    page.evaluate(
        "gateway.request('message.send', {text: 'once'})"
    )  # It is there before the reply.
    assert page.evaluate("seen") == ["joined", "once"]
    assert len(sockets) == 1


def test_parts_in_one_room_each_hear_it_and_leave_it_together(
    react: Server, open_page: Open
) -> None:
    page, sockets = probed(react, open_page)
    page.evaluate("show(2)")
    page.wait_for_function("seen.filter((each) => each === 'joined').length >= 2")
    page.evaluate("seen.length = 0")
    page.evaluate("gateway.request('message.send', {text: 'twice'})")
    assert page.evaluate("seen") == ["twice", "twice"]
    page.evaluate("show(1)")
    page.evaluate("gateway.request('message.send', {text: 'once'})")
    assert page.evaluate("seen") == ["twice", "twice", "once"]
    assert len(sockets) == 1


def test_last_part_that_goes_closes_the_connection(react: Server, open_page: Open) -> None:
    page, sockets = probed(react, open_page)
    page.evaluate("show(0)")
    page.wait_for_function("gateway.state === 'idle'")
    if not sockets[0].is_closed():
        sockets[0].wait_for_event("close")
    page.evaluate("show(1)")
    page.wait_for_function("seen.filter((each) => each === 'joined').length === 2")
    assert len(sockets) == 2


def place(page: Page, what: str) -> None:
    page.get_by_label("Order").fill(what)
    page.get_by_role("button", name="Place").click()


def test_fragment_is_swapped_into_the_pages_of_all(htmx: Server, open_page: Open) -> None:
    ada, bob = (open_page(htmx.url) for _ in range(2))
    for each in (ada, bob):
        each.wait_for_function("gateway.join('orders').isJoined")
    place(ada, "<b>Tea</b> for two")
    for each in (ada, bob):
        wait_for(each, "<b>Tea</b> for two")


def test_orders_that_a_page_has_missed_are_swapped_in_once(htmx: Server, open_page: Open) -> None:
    ada, bob = (open_page(htmx.url) for _ in range(2))
    for each in (ada, bob):
        each.wait_for_function("gateway.join('orders').isJoined")
    bob.evaluate("gateway.close()")
    for what in ("Scones", "Jam"):
        place(ada, what)
        wait_for(ada, what)
    bob.evaluate("gateway.connect()")
    wait_for(bob, "Jam")
    place(ada, "Cream")
    wait_for(bob, "Cream")
    shown = [text.partition(": ")[2] for text in bob.get_by_role("listitem").all_inner_texts()]
    assert shown[-3:] == ["Scones", "Jam", "Cream"]

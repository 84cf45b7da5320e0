"""Pages that have a gateway, the server that they come from, and what neither of them may do."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.browser.tabs import Tab
from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

DEADLINE = 60.0
"""Seconds after which a test gives up; far more than anything here takes."""

COMMANDS = {
    "daphne": ("-m", "daphne", "--port", "{port}"),
    "uvicorn": ("-m", "uvicorn", "--port", "{port}"),
}

REFUSED = re.compile(
    r"WebSocket connection to 'ws://\S+' failed: "
    r"(Error (in connection establishment|during WebSocket handshake): net::ERR_\w+"
    r"|Connection closed before receiving a handshake response)"
)
"""What Chromium says of a server that cannot be reached, which no page can keep it from."""

FROZEN = re.compile(r"WebSocket connection to 'ws://\S+' failed: Page entered Back-Forward Cache\.")
"""What it says of the connection of a tab that is frozen, which hears of that when it is active."""

TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    console.error(`violation of ${violatedDirective}: ${blockedURI}`));
"""


def page_server(directory: Path, kind: str = "daphne", **environment: str) -> Server:
    application = "tests.browser.page_project:application"
    return Server(*COMMANDS[kind], application, directory=directory, environment=environment)


class Shown(Protocol):
    """A page, or a tab."""

    def evaluate(self, expression: str, /) -> Any: ...


def until(page: Shown, fact: str) -> None:
    """Return once an expression holds in a page; fail at the deadline.

    Playwright has a function for this, which a Content-Security-Policy keeps from looking twice.
    """
    deadline = time.monotonic() + DEADLINE
    while not page.evaluate(fact):
        assert time.monotonic() < deadline, (fact, page.evaluate("globalThis.states"))
        time.sleep(0.02)


def say(page: Shown, text: str, room: str = "tea") -> Any:
    """Have somebody say something in a room; return whether it is on its way."""
    data = json.dumps({"room": room, "text": text})
    return page.evaluate(f"gateway.emit('say', {data})")


def heard(page: Shown, last: str) -> list[str]:
    """Return what a page has heard, up to something that was said after it."""
    until(page, f"heard.includes({json.dumps(last)})")
    texts: list[str] = page.evaluate("heard")
    return texts


class Pages:
    """Opens pages of a server, each with a browser of its own, and collects their errors."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.browser = browser
        self.server = server
        self.failures: list[str] = []
        self.expected: re.Pattern[str] | None = None
        """The one error of a console that the test itself provokes."""
        self._tabs: list[Tab] = []

    def open(
        self, name: str = "", *, template: str = "page.html", has_clock: bool = False, **asked: Any
    ) -> Page:
        """Open a page, asked for with such a query; its time may be that of its `clock`."""
        page = self.browser.new_context().new_page()
        page.on("pageerror", lambda error: self.fail(str(error)))
        page.on("console", self._hear)
        page.add_init_script(TELL_VIOLATIONS)
        if has_clock:
            page.clock.install()
        page.goto(self._url(template, name=name, **asked))
        return page

    def joined(self, name: str, room: str = "tea", **asked: Any) -> Page:
        """Open a page, and return once it is in a room."""
        page = self.open(name, room=room, **asked)
        until(page, "joins.length")
        return page

    def tab(self, name: str) -> Tab:
        """Open a tab that can be hidden, and return once it is in a room of that name."""
        tab = Tab(self.browser, self._url("page.html", name=name, room=name), self.fail)
        self._tabs.append(tab)
        until(tab, "globalThis.joins?.length")
        return tab

    def facts(self, name: str) -> dict[str, Any]:
        """Return what the server knows of the page with a name."""
        with urlopen(f"{self.server.url}/facts/{name}", timeout=DEADLINE) as response:
            facts: dict[str, Any] = json.load(response)
        return facts

    def until_server_has(self, name: str, **wanted: Any) -> None:
        deadline = time.monotonic() + DEADLINE
        while not wanted.items() <= (found := self.facts(name)).items():
            assert time.monotonic() < deadline, found
            time.sleep(0.02)

    def fail(self, text: str) -> None:
        if self.expected is None or not self.expected.fullmatch(text):
            self.failures.append(text)

    def close(self) -> None:
        for tab in self._tabs:
            tab.close()
        for context in self.browser.contexts:
            context.close()

    def _url(self, template: str, **asked: Any) -> str:
        return f"{self.server.url}/{template}?{urlencode(asked, doseq=True)}"

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.fail(message.text)

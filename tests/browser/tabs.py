"""Tabs that are hidden and frozen for real.

Pages of Playwright are always visible to themselves, and what is visible is not frozen. So these
are opened beside it, and spoken to in the protocol of the developers' tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser


class Tab:
    """A tab of a window of its own. `fail` is called with each error in its console."""

    def __init__(self, browser: Browser, url: str, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self._browser = browser.new_browser_cdp_session()
        self._browser.on("Target.receivedMessageFromTarget", self._take)
        context = self._browser.send("Target.createBrowserContext")
        self._context: str = context["browserContextId"]
        self._target = self._open(url)
        attached = self._browser.send(
            "Target.attachToTarget", {"targetId": self._target, "flatten": False}
        )
        self._attachment: str = attached["sessionId"]
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._ask("Runtime.enable")
        self._ask("Log.enable")

    def evaluate(self, expression: str, /) -> Any:
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def hide(self) -> None:
        """Open another tab in front of it."""
        self._open("about:blank")

    def show(self) -> None:
        self._browser.send("Target.activateTarget", {"targetId": self._target})

    def freeze(self) -> None:
        """Do what Chromium does to a tab that was hidden for some minutes, if it is hidden."""
        self._ask("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        self._ask("Page.setWebLifecycleState", state="active")

    def close(self) -> None:
        self._browser.send("Target.disposeBrowserContext", {"browserContextId": self._context})
        self._browser.detach()

    def _open(self, url: str) -> str:
        options = {"url": url, "browserContextId": self._context}
        target: str = self._browser.send("Target.createTarget", options)["targetId"]
        return target

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        message = json.dumps({"id": self._asked, "method": method, "params": params})
        self._browser.send(
            "Target.sendMessageToTarget", {"sessionId": self._attachment, "message": message}
        )
        while self._asked not in self._answers:
            self._browser.send("Target.getTargets")  # The answer comes while this is waited for.
        answer = self._answers.pop(self._asked)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _take(self, received: dict[str, Any]) -> None:
        message = json.loads(received["message"])
        if "id" in message:
            self._answers[message["id"]] = message
        elif message["method"] == "Runtime.exceptionThrown":
            self._fail(str(message["params"]["exceptionDetails"]))
        elif (
            message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error"
        ):
            self._fail(message["params"]["entry"]["text"])

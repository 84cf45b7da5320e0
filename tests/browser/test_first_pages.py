"""The pages of the README and of the tutorial, as they are printed there, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.sites import Open, site
from tests.documents import DOCS, README, blocks, section

VIEW = '''
```python
# mysite/urls.py
from django.http import HttpResponse
from django.template import engines
from django.urls import path

PAGE = """{page}"""
TEMPLATE = engines["django"].from_string(PAGE)
urlpatterns = [path("", lambda request: HttpResponse(TEMPLATE.render({{}}, request)))]
```
'''


def test_page_of_the_readme_hears_the_room(tmp_path: Path, open_page: Open) -> None:
    quickstart = section(README, "Quickstart")
    (page,) = blocks(quickstart, "html")
    line = re.search(r"`await (gateway\.request\(.+?\))`", quickstart)
    assert line is not None
    with site(tmp_path, quickstart + VIEW.format(page=page)) as server:
        ada, bob = (open_page(server.url) for _ in range(2))
        for each in (ada, bob, bob):  # He comes back, the second time.
            each.evaluate("gateway.close(); gateway.connect()")
            each.wait_for_function("gateway.state === 'open'")
            each.evaluate("gateway.request('message.send', 'I am in the room')")
            with each.expect_console_message(lambda message: message.text == "Hello"):
                assert ada.evaluate(line[1]) is None


def test_page_of_the_tutorial_chats(tmp_path: Path, open_page: Open) -> None:
    tutorial = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    (surprise,) = blocks(section(DOCS / "tutorial.md", "6. Try it"), "javascript")
    with site(tmp_path, tutorial) as server:
        ada, bob = (open_page(server.url) for _ in range(2))
        ada.get_by_role("log").get_by_text("came in").first.wait_for()
        bob.get_by_role("log").get_by_text("came in").first.wait_for()
        ada.get_by_label("Message").fill("The <b>kettle</b> is on")
        ada.get_by_role("button", name="Send").click()
        for each in (ada, bob):
            each.get_by_role("log").get_by_text("The <b>kettle</b> is on").wait_for()
        code = f"(async () => {{ {surprise} }})().catch((error) => error.code)"
        assert ada.evaluate(code) == "unknown_event"

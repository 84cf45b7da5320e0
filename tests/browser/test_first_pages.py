"""The page of the README, as it is printed there, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.sites import Open, site
from tests.documents import README, blocks, section

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

"""The pages of the one about server-sent events, as they are printed there, in Chromium."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.browser.sites import Open, site
from tests.clients import DEADLINE
from tests.documents import DOCS, README, blocks, section

TEXT = (DOCS / "how-to" / "server-sent-events.md").read_text(encoding="utf-8")

AROUND = '''
```python
# mysite/asgi.py, at the end
from channels.security.websocket import WebsocketDenier

application.application_mapping["websocket"] = URLRouter([re_path("", WebsocketDenier.as_asgi())])
```

```python
# mysite/urls.py
from arcly_channels import broadcast_to_room
from django.http import HttpResponse
from django.template import engines
from django.urls import path

PAGE = """
{{% load arcly_channels %}}
{{% gateway_script %}}
<script>
  const shown = [];
  const show = (data) => shown.push(data.text ?? data);
</script>
{page}"""
TEMPLATE = engines["django"].from_string(PAGE)


def tell(request):
    broadcast_to_room("tea", "message.receive", {{"text": "The kettle is on"}})
    return HttpResponse()


urlpatterns = [
    path("", lambda request: HttpResponse(TEMPLATE.render({{}}, request))),
    path("tell/", tell),
]
```
'''


@pytest.mark.parametrize("page", blocks(TEXT, "html"), ids=["that listens", "with a gateway"])
def test_page_hears_its_room(page: str, tmp_path: Path, open_page: Open) -> None:
    settings = f"```python\n{blocks(section(README, 'Quickstart'), 'python')[0]}```\n"
    with site(tmp_path, settings + TEXT + AROUND.format(page=page)) as server:
        ada = open_page(server.url)
        deadline = time.monotonic() + DEADLINE
        while not ada.evaluate("shown.length"):
            assert time.monotonic() < deadline, "it hears nothing"
            urlopen(f"{server.url}/tell/", timeout=DEADLINE).close()
            ada.wait_for_timeout(50)  # What it says is on its way.
        assert ada.evaluate("shown[0]") == "The kettle is on"

"""The page about tests: those on it pass, with a browser and without, on the tutorial's chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import DOCS, blocks, build_project
from tests.servers import ROOT, require, run

CONFTEST = """
import os
import pytest
from tests.browser.conftest import launched

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

@pytest.fixture
def page():
    with launched() as browser:
        yield browser.new_page()
"""

FAILURE = """
import pytest
from mysite.gateways.chat import ChatGateway

async def test_failure_is_the_one_on_the_page(gateway_client):
    ann = await gateway_client(ChatGateway.as_asgi()).connect()
    sender = (await ann.expect("message.receive"))["sender"]
    await ann.emit("message.send", {{"text": "Hullo"}})
    with pytest.raises(AssertionError) as failure:
        await ann.expect("message.receive", {{"sender": sender, "text": "Hello"}})
    assert str(failure.value).replace(sender, "Guest 1") + "\\n" == {shown!r}
"""


def test_tests_on_the_page_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("chromium")
    text = [
        (DOCS / page).read_text(encoding="utf-8") for page in ("tutorial.md", "how-to/testing.md")
    ]
    project = build_project("".join(text), tmp_path)
    (project / "conftest.py").write_text(CONFTEST)
    (shown,) = blocks(text[1], "text")
    (project / "mysite" / "test_failure.py").write_text(FAILURE.format(shown=shown))
    monkeypatch.setenv("PYTHONPATH", f"{project}:{ROOT}")
    of_layers = "not test_layer or test_group_message"  # All of them run with our own layers.
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", of_layers, "mysite")
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    told = run(*options, environment=environment, cwd=project, timeout=120)
    assert "16 passed" in told

"""The site of the documentation: built without a warning, and read without any other host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.pages import Browse, violations
from tests.servers import Server, run

PHONE: dict[str, Any] = {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}}
NOT_OURS = ("aria-dialog-name", "landmark-unique", "scrollable-region-focusable")
"""What axe-core finds in the templates of Material: its search, navigation and tables."""

SCREENS: dict[str, dict[str, Any]] = {"desktop, light": {}, "phone, dark": PHONE}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("site")
    site = ("--strict", "--quiet", "--site-dir", str(directory / "site"))
    run("-m", "mkdocs", "build", *site, environment={"NO_MKDOCS_2_WARNING": "1"})
    arguments = ("-m", "http.server", "--bind", "127.0.0.1", "{port}")
    with Server(*arguments, directory=directory, cwd=directory / "site") as server:
        yield server


@pytest.mark.parametrize("path", ["", "reference/gateway/", "explanation/benchmarks/", "404.html"])
def test_page_asks_no_other_host(browse: Browse, server: Server, path: str) -> None:
    page = browse()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/{path}", wait_until="networkidle")
    page.get_by_role("textbox", name="Search").click()  # Only then is the index loaded.
    page.wait_for_load_state("networkidle")
    assert len(asked) > 3
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []


def test_search_finds_a_name(browse: Browse, server: Server) -> None:
    page = browse()
    page.goto(server.url)
    page.get_by_role("textbox", name="Search").fill("GatewayConsumer")
    page.locator(".md-search-result__link", has_text="Gateways").first.click()
    page.wait_for_url("**/reference/gateway/**")


def test_changelog_is_a_page(browse: Browse, server: Server) -> None:
    page = browse()
    page.goto(server.url)
    page.get_by_role("link", name="Changes", exact=True).first.click()
    page.get_by_role("heading", name="[Unreleased]").wait_for()


@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.parametrize("path", ["", "reference/gateway/", "404.html"])
def test_page_has_no_violations(
    browse: Browse, server: Server, path: str, screen: dict[str, Any]
) -> None:
    page = browse(**screen)
    page.goto(f"{server.url}/{path}")
    assert [each for each in violations(page) if not each.startswith(NOT_OURS)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

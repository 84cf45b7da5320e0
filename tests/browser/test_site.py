"""The site of the documentation: built without a warning, and read without any other host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.pages import Browse, violations
from tests.servers import Server, run

PHONE: dict[str, Any] = {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}}
NOT_OURS = ("landmark-unique", "scrollable-region-focusable")
"""What axe-core finds in what Material's script makes as a page runs, where no template reaches it:
the copy buttons of code, each a landmark, and the frames in which wide tables scroll."""

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
    with page.expect_response("**/search_index.json"):  # It hears of nothing typed before.
        page.goto(server.url)
    page.get_by_role("textbox", name="Search").fill("GatewayConsumer")
    page.locator(".md-search-result__link", has_text="Gateways").first.click()
    page.wait_for_url("**/reference/gateway/**")


def test_llms_txt_says_of_every_page_what_it_is(server: Server) -> None:
    site = server.log.parent / "site"
    text = (site / "llms.txt").read_text(encoding="utf-8")
    pages = re.findall(r"^- \[.+\]\((.+\.md)\): (.+[.?])$", text, re.MULTILINE)
    assert text.startswith("# arcly_channels\n\n> ")
    assert {page for page, _ in pages} == {
        str(path.relative_to(site)) for path in site.rglob("*.md")
    }
    assert len(re.findall(r"^- ", text, re.MULTILINE)) == len(pages) > 20
    whole = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert all((site / page).read_text(encoding="utf-8") in whole for page, _ in pages)


def test_long_name_in_a_table_may_be_broken_where_it_has_an_underscore(
    browse: Browse, server: Server
) -> None:
    page = browse(**PHONE)
    page.goto(f"{server.url}/reference/settings/")
    name = page.locator("td code", has_text="MAX_CONNECTIONS_PER_ADDRESS").first
    assert name.inner_html() == "MAX_<wbr>CONNECTIONS_<wbr>PER_<wbr>ADDRESS"


def test_contents_of_a_page_have_names_without_their_parameters(
    browse: Browse, server: Server
) -> None:
    page = browse()
    page.goto(f"{server.url}/reference/publishing/")
    entry = page.locator(".md-sidebar--secondary a[href^='#broadcast_to_room']")
    assert entry.inner_text().strip() == "broadcast_to_room()"


def test_changelog_is_a_page(browse: Browse, server: Server) -> None:
    page = browse()
    page.goto(server.url)
    page.get_by_role("link", name="Changes", exact=True).first.click()
    page.get_by_role("heading", name="[Unreleased]").wait_for()


def test_examples_are_shown_with_their_code(browse: Browse, server: Server) -> None:
    page = browse()
    page.goto(f"{server.url}/how-to/examples/")
    page.locator("code", has_text="class Auction(GatewayConsumer):").wait_for()


@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.parametrize("path", ["", "reference/gateway/", "404.html"])
def test_page_has_no_violations(
    browse: Browse, server: Server, path: str, screen: dict[str, Any]
) -> None:
    page = browse(**screen)
    page.goto(f"{server.url}/{path}")
    assert [each for each in violations(page) if not each.startswith(NOT_OURS)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

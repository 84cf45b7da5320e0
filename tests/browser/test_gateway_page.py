"""`gateway.js` on pages with a strict Content-Security-Policy, on each kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.gateway_pages import Pages, heard, page_server, say, until
from tests.servers import Server


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with page_server(tmp_path_factory.mktemp(request.param), request.param) as server:
        yield server


# The two lines


@pytest.mark.parametrize("place", ["argument", "csp_nonce", "request"])
def test_two_lines_connect_a_page_wherever_its_nonce_is(pages: Pages, place: str) -> None:
    page = pages.open(template="two_lines.html", url=f"/ws/chat?name=two-{place}", nonce=place)
    until(page, "globalThis.gateway?.state === 'open'")


def test_page_that_has_no_nonce_runs_nothing_and_connects_nowhere(pages: Pages) -> None:
    page = pages.open(template="two_lines.html", url="/ws/chat?name=none", nonce="nowhere")
    assert page.evaluate("globalThis.gateway") is None
    assert pages.facts("none")["attempts"] == 0
    assert all("script-src" in each for each in pages.failures)  # So violations are seen here.
    assert len(pages.failures) >= 2  # The map, and the script.
    pages.failures.clear()


def test_address_is_an_address_whatever_is_in_it(pages: Pages) -> None:
    hostile = "\"'</script><script>globalThis.owned = 1</script><!--<script>\\u2028&quot;\u2028"
    page = pages.open(template="two_lines.html", url=f"/ws/chat?name=hostile&more={hostile}")
    until(page, "globalThis.gateway?.state === 'open'")
    assert page.evaluate("globalThis.owned") is None
    assert page.evaluate("document.body.innerText").strip() == ""


def test_scripts_import_the_client_by_its_name_under_which_static_files_are_hashed(
    pages: Pages,
) -> None:
    page = pages.joined("hashed")  # By `page.js`, which imports `arcly-channels`.
    mapped = page.evaluate("JSON.parse(document.querySelector('[type=importmap]').text).imports")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert list(mapped) == ["arcly-channels", "arcly-channels/event-stream"]
    assert mapped["arcly-channels"] != "/static/arcly_channels/gateway.js"
    assert pages.server.url + mapped["arcly-channels"] in loaded


# Events


def test_two_users_hear_each_other_once(pages: Pages) -> None:
    ada, bob = pages.joined("ada"), pages.joined("bob")
    say(ada, "The kettle is on")
    heard(bob, "The kettle is on")
    say(bob, "On my way")
    for page in (ada, bob):
        assert heard(page, "On my way") == ["The kettle is on", "On my way"]


def test_request_is_answered_with_what_the_handler_returns(pages: Pages) -> None:
    page = pages.joined("echo")
    answer = page.evaluate("gateway.request('echo', { text: 'tea?', nested: [1, null] })")
    assert answer == {"text": "tea?", "nested": [1, None]}


def test_worker_has_a_gateway_of_its_own(pages: Pages) -> None:
    page = pages.joined("manager")
    page.evaluate(
        """() => {
            globalThis.told = [];
            globalThis.worker = new Worker("/worker.js", { type: "module" });
            worker.onmessage = ({ data }) => told.push(data);
        }"""
    )
    assert heard(page, "from a worker") == ["from a worker"]
    until(page, "told.includes('from a worker')")


# Servers without arcly.v1


def test_stock_consumer_is_spoken_to_in_events_and_answers_no_request(pages: Pages) -> None:
    page = pages.open("stock", gateway="stock", bare="")
    until(page, "gateway.state === 'open'")
    say(page, "to stock Channels")
    until(page, "heard.length")
    assert page.evaluate("heard") == [{"room": "tea", "text": "to stock Channels"}]
    refused = page.evaluate("gateway.request('echo').then(() => null, ({ code }) => code)")
    assert refused == "unsupported"


def test_server_that_accepts_and_closes_at_once_is_asked_less_and_less(pages: Pages) -> None:
    page = pages.open("closing", gateway="closing", bare="")
    until(page, "performance.now() > 5000")
    assert 2 <= pages.facts("closing")["attempts"] <= 5  # After 0, 0.5, 1 and 2 s at least.
    assert page.evaluate("states").count("waiting 1011") >= 1

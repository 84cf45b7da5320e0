"""The examples as people try them: a server, a worker of Celery, a command, and Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import Browse
from tests.redis_servers import RedisServer
from tests.servers import ROOT, Server, run

if TYPE_CHECKING:
    from playwright.sync_api import Page

ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""What has a worker look for no others, which takes it a second."""

WORKER_DEADLINE = 60_000
"""Milliseconds within which a worker has started, and done a task of two seconds."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What all processes of the examples have in common: a database, and a Redis."""
    database = tmp_path_factory.mktemp("examples") / "db.sqlite3"
    with RedisServer() as redis:
        yield {
            "DJANGO_SETTINGS_MODULE": "examples.settings",  # The tests' own are in os.environ.
            "EXAMPLES_DATABASE": str(database),
            "REDIS_URL": redis.url,
        }


@pytest.fixture(scope="module")
def server(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    run("-m", "examples", "prepare", environment=environment)
    directory = tmp_path_factory.mktemp("server")
    arguments = ("-m", "examples", "runserver", "--noreload", "{port}")
    with Server(*arguments, directory=directory, environment=environment) as server:
        yield server
    assert "Traceback" not in server.log.read_text()


@contextmanager
def worker(environment: dict[str, str], directory: Path) -> Iterator[None]:
    """Run Celery's worker until it is not needed any more."""
    with (directory / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "examples", "worker", "-P", "solo", *ALONE],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def opened(browse: Browse, server: Server, path: str) -> Page:
    page = browse()
    page.goto(f"{server.url}/{path}/")
    return page


def logged_in(browse: Browse, server: Server, name: str, path: str) -> Page:
    """Log in where a page wants that, and return the page."""
    page = opened(browse, server, path)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**/{path}/")
    return page


def status(page: Page, text: str) -> None:
    """Return once the page says this."""
    page.get_by_role("status").first.get_by_text(text).wait_for()


def test_notification_reaches_the_one_who_is_given_a_ticket(browse: Browse, server: Server) -> None:
    ann, bob = (logged_in(browse, server, name, "notifications") for name in ("ann", "bob"))
    with bob.context.expect_page() as admin:
        bob.get_by_role("link", name="another").click()
    admin.value.get_by_label("Title").fill("Make tea")
    admin.value.get_by_label("Assignee").select_option("ann")
    admin.value.get_by_role("button", name="Save", exact=True).click()
    status(ann, "For you: Make tea")
    ann.get_by_role("listitem").get_by_text("Make tea").wait_for()
    assert bob.get_by_role("listitem").count() == 0


def test_dashboard_shows_what_a_command_measures(
    browse: Browse, server: Server, environment: dict[str, str]
) -> None:
    before = opened(browse, server, "dashboard")
    status(before, "Nothing was measured yet")
    run("-m", "examples", "feed_dashboard", "--once", environment=environment)
    status(before, "Measured at")
    after = opened(browse, server, "dashboard")
    status(after, "Measured at")
    assert after.locator("#load").inner_text() == before.locator("#load").inner_text()


def test_cursor_of_one_shows_on_the_page_of_the_other(browse: Browse, server: Server) -> None:
    ann, bob = (opened(browse, server, "cursors") for _ in range(2))
    for page in (ann, bob):
        page.get_by_text("Warm the pot first.").wait_for()
    ann.locator("#text").click(position={"x": 40, "y": 10})
    caret = bob.locator("#text > i")
    caret.wait_for()
    place, text = caret.bounding_box(), bob.locator("#text").bounding_box()
    assert place is not None
    assert text is not None
    assert 20 < place["x"] - text["x"] < 60
    ann.close()
    caret.wait_for(state="detached")


def test_auction_takes_the_higher_bid(browse: Browse, server: Server) -> None:
    ann, bob = (logged_in(browse, server, name, "auction/1") for name in ("ann", "bob"))
    bid(bob, 5)
    for page in (ann, bob):
        status(page, "5 by bob")
    bid(ann, 5)
    ann.get_by_text("Somebody bids as much.").wait_for()
    bid(ann, 6)
    for page in (ann, bob):
        status(page, "6 by ann")


def bid(page: Page, amount: int) -> None:
    page.get_by_label("Your bid").fill(str(amount))
    page.get_by_role("button", name="Bid").click()


def test_progress_of_a_task_shows_on_the_page_that_started_it(
    browse: Browse, server: Server, environment: dict[str, str], tmp_path: Path
) -> None:
    starter, other = (opened(browse, server, "progress") for _ in range(2))
    with worker(environment, tmp_path):
        starter.get_by_role("button", name="Start a task").click()
        starter.locator("progress[value='20'][max='20']").wait_for(timeout=WORKER_DEADLINE)
    assert other.locator("progress").count() == 0

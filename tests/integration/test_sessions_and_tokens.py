"""The page about who is logged in: sessions and tokens open the same door, and it closes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.clients import DEADLINE, Visitor, connected
from tests.documents import DOCS, build_project
from tests.servers import Server, run

PAGE = DOCS / "how-to" / "sessions-and-tokens.md"
PATH = "/ws/inbox/"
PASSWORD = "tea for two"
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "mysite.settings",
    "JWT_SECRET": "for-the-tests-only-and-long-enough",
    "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = tmp_path_factory.mktemp("inbox")
    build_project(PAGE.read_text(encoding="utf-8"), project)
    create = ("createsuperuser", "--no-input", "--username", "ann", "--email", "")
    for command in (("migrate", "--verbosity", "0"), create):
        run("manage.py", *command, environment=ENVIRONMENT, cwd=project)
    daphne = ("-m", "daphne", "--port", "{port}", "mysite.asgi:application")
    with Server(*daphne, directory=project, environment=ENVIRONMENT, cwd=project) as server:
        yield server


@pytest.fixture
def ann(server: Server) -> Visitor:
    visitor = Visitor(server)
    visitor.get("/admin/login/")
    visitor.post("/admin/login/", username="ann", password=PASSWORD, next="/admin/")
    return visitor


def token(server: Server) -> str:
    fields = urlencode({"username": "ann", "password": PASSWORD}).encode()
    with urlopen(f"{server.url}/token/", fields, timeout=DEADLINE) as response:
        issued: str = json.load(response)["token"]
        return issued


def with_token(server: Server) -> dict[str, str]:
    return {"Origin": server.url, "Authorization": f"Bearer {token(server)}"}


def test_stranger_is_refused(server: Server) -> None:
    with pytest.raises(Exception, match="HTTP 403"), connected(server, path=PATH):
        pass


def test_page_and_app_of_somebody_hear_the_same(server: Server, ann: Visitor) -> None:
    with (
        connected(server, ann.headers(), PATH) as page,
        connected(server, with_token(server), PATH) as app,
    ):
        assert page.receive() == app.receive()
        ann.get("/remind/")
        assert page.receive() == app.receive() == {"event": "reminder", "data": "Tea!"}
        app.send("auth.refresh", {"token": token(server)})
        assert app.receive()["event"] == "auth.refreshed"


def test_logout_ends_both(server: Server, ann: Visitor) -> None:
    with (
        connected(server, ann.headers(), PATH) as page,
        connected(server, with_token(server), PATH) as app,
    ):
        assert page.receive() == app.receive()
        ann.post("/admin/logout/")
        assert page.closed() == app.closed() == 4401

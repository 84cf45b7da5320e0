"""The pages about nginx and monitoring: their files and the servers are a site that works."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import pytest

from tests.clients import DEADLINE, Client, connected
from tests.documents import DOCS, README, blocks, build_project, section
from tests.nginx import nginx
from tests.servers import Server, free_port, run

NGINX = DOCS / "how-to" / "deploy-nginx.md"
MONITOR = DOCS / "how-to" / "monitor.md"
NAME = "chat.example.com"
ORIGIN = {"Origin": f"https://{NAME}"}
KEY = "for-the-tests-only"
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "WATCH_KEY": KEY}


class Site:
    """A server of the pages behind the nginx of the pages."""

    def __init__(self, proxy: Server, server: Server, directory: Path, inside: int) -> None:
        self.proxy = proxy
        self.server = server
        self.directory = directory
        self.inside = inside
        self.tls = ssl.create_default_context(cafile=directory / "fullchain.pem")

    def open(self, **options: Any) -> Any:
        options = {"headers": ORIGIN, "host": NAME, "tls": self.tls, **options}
        return connected(self.proxy, **options)

    def get(self, path: str) -> HTTPResponse:
        connection = _Nearby(NAME, self.proxy.port, context=self.tls, timeout=DEADLINE)
        connection.request("GET", path, headers={"Host": NAME, "Connection": "close"})
        return connection.getresponse()

    def inside_connection(self) -> HTTPConnection:
        """Return a connection by which only who sits at the machine comes."""
        return HTTPConnection("127.0.0.1", self.inside, timeout=DEADLINE)

    def watched(self) -> list[dict[str, Any]]:
        """Return the connections that `/gateway-top` shows to who sits at the machine."""
        with closing(self.inside_connection()) as connection:
            connection.request("GET", "/gateway-top", headers={"X-Watch-Key": KEY})
            found: list[dict[str, Any]] = json.load(connection.getresponse())["clients"]
        return found


class _Nearby(HTTPSConnection):
    """A connection to a name that is at this machine."""

    def connect(self) -> None:
        name, self.host = self.host, "127.0.0.1"
        super(HTTPSConnection, self).connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=name)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    # Not in a directory of pytest, whose path may be too long for the unix sockets in it.
    with TemporaryDirectory(prefix="arcly-") as made:
        directory = deployed_project(Path(made))
        run("manage.py", "collectstatic", "--no-input", environment=ENVIRONMENT, cwd=directory)
        yield directory


def deployed_project(directory: Path) -> Path:
    """Build the quickstart, with the settings that the pages advise; return the directory."""
    settings = blocks(section(DOCS / "how-to" / "deployment.md", "Settings"), "python")[0]
    settings = settings.replace("/srv/chat", str(directory))
    deployed = f"```python\n# mysite/settings.py, at the end\nimport os\n{settings}```\n"
    text = section(README, "Quickstart") + deployed + section(MONITOR, "In the project")
    build_project(text, directory)
    (directory / "chat").mkdir()
    return directory


@pytest.fixture(scope="module", params=["Daphne", "uvicorn"])
def site(project: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    (command,) = blocks(section(NGINX, request.param), "console")
    path = project / "chat" / "chat.sock"
    words = shlex.split(command.replace("/run", str(project)))
    server = Server(
        "-m", *words, directory=project, environment=ENVIRONMENT, cwd=project, unix_socket=path
    )
    (public,), (private,) = (blocks(page.read_text(), "nginx") for page in (NGINX, MONITOR))
    inside = free_port()
    proxy = nginx(public + private.replace("9101", str(inside)), project)
    with server, proxy:
        yield Site(proxy, server, project, inside)
    assert "Traceback" not in server.log.read_text()


def join(client: Client) -> None:
    client.send("room.join", "tea")
    client.sync()


def test_people_chat_over_tls(site: Site) -> None:
    with site.open() as ada, site.open() as bob:
        join(ada)
        join(bob)
        ada.send("message.send", "Hello")
        for each in (ada, bob):
            assert each.receive()["data"] == {"room": "tea", "text": "Hello"}


def test_page_of_another_site_is_refused(site: Site) -> None:
    for origin in ("https://example.org", f"http://{NAME}"):
        with pytest.raises(Exception, match="HTTP 403"), site.open(headers={"Origin": origin}):
            pass


def test_address_is_that_of_the_client_whatever_it_says(site: Site) -> None:
    forged = {**ORIGIN, "X-Forwarded-For": "203.0.113.9"}
    with site.open(headers=forged, source="127.0.0.2") as client:
        client.sync()
        assert [each["address"] for each in site.watched()] == ["127.0.0.2"]


def test_static_files_are_there_and_operations_are_not(site: Site) -> None:
    assert site.get("/static/arcly_channels/gateway.js").status == 200
    assert site.get("/healthz").status == 200
    for path in ("/metrics", "/readyz", "/gateway-top"):
        assert site.get(path).status == 403


def test_operators_of_the_machine_see_what_goes_on(site: Site) -> None:
    (probe,) = blocks(section(MONITOR, "Probes"), "console")
    with site.open() as client, closing(site.inside_connection()) as inside:
        urlopen(shlex.split(probe)[-1].replace("9101", str(site.inside)), timeout=DEADLINE).close()
        client.sync()
        inside.request("GET", "/metrics")
        assert b"\nws_connections 1.0\n" in inside.getresponse().read()
        (command,) = blocks(section(MONITOR, "In a terminal"), "console")
        command = command.replace("9101", str(site.inside))
        words = (*shlex.split(command)[1:], "--once")
        shown = run(*words, environment=ENVIRONMENT, cwd=site.directory)
    assert f"process {site.server.pid}: 1 connections" in shown


def test_log_has_no_token(site: Site) -> None:
    with site.open(path="/ws/chat/?access_token=secret") as client:
        client.sync()
    log = site.directory / "chat.log"
    assert site.get("/healthz").status == 200  # Which is in the log after what came before.
    assert " /ws/chat/ 101 " in log.read_text()
    assert "secret" not in log.read_text() + site.server.log.read_text()


def test_reload_of_nginx_is_not_noticed(site: Site) -> None:
    with site.open() as old:
        old.sync()
        os.kill(site.proxy.pid, signal.SIGHUP)
        with site.open() as new:
            new.sync()
        old.sync()


def test_clients_come_back_after_a_restart_of_the_server(site: Site) -> None:
    with ExitStack() as stack:
        people = [stack.enter_context(site.open(subprotocol="arcly.v1")) for _ in range(3)]
        for each in people:
            assert each.receive()["event"] == "gateway:welcome"
        site.server.stop()
        for each in people:
            bye = each.receive()["data"]
            assert (bye["code"], bye["reconnect"]) == (1012, "yes")
        with pytest.raises(Exception, match="HTTP 502"), site.open():
            pass
        site.server.start()
        for _ in people:
            back = stack.enter_context(site.open(subprotocol="arcly.v1"))
            assert back.receive()["event"] == "gateway:welcome"


def test_pages_name_the_same_socket() -> None:
    text = NGINX.read_text() + (DOCS / "how-to" / "deploy-systemd.md").read_text()
    assert {*re.findall(r"/run/chat/[\w.]+", text)} == {"/run/chat/chat.sock"}

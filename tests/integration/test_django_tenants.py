"""The page about django-tenants: rows and rooms of one tenant are not those of another."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest

from tests.clients import DEADLINE, Client, connected
from tests.documents import DOCS, blocks, build_project, section
from tests.postgres import postgres
from tests.servers import Server, run, skip_for_want_of

PAGE = DOCS / "how-to" / "django-tenants.md"

TRAPS = """
import asyncio
import django
django.setup()
from channels.db import database_sync_to_async
from django.db import connection
from django_tenants.utils import schema_context
from orders.models import Order

@database_sync_to_async
def set_for_ever(schema):
    connection.set_schema(schema)
    Order.objects.create(what="dynamite")

@database_sync_to_async
def schema_of_the_next():
    return connection.schema_name

async def main():
    await set_for_ever("acme")
    assert await schema_of_the_next() == "acme"
    with schema_context("globex"):
        assert "dynamite" in [each.what async for each in Order.objects.all()]

asyncio.run(main())
"""
"""What the page warns of: each does the wrong thing."""

MEMBERS = """
import asyncio
import django
django.setup()
from channels.testing import WebsocketCommunicator
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from arcly_channels.identity import IdentityMiddlewareStack
from orders.members import MembersOrders

def session_of(user):
    backend = "django.contrib.auth.backends.ModelBackend"
    hashed = user.get_session_auth_hash()
    return {SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: backend, HASH_SESSION_KEY: hashed}

async def connect(session):
    gateway = IdentityMiddlewareStack(MembersOrders.as_asgi())
    client = WebsocketCommunicator(gateway, "/", headers=[(b"host", b"acme.example.com")])
    client.scope["session"] = session
    found = await client.connect(timeout=10)
    await client.disconnect()
    return found

ann = User.objects.create_user("ann")
assert asyncio.run(connect({})) == (False, 4401)
assert asyncio.run(connect(session_of(ann)))[0]
"""


class Site(NamedTuple):
    """The project of the page on a server, and what its other programs need."""

    server: Server
    project: Path
    environment: dict[str, str]

    def open(self, tenant: str, path: str = "/ws/orders/") -> AbstractContextManager[Client]:
        host = f"{tenant}.example.com"
        return connected(self.server, {"Origin": f"http://{host}"}, path, host=host)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if find_spec("psycopg") is None:
        skip_for_want_of("psycopg")
    text = PAGE.read_text(encoding="utf-8")
    project = build_project(text, tmp_path_factory.mktemp("tenants"))
    (commands,) = blocks(section(PAGE, "The project"), "console")
    with postgres() as found:
        environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings", **found}
        for command in commands.splitlines():
            run(*shlex.split(command)[1:], environment=environment, cwd=project)
        daphne = ("-m", "daphne", "--port", "{port}", "mysite.asgi:application")
        with Server(*daphne, directory=project, environment=environment, cwd=project) as server:
            yield Site(server, project, environment)


def add(client: Client, what: str) -> None:
    client.send("order.add", what)


def orders(client: Client) -> Any:
    event = client.receive()
    assert event["event"] == "orders"
    return event["data"]


def test_rows_and_rooms_of_a_tenant_are_its_own(site: Site) -> None:
    with site.open("acme") as acme, site.open("globex") as globex:
        assert orders(acme) == orders(globex) == []
        for number in range(20):  # In turn, in one thread.
            add(acme, f"anvil {number}")
            add(globex, f"laser {number}")
        for client, what in ((acme, "anvil"), (globex, "laser")):
            heard = [client.receive()["data"] for _ in range(20)]
            assert heard == [f"{what} {number}" for number in range(20)]
    with site.open("acme") as acme:
        assert orders(acme) == [f"anvil {number}" for number in range(20)]


def test_view_tells_its_own_tenant(site: Site) -> None:
    with site.open("acme") as acme, site.open("globex") as globex:
        orders(acme)
        orders(globex)
        request = Request(f"{site.server.url}/add/tea/", headers={"Host": "acme.example.com"})
        with urlopen(request, timeout=DEADLINE):
            assert acme.receive()["data"] == "tea"
        add(globex, "")
        assert globex.receive()["data"]["code"] == "invalid_order"  # And not the tea.


def test_host_of_no_tenant_is_refused(site: Site) -> None:
    for tenant in ("public", "nobody"):
        with pytest.raises(Exception, match="HTTP 403"), site.open(tenant):
            pass


@pytest.mark.parametrize("script", [TRAPS, MEMBERS], ids=["traps", "members"])
def test_what_the_page_says_of_threads_and_members_is_so(site: Site, script: str) -> None:
    run("-c", script, environment=site.environment, cwd=site.project)

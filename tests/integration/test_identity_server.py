"""Identity on a real Daphne, with real clients: one table by WebSocket and by HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.servers import Server

SECRET = "integration-secret-" + "i" * 32
PROJECT = "tests.integration.identity_project"
DEADLINE = 20

Header = tuple[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    daphne = ("-m", "daphne", "--port", "{port}", f"{PROJECT}.asgi:application")
    environment = {"DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings", "IDENTITY_SECRET": SECRET}
    directory = tmp_path_factory.mktemp("identity")
    with Server(*daphne, directory=directory, environment=environment) as server:
        yield server


@pytest.fixture
def resumed(server: Server) -> Iterator[None]:
    yield
    get(server, "/resume/acme")


def token(sub: str = "ann", *, key: str = SECRET, **claims: Any) -> str:
    payload = {"sub": sub, "type": "access", "exp": time.time() + 3600, **claims}
    return jwt.encode(payload, key, "HS256")


def bearer(value: str) -> Header:
    return "Authorization", f"Bearer {value}"


@asynccontextmanager
async def opened(
    server: Server,
    path: str = "/lobby",
    *headers: Header,
    host: str = "acme.localhost",
    origin: str = "http://acme.localhost",
    subprotocols: tuple[str, ...] = (),
) -> AsyncIterator[ClientConnection]:
    connection = connect(
        f"ws://{host}:{server.port}{path}",
        host="127.0.0.1",
        port=server.port,
        additional_headers=list(headers),
        origin=Origin(origin),
        subprotocols=[Subprotocol(each) for each in subprotocols] or None,
        open_timeout=DEADLINE,
        proxy=None,
    )
    async with connection as socket:
        yield socket


async def receive(socket: ClientConnection) -> tuple[str, Any]:
    message = json.loads(await asyncio.wait_for(socket.recv(), DEADLINE))
    return message["event"], message["data"]


async def ask(socket: ClientConnection, event: str, data: Any = None) -> tuple[str, Any]:
    await socket.send(json.dumps({"event": event, "data": data}))
    return await receive(socket)


async def closed(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), DEADLINE)
    return socket.close_code


def get(server: Server, path: str, *headers: Header, host: str = "acme.localhost") -> Any:
    """Return what a view says, or the status where it is not asked."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in (("Host", host), *headers):
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else response.status
    finally:
        connection.close()


# Coming in

ACME = "acme"
SEEN: list[str] = []
"""The tokens that were used, none of which the server may log."""


def used(value: str) -> str:
    SEEN.append(value)
    return value


ANN, BOB = used(token()), used(token("bob"))
OTHER_ALG = used(jwt.encode({"sub": "ann"}, "k" * 64, "HS512"))
NO_ALG = used(jwt.encode({"sub": "ann"}, "", "none"))
TWO_TENANTS = (("X-Tenant", "globex"), ("X-Tenant", "acme"))

# Path of the gateway, headers, host, who is expected: (sub, tenant) or the status of a refusal.
ROWS: list[tuple[str, tuple[Header, ...], str, tuple[str | None, str | None] | int]] = [
    ("accepted", (bearer(ANN),), "acme.localhost", ("ann", ACME)),
    ("anonymous", (), "acme.localhost", (None, ACME)),
    ("forged", (bearer(used(token(key="f" * 32))),), "acme.localhost", (None, ACME)),
    ("expired", (bearer(used(token(exp=1))),), "acme.localhost", (None, ACME)),
    ("truncated", (bearer(used(ANN[:-6])),), "acme.localhost", (None, ACME)),
    ("huge", (bearer(used(token(x="x" * 8192))),), "acme.localhost", (None, ACME)),
    ("wrong alg", (bearer(OTHER_ALG),), "acme.localhost", (None, ACME)),
    ("alg none", (bearer(NO_ALG),), "acme.localhost", (None, ACME)),
    ("wrong type", (bearer(used(token(type="refresh"))),), "acme.localhost", (None, ACME)),
    ("of the tenant", (bearer(used(token(tenant="acme"))),), "acme.localhost", ("ann", ACME)),
    ("of another tenant", (bearer(used(token(tenant="globex"))),), "acme.localhost", 403),
    ("two tokens in one header", (bearer(f"{ANN},Bearer {BOB}"),), "acme.localhost", (None, ACME)),
    ("a header given twice", (bearer(ANN), bearer(BOB)), "acme.localhost", (None, ACME)),
    ("not ASCII", (bearer("\xff\xfe"),), "acme.localhost", (None, ACME)),
    ("nothing after bearer", (("Authorization", "Bearer"),), "acme.localhost", (None, ACME)),
    ("unsigned cookie", (("Cookie", f"access_token={ANN}; a"),), "acme.localhost", (None, ACME)),
    ("upper case", (bearer(ANN),), "ACME.Localhost", ("ann", ACME)),
    ("trailing dot", (bearer(ANN),), "acme.localhost.", ("ann", ACME)),
    ("header", (("X-Tenant", "globex"),), "acme.localhost", (None, "globex")),
    ("header with two values", TWO_TENANTS, "acme.localhost", (None, None)),
    ("unknown tenant", (bearer(ANN),), "gone.localhost", ("ann", None)),
    ("suspended tenant", (bearer(ANN),), "closed.localhost", ("ann", None)),
    ("no label", (), "localhost", (None, None)),
    ("IPv6", (), "[::1]", (None, None)),
]  # fmt: skip
TABLE = pytest.mark.parametrize(
    ("headers", "host", "answer"), [pytest.param(*row[1:], id=row[0]) for row in ROWS]
)


@TABLE
async def test_websocket(server: Server, headers: Any, host: str, answer: Any) -> None:
    try:
        async with opened(server, "/anywhere", *headers, host=host) as socket:
            _, who = await receive(socket)
            found: Any = (who["sub"], who["tenant"])
    except InvalidStatus as refused:
        found = refused.response.status_code
    assert found == answer


@TABLE
async def test_http(server: Server, headers: Any, host: str, answer: Any) -> None:
    who = await asyncio.to_thread(get, server, "/whoami", *headers, host=host)
    assert (who if isinstance(who, int) else (who["sub"], who["tenant"])) == answer


@pytest.mark.parametrize("host", [".localhost", "acme..localhost", "", "a,b", "acme.evil.org:x"])
async def test_a_host_that_is_none_gets_an_answer(server: Server, host: str) -> None:
    assert await asyncio.to_thread(get, server, "/whoami", host=host) in (
        {"sub": None, "tenant": None},
        400,
    )


async def test_a_browser_brings_its_token_as_a_subprotocol(server: Server) -> None:
    async with opened(server, "/members", subprotocols=("bearer", ANN)) as socket:
        assert socket.subprotocol == "bearer"
        assert await receive(socket) == ("hello", {"sub": "ann", "tenant": ACME})


async def test_a_token_in_the_query(server: Server) -> None:
    async with opened(server, f"/members?access_token={ANN}") as socket:
        assert await receive(socket) == ("hello", {"sub": "ann", "tenant": ACME})


REFUSALS = [
    ("/members", (), "acme.localhost", 4401),
    ("/lobby", (bearer(ANN),), "gone.localhost", 4403),
    ("/lobby", (bearer(ANN),), "closed.localhost", 4403),
    ("/lobby", (bearer(used(token(tenant="globex"))),), "acme.localhost", 4403),
]


@pytest.mark.parametrize(("path", "headers", "host", "code"), REFUSALS)
async def test_refused_with_403(
    server: Server, path: str, headers: Any, host: str, code: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(server, path, *headers, host=host):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(("path", "headers", "host", "code"), REFUSALS)
async def test_refused_with_a_word(
    server: Server, path: str, headers: Any, host: str, code: int
) -> None:
    async with opened(server, path, *headers, host=host, subprotocols=("arcly.v1",)) as socket:
        assert socket.subprotocol == "arcly.v1"
        event, data = await receive(socket)
        assert event == "gateway:bye"
        assert data["code"] == code
        assert data["reason"]
        assert data["reconnect"] == {4401: "token", 4403: "no"}[code]
        assert await closed(socket) == code


# Staying


async def test_an_event_that_is_not_allowed(server: Server) -> None:
    async with opened(server, "/lobby", bearer(ANN)) as socket:
        await receive(socket)
        event, data = await ask(socket, "pay")
        assert (event, data["code"]) == ("error", "forbidden")
    allowed = used(token(perms=["orders:*"]))
    async with opened(server, "/lobby", bearer(allowed)) as socket:
        await receive(socket)
        assert (await ask(socket, "pay"))[0] == "paid"


async def test_expired_while_open(server: Server) -> None:
    brief = used(token(exp=int(time.time()) + 2))
    async with opened(server, "/members", bearer(brief)) as socket:
        await receive(socket)
        assert await closed(socket) == 4401


async def test_refreshed_while_open(server: Server) -> None:
    end = int(time.time()) + 2
    async with opened(server, "/members", bearer(used(token(exp=end)))) as socket:
        await receive(socket)
        event, data = await ask(socket, "auth.refresh", {"token": used(token("bob"))})
        assert (event, data["code"]) == ("error", "forbidden")
        event, _ = await ask(socket, "auth.refresh", {"token": used(token())})
        assert event == "auth.refreshed"
        while time.time() < end + 0.5:
            assert await ask(socket, "whoami") == ("you", {"sub": "ann", "tenant": ACME})
            await asyncio.sleep(0.01)  # Who asks more often is asking too much.


@pytest.mark.usefixtures("resumed")
async def test_suspended_while_open(server: Server) -> None:
    async with (
        opened(server, "/lobby", bearer(ANN)) as acme,
        opened(server, "/lobby", host="globex.localhost") as globex,
    ):
        await receive(acme)
        await receive(globex)
        assert await asyncio.to_thread(get, server, "/suspend/acme") == {"known": True}
        assert await closed(acme) == 4403
        assert (await ask(globex, "whoami"))[0] == "you"
    who = await asyncio.to_thread(get, server, "/whoami")
    assert who == {"sub": None, "tenant": None}
    with pytest.raises(InvalidStatus):
        async with opened(server, "/lobby", bearer(ANN)):
            pass


@pytest.mark.parametrize("path", ["/kick/kim", "/revoke/token-7"])
async def test_kicked(server: Server, path: str) -> None:
    kims = bearer(used(token("kim", jti="token-7")))
    async with (
        opened(server, "/lobby", kims) as kim,
        opened(server, "/lobby", kims) as kim_again,
        opened(server, "/lobby", bearer(ANN)) as ann,
    ):
        for socket in (kim, kim_again, ann):
            await receive(socket)
        assert await asyncio.to_thread(get, server, path) == {"closed": 2}
        assert await closed(kim) == 4401
        assert await closed(kim_again) == 4401
        assert (await ask(ann, "whoami"))[0] == "you"


def test_nothing_of_a_token_is_logged(server: Server) -> None:
    log = server.log.read_text()
    assert "WSCONNECT /members" in log
    assert "is not believed" in log
    assert "Exception inside application" not in log
    assert "Internal Server Error" not in log
    secrets = {part for each in SEEN for part in each.split(".") if len(part) > 20}
    assert not [part for part in secrets if part in log]
    assert SECRET not in log


# Origins


async def test_a_page_of_the_same_host_may_open_a_socket(server: Server) -> None:
    origin = f"http://acme.localhost:{server.port}"
    async with opened(server, "/same-host", origin=origin) as socket:
        await receive(socket)


@pytest.mark.parametrize("origin", ["http://globex.localhost:{port}", "http://acme.localhost"])
async def test_a_page_of_another_subdomain_or_port_may_not(server: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        async with opened(server, "/same-host", origin=origin.format(port=server.port)):
            pass


async def test_a_page_of_another_subdomain_is_told_why(server: Server) -> None:
    options: Any = {"origin": "http://globex.localhost", "subprotocols": ("arcly.v1",)}
    async with opened(server, "/same-host", **options) as socket:
        event, data = await receive(socket)
        assert (event, data["code"], data["reconnect"]) == ("gateway:bye", 4403, "no")
        assert await closed(socket) == 4403

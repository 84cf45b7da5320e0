"""The tenants and accounts of the demo, on a real Daphne."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from demo_project import settings
from tests.clients import Client, Visitor, chatting, connected, join
from tests.servers import ROOT, Server, demo_server, run

ACME, GLOBEX, PUBLIC = "acme.localhost", "globex.localhost", "localhost"
HOSTS = (ACME, GLOBEX, PUBLIC)
PASSWORD = "demo"

Come = Callable[..., Client]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="module")
def moderator(server: Server) -> Visitor:
    visitor = Visitor(server, PUBLIC)
    visitor.enter(name="admin", password=PASSWORD, room="lobby")
    return visitor


@pytest.fixture
def come(server: Server) -> Iterator[Come]:
    """Lets people into the room "tea" at a host: as a guest, or with an account's name."""
    with ExitStack() as stack:

        def come_in(name: str, account: str | None = None) -> Client:
            visitor = Visitor(server, name)
            password = "" if account is None else PASSWORD
            visitor.enter(name=account or "Ada", password=password, room="tea")
            connection = chatting(server, visitor.headers(), host=visitor.host)
            client = stack.enter_context(connection)
            join(client, "tea")
            return client

        yield come_in


@pytest.fixture
def resumed(moderator: Visitor) -> Iterator[None]:
    yield
    moderator.post("/moderate/resume/", who="acme")


def say(client: Client, text: str = "Hello") -> None:
    client.send("message.send", {"room": "tea", "text": text})


def token(**claims: object) -> str:
    payload = {"sub": "wile", "name": "wile", "role": "member", "tenant": "acme", **claims}
    payload["type"] = "access"
    return jwt.encode(payload, settings.ARCLY_CHANNELS["JWT"]["KEYS"][0])  # type: ignore[index]


# Tenants


@pytest.mark.parametrize("home", HOSTS)
def test_a_room_is_heard_in_its_own_tenant_only(come: Come, home: str) -> None:
    clients = {host: come(host) for host in HOSTS}
    neighbour = come(home)
    say(neighbour)
    for client in (neighbour, clients.pop(home)):
        assert client.receive()["data"]["text"] == "Hello"
    for client in clients.values():
        client.sync()  # Nothing came before the answer.


@pytest.mark.parametrize("host", ["evil.example", "acme.localhost.evil.example", GLOBEX, PUBLIC])
def test_other_origins_are_refused(server: Server, host: str) -> None:
    visitor = Visitor(server, ACME)
    visitor.enter(name="Ada", room="tea")
    headers = {**visitor.headers(), "Origin": f"http://{host}:{server.port}"}
    with (
        pytest.raises(InvalidStatus, match="403"),
        connected(server, headers, host=visitor.host),
    ):
        pass


# Accounts


@pytest.mark.parametrize(("host", "name"), [(ACME, "wile"), (GLOBEX, "hank"), (PUBLIC, "hank")])
def test_member_is_known_by_the_cookie(server: Server, come: Come, host: str, name: str) -> None:
    visitor = Visitor(server, host)
    visitor.enter(name=name, password=PASSWORD, room="tea")
    assert f"You are <strong><bdi>{name}</bdi></strong>" in visitor.get("/")
    client = come(host, name)
    say(client)
    assert client.receive()["data"]["from"] == {"sub": name, "name": name, "role": "member"}


def test_cookie_is_for_the_server_only(server: Server) -> None:
    visitor = Visitor(server, ACME)
    visitor.enter(name="wile", password=PASSWORD, room="tea")
    cookie = next(each for each in visitor.cookies if each.name == "access_token")
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Lax"
    assert not cookie.domain_specified


@pytest.mark.parametrize(
    ("host", "name", "password"),
    [
        pytest.param(ACME, "wile", "guess", id="wrong password"),
        pytest.param(ACME, "wile", "", id="no password"),
        pytest.param(ACME, "WILE", "", id="no password, other case"),
        pytest.param(ACME, "hank", PASSWORD, id="of another tenant"),
        pytest.param(ACME, "admin", PASSWORD, id="of no tenant"),
        pytest.param(ACME, "nobody", PASSWORD, id="no account"),
    ],
)
def test_others_do_not_get_a_token(server: Server, host: str, name: str, password: str) -> None:
    visitor = Visitor(server, host)
    _, page = visitor.enter(name=name, password=password, room="tea")
    assert ("That is no account here" if password else "That name has an account") in page
    assert "access_token" not in {cookie.name for cookie in visitor.cookies}


def test_who_picks_a_name_is_no_longer_the_account(server: Server) -> None:
    visitor = Visitor(server, ACME)
    visitor.enter(name="wile", password=PASSWORD, room="tea")
    visitor.enter(name="Road Runner", room="tea")
    page = visitor.get("/")
    assert "You are <strong><bdi>Road Runner</bdi></strong>" in page
    assert "guest-" in page


def test_a_token_is_of_no_use_at_another_tenant(server: Server) -> None:
    visitor = Visitor(server, ACME)
    visitor.enter(name="wile", password=PASSWORD, room="tea")
    visitor.host = f"{GLOBEX}:{server.port}"
    with pytest.raises(HTTPError, match="403"):
        visitor.get("/")
    with (
        pytest.raises(InvalidStatus, match="403"),
        connected(server, visitor.headers(), host=visitor.host),
    ):
        pass


def test_expired_while_open(server: Server) -> None:
    headers = {
        "Origin": f"http://{ACME}",
        "Authorization": f"Bearer {token(exp=int(time.time()) + 2)}",
    }
    with connected(server, headers, host=ACME) as client:
        client.sync()
        assert client.closed() == 4401


def test_refreshed_while_open(server: Server) -> None:
    now = int(time.time())
    headers = {"Origin": f"http://{ACME}", "Authorization": f"Bearer {token(exp=now + 60)}"}
    with connected(server, headers, host=ACME) as client:
        client.send("auth.refresh", {"token": token(exp=now + 3600)})
        assert client.receive() == {"event": "auth.refreshed", "data": {"exp": now + 3600}}


# Moderation


@pytest.mark.usefixtures("resumed")
def test_suspended_while_open(server: Server, come: Come, moderator: Visitor) -> None:
    guest, wile, hank, watcher = come(ACME), come(ACME, "wile"), come(GLOBEX), come(PUBLIC)
    moderator.post("/moderate/suspend/", who="acme")
    assert guest.closed() == 4403
    assert wile.closed() == 4403
    assert watcher.receive() == {"event": "notice", "data": {"text": "suspend acme: done"}}
    hank.sync()
    with pytest.raises(HTTPError, match="403"):
        Visitor(server, ACME).get("/")
    with pytest.raises(HTTPError, match="403"):
        come(ACME)
    moderator.post("/moderate/resume/", who="acme")
    come(ACME, "wile").sync()


def test_tenant_of_the_moderator_is_not_suspended(moderator: Visitor) -> None:
    with pytest.raises(HTTPError, match="403"):
        moderator.post("/moderate/suspend/", who="public")
    assert "Public chat" in moderator.get("/")


def test_kicked(server: Server, come: Come, moderator: Visitor) -> None:
    wile, wile_elsewhere, guest = come(ACME, "wile"), come(PUBLIC, "wile"), come(ACME)
    moderator.post("/moderate/kick/", who="wile")
    assert wile.closed() == 4401
    assert wile_elsewhere.closed() == 4401
    guest.sync()
    _, page = Visitor(server, ACME).enter(name="wile", password=PASSWORD, room="tea")
    assert "you were kicked" in page
    moderator.post("/moderate/resume/", who="wile")
    come(ACME, "wile").sync()


def test_kicked_guest_does_not_come_straight_back(
    server: Server, come: Come, moderator: Visitor
) -> None:
    eve, other = Visitor(server, ACME), come(ACME)
    eve.enter(name="Eve", room="tea")
    with connected(server, eve.headers(), host=eve.host) as client:
        found = re.search(r"guest-\w+", eve.get("/"))
        assert found is not None
        moderator.post("/moderate/kick/", who=found[0])
        assert client.closed() == 4401
    with (
        pytest.raises(InvalidStatus, match="403"),
        connected(server, eve.headers(), host=eve.host),
    ):
        pass
    assert "you were kicked" in eve.enter(name="Somebody Else", room="tea")[1]
    other.sync()


def test_nobody_is_there_to_be_kicked(come: Come, moderator: Visitor) -> None:
    watcher = come(PUBLIC)
    moderator.post("/moderate/kick/", who="nobody")
    assert watcher.receive()["data"]["text"] == "kick nobody: nobody on this server"


@pytest.mark.parametrize(("host", "name"), [(ACME, "wile"), (PUBLIC, "hank"), (PUBLIC, "Eve")])
def test_others_do_not_moderate(server: Server, host: str, name: str) -> None:
    visitor = Visitor(server, host)
    visitor.enter(name=name, password="" if name == "Eve" else PASSWORD, room="tea")
    with pytest.raises(HTTPError, match="403"):
        visitor.post("/moderate/suspend/", who="globex")


@pytest.mark.parametrize(("action", "who"), [("promote", "wile"), ("kick", "")])
def test_what_is_no_action_is_not_found(moderator: Visitor, action: str, who: str) -> None:
    with pytest.raises(HTTPError, match="404"):
        moderator.post(f"/moderate/{action}/", who=who)


# The project itself


@pytest.mark.parametrize(
    "command", [("check", "--fail-level", "WARNING"), ("makemigrations", "--check")], ids=str
)
def test_manage_py_has_no_complaints(command: tuple[str, ...]) -> None:
    run("manage.py", *command, environment={"DJANGO_SETTINGS_MODULE": "demo_project.settings"})


def test_demo_is_an_example_and_no_more() -> None:
    demo = ROOT / "demo_project"
    programs = {demo / name for name in ("cluster.py", "programs.py", "serve.py")}
    slow_client = {*demo.glob("slow_client/*.py"), *demo.glob("stock/*.py")}
    chat = {*demo.glob("*.py"), *demo.glob("chat/*.py")} - programs
    assert length(chat) < 400
    assert length(slow_client) < 400
    for script in demo.rglob("*.js"):
        assert length({script}) < 200


def length(files: set[Path]) -> int:
    return sum(len(file.read_text().splitlines()) for file in files)

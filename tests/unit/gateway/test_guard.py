"""Who may come into a gateway, what they may send, and for how long they may stay."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.core.exceptions import ImproperlyConfigured

import arcly_channels
from arcly_channels import GatewayConsumer, Refused, subscribe
from arcly_channels.fanout.audience import EVERYONE
from arcly_channels.identity import IdentityMiddlewareStack, Tenant, get_tenants
from arcly_channels.identity.tokens import issue_token
from arcly_channels.layers.local import LocalChannelLayer
from arcly_channels.relay.contract import Kind, Parcel
from arcly_channels.rooms import user_group
from arcly_channels.session import guard
from arcly_channels.testing import GatewayCommunicator

ACME = Tenant("acme")
GLOBEX = Tenant("globex")


class Open(GatewayConsumer):
    """Lets everybody in, and says who it thinks they are."""

    async def on_connect(self) -> None:
        await self.emit("hello", {"claims": self.claims})

    @subscribe("whoami")
    async def whoami(self, data: Any) -> None:
        await self.emit("you", {"claims": self.client.claims})

    @subscribe("pay", roles=("clerk", "admin"), perms="orders:pay")
    async def pay(self, data: Any) -> None:
        await self.emit("paid")

    @subscribe("join")
    async def join(self, data: Any) -> None:
        await self.join_room(data)
        await self.emit("joined")


class ForUsers(Open):
    require_claims = True


class ForAdmins(Open):
    required_roles = "admin"


class ForReaders(Open):
    required_perms = ("orders:read",)


class ForTenants(Open):
    require_tenant = True


class ForAll(Open):
    require_tenant = False


class Picky(Open):
    async def authorize(self) -> None:
        raise Refused(4499, "not you")


@pytest.fixture(autouse=True)
def fresh_layer(settings: Any) -> Any:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}
    settings.ARCLY_CHANNELS = {"JWT": {"KEYS": ["s" * 32]}, "EVICTION_GRACE": 0}
    return settings


@pytest.fixture
def tenancy(settings: Any) -> Any:
    settings.ARCLY_CHANNELS = {
        **settings.ARCLY_CHANNELS,
        "TENANTS": ["acme", "globex"],
        "TENANT_STRATEGY": {"HEADER": "X-Tenant"},
    }
    return settings


def layer() -> LocalChannelLayer:
    found = get_channel_layer()
    assert isinstance(found, LocalChannelLayer)
    return found


class Client(GatewayCommunicator):
    """A client of a gateway in this process."""

    def __init__(
        self, gateway: type[GatewayConsumer], subprotocols: list[str] | None = None, **scope: Any
    ) -> None:
        super().__init__(gateway.as_asgi(), subprotocols=subprotocols)
        self.scope.update(scope)

    async def ask(self, event: str, data: Any = None) -> tuple[str, Any]:
        """Send an event, and return the next one."""
        await self.send_json_to({"event": event, "data": data, "ref": 1})
        envelope = await self.receive_json_from()
        return envelope["event"], envelope["data"]

    async def closed(self) -> int:
        """Return the code that the server closes with next, and end."""
        code = await self.expect_close()
        await self.disconnect(code)
        return code


@asynccontextmanager
async def connected(gateway: type[GatewayConsumer] = Open, **scope: Any) -> AsyncIterator[Client]:
    async with Client(gateway, **scope) as client:
        await client.connect()
        await client.expect("hello")
        yield client


def claims(sub: str = "ann", **more: Any) -> dict[str, Any]:
    return {"sub": sub, "type": "access", "exp": time.time() + 3600, **more}


# Coming in

ROWS: list[tuple[type[GatewayConsumer], Any, Any, int | None]] = [
    (Open, None, None, None),
    (Open, claims(), None, None),
    (ForUsers, claims(), None, None),
    (ForUsers, None, None, 4401),
    (ForAdmins, None, None, 4401),
    (ForAdmins, claims(role="clerk"), None, 4403),
    (ForAdmins, claims(role="admin"), None, None),
    (ForReaders, None, None, 4401),
    (ForReaders, claims(), None, 4403),
    (ForReaders, claims(perms=["orders:*"]), None, None),
    (ForTenants, claims(), None, 4403),
    (ForTenants, claims(), ACME, None),
    (ForTenants, claims(), "acme", None),
    (ForTenants, claims(tenant="acme"), ACME, None),
    (Open, claims(tenant="globex"), ACME, 4403),
    (Open, claims(tenant="acme"), None, None),
    (Picky, None, None, 4499),
]


@pytest.mark.parametrize(("gateway", "claims", "tenant", "code"), ROWS)
async def test_who_may_come_in(
    gateway: type[GatewayConsumer], claims: Any, tenant: Any, code: int | None
) -> None:
    async with Client(gateway, claims=claims, tenant=tenant) as client:
        await (client.connect() if code is None else client.expect_refusal(code))


@pytest.mark.parametrize(("gateway", "claims", "tenant", "code"), ROWS)
async def test_a_client_of_arcly_v1_is_told_why(
    gateway: type[GatewayConsumer], claims: Any, tenant: Any, code: int | None
) -> None:
    client = Client(gateway, ["other", "arcly.v1"], claims=claims, tenant=tenant)
    if code is None:
        await client.connect()
    else:
        await client.expect_refusal(code)
        assert client.bye["code"] == code
        assert client.bye["reason"]
        assert client.bye["reconnect"] == {4401: "token"}.get(code, "no")
    await client.disconnect()
    assert layer().registry.connection_count() == 0


@pytest.mark.parametrize("end", ["authorize", "on_connect"])
async def test_a_long_reason_fits_into_the_close_frame(end: str) -> None:
    class Wordy(GatewayConsumer):
        async def authorize(self) -> None:
            if end == "authorize":
                raise Refused(4403, "é" * 100)

        async def on_connect(self) -> None:
            await self.close(4403, "é" * 100)

    client = Client(Wordy, ["arcly.v1"])
    await client.send_input({"type": "websocket.connect"})
    message = await client.receive_output()
    while message["type"] != "websocket.close":  # A welcome, and a bye that says why in full.
        message = await client.receive_output()
    assert (message["code"], message["reason"]) == (4403, "é" * 61)
    await client.disconnect()


async def test_a_tenant_without_a_usable_id_fails_before_the_socket_is_accepted() -> None:
    class Row:
        id = 7

    with pytest.raises(TypeError, match="has one as its id"):
        await Client(Open, tenant=Row()).connect()


@pytest.mark.usefixtures("tenancy")
async def test_with_tenancy_a_tenant_is_needed() -> None:
    await Client(Open).expect_refusal(4403)
    await Client(ForAll, claims=claims(tenant="acme")).expect_refusal(4403)
    async with connected(Open, tenant=ACME), connected(ForAll):
        pass


async def test_too_many_connections_are_refused_without_a_word(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    async with connected():
        await Client(Open, ["arcly.v1"]).expect_refusal(4409)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["bearer"], "bearer"), (["bearer", "arcly.v1"], "arcly.v1"), (["other"], None), ([], None)],
)
async def test_which_subprotocol_is_accepted(offered: list[str], chosen: str | None) -> None:
    client = Client(Open, offered)
    await client.connect()
    assert client.subprotocol == chosen
    await client.disconnect()


@pytest.mark.parametrize("wrong", [{"required_perms": "orders"}, {"required_roles": 1}])
def test_a_wrong_requirement_fails_with_the_class(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^Wrong: "):
        type("Wrong", (GatewayConsumer,), wrong)


@pytest.mark.parametrize("name", ["require_claims", "require_tenant", "required_roles"])
def test_a_requirement_that_would_be_ignored_is_a_mistake(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} is said in the class Open"):
        Open.as_asgi(**{name: True})


# Events


@pytest.mark.parametrize(
    ("who", "is_allowed"),
    [
        (None, False),
        (claims(), False),
        (claims(role="admin"), False),
        (claims(role="guest", perms=["*"]), False),
        (claims(role="clerk", perms=["orders:pay"]), True),
    ],
)
async def test_who_may_send_an_event(who: Any, is_allowed: bool) -> None:
    async with connected(claims=who) as client:
        event, data = await client.ask("pay")
        assert event == ("paid" if is_allowed else "error")
        assert is_allowed or data["code"] == "forbidden"


async def test_an_overriding_method_is_as_guarded_as_the_one_it_overrides() -> None:
    class Careless(Open):
        async def pay(self, data: Any) -> None:
            await self.emit("paid")

    class Explicit(Open):
        @subscribe("pay")
        async def pay(self, data: Any) -> None:
            await self.emit("paid")

    async with connected(Careless) as careless, connected(Explicit) as explicit:
        assert (await careless.ask("pay"))[0] == "error"
        assert (await explicit.ask("pay"))[0] == "paid"


# Staying


async def test_an_expired_token_ends_the_connection() -> None:
    async with connected(claims=claims(exp=time.time() + 0.05)) as client:
        assert await client.closed() == 4401


async def test_a_clock_set_back_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    async with connected(claims=claims(exp=real() + 0.1)) as client:
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        token = issue_token({"sub": "bob"})
        assert (await client.ask("auth.refresh", {"token": token}))[0] == "error"
        assert await client.closed() == 4401


async def test_grace_and_leeway_come_after_expiry(settings: Any) -> None:
    jwt = {"KEYS": ["s" * 32], "LEEWAY": 60}
    settings.ARCLY_CHANNELS = {"JWT": jwt, "TOKEN_GRACE": 60}
    async with connected(claims=claims(exp=time.time() - 119)) as client:
        assert (await client.ask("whoami"))[0] == "you"
    async with connected(claims=claims(exp=time.time() - 119.95)) as client:
        assert await client.closed() == 4401


async def test_a_fresh_token_keeps_the_connection(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {**settings.ARCLY_CHANNELS, "RATE_LIMIT": 0}
    old = claims(exp=time.time() + 0.2, jti="old")
    async with connected(claims=old) as client:
        token = issue_token({"sub": "ann", "jti": "new", "role": "admin"}, lifetime=60)
        event, data = await client.ask("auth.refresh", {"token": token})
        assert event == "auth.refreshed"
        assert data["exp"] > time.time() + 50
        while time.time() < old["exp"] + 0.05:
            event, data = await client.ask("whoami")
        assert (data["claims"]["jti"], data["claims"]["role"]) == ("new", "admin")


@pytest.mark.parametrize("revoked", ["old", "new"])
async def test_revoking_any_token_of_a_connection_closes_it(revoked: str) -> None:
    async with connected(claims=claims(jti="old")) as client:
        await client.ask("auth.refresh", {"token": issue_token({"sub": "ann", "jti": "new"})})
        assert await arcly_channels.adisconnect_token(revoked) == 1
        assert await client.closed() == 4401


@pytest.mark.parametrize(
    ("gateway", "who", "fresh", "code"),
    [
        (Open, claims(), {"sub": "bob"}, "forbidden"),
        (Open, None, {"sub": "ann"}, "forbidden"),
        (Open, claims(), {"sub": "ann", "exp": 1}, "unauthenticated"),
        (Open, claims(), {"sub": "ann", "type": "refresh"}, "unauthenticated"),
        (Open, claims(), {"sub": "ann", "x": "x" * 8192}, "unauthenticated"),
        (Open, claims(), {"sub": "ann", "tenant": "globex"}, "forbidden"),
        (ForAdmins, claims(role="admin"), {"sub": "ann", "role": "clerk"}, "forbidden"),
    ],
)
async def test_a_token_that_does_not_fit_changes_nothing(
    gateway: type[GatewayConsumer], who: Any, fresh: dict[str, Any], code: str
) -> None:
    async with connected(gateway, claims=who, tenant=ACME) as client:
        event, data = await client.ask("auth.refresh", {"token": issue_token(fresh)})
        assert (event, data["code"]) == ("error", code)
        _, data = await client.ask("whoami")
        assert data["claims"] == who


@pytest.mark.parametrize("fresh", [{"org": "globex"}, {}, {"org": ["acme"]}])
async def test_a_token_of_another_tenant_changes_nothing(tenancy: Any, fresh: Any) -> None:
    tenancy.ARCLY_CHANNELS = {**tenancy.ARCLY_CHANNELS, "TENANT_STRATEGY": {"CLAIM": "org"}}
    async with connected(claims=claims(org="acme"), tenant=ACME) as client:
        for more, answer in ((fresh, "error"), ({"org": "acme"}, "auth.refreshed")):
            token = issue_token({"sub": "ann", **more})
            assert (await client.ask("auth.refresh", {"token": token}))[0] == answer


@pytest.mark.parametrize("data", [None, "token", [], {}, {"token": None}, {"token": "\ud800"}])
async def test_what_is_no_token_is_refused(data: Any) -> None:
    async with connected(claims=claims()) as client:
        event, answer = await client.ask("auth.refresh", data)
        assert (event, answer["code"]) in {("error", "unauthenticated"), ("error", "malformed")}


async def test_a_client_that_must_go_has_no_say() -> None:
    said = []

    class Listening(Open):
        @subscribe("say")
        async def say(self, data: Any) -> None:
            said.append(data)

    async with connected(Listening, claims=claims()) as client:
        await arcly_channels.adisconnect_user("ann")
        await client.emit("say", "one last thing")
        assert await client.closed() == 4401
    assert said == []


# What would refuse a handshake refuses a refresh


class Strict(Open):
    """Knows who is denied, and keeps to rooms that their permissions allow."""

    async def on_connect(self) -> None:
        await super().on_connect()
        await self.join_room("open")
        await self.join_room("secret")

    async def authorize(self) -> None:
        if self.claims and self.claims.get("denied"):
            raise Refused(4403, "you are on the list")
        if self.claims and self.claims.get("broken"):
            raise LookupError("no such list")

    async def on_refresh(self) -> None:
        if self.claims and not self.claims.get("perms"):
            await self.leave_room("secret")


@pytest.mark.parametrize(
    ("fresh", "code"), [({"denied": True}, "forbidden"), ({"broken": True}, "internal")]
)
async def test_authorize_is_asked_about_a_fresh_token(fresh: dict[str, Any], code: str) -> None:
    old = claims(exp=time.time() + 1, jti="old")
    async with connected(Strict, claims=old) as client:
        token = issue_token({"sub": "ann", **fresh})
        await client.emit("auth.refresh", {"token": token})
        await client.expect_error(code)
        await client.emit("whoami")
        await client.expect("you", {"claims": old})
        assert await client.closed() == 4401


@pytest.mark.parametrize(
    ("gateway", "scope", "warns"),
    [(ForUsers, {}, True), (ForUsers, {"claims": None}, False), (Picky, {}, False)],
    ids=["no middleware", "anonymous", "claims are no matter"],
)
async def test_claims_that_nobody_can_have_are_a_warning(
    caplog: pytest.LogCaptureFixture, gateway: type[Open], scope: dict[str, Any], warns: bool
) -> None:
    socket = GatewayCommunicator(gateway.as_asgi(), "/")
    socket.scope.update(scope)
    await socket.expect_refusal()
    assert ("put IdentityMiddlewareStack around its routes" in caplog.text) is warns


@pytest.mark.parametrize("answer", [False, True])
async def test_authorize_that_answers_lets_nobody_in(answer: bool) -> None:
    class Answering(Open):
        async def authorize(self) -> None:
            return answer  # type: ignore[return-value]  # The mistake.

    with pytest.raises(TypeError, match=f"returned {answer}: it says no by raising Refused"):
        async with connected(Answering):
            pass


async def test_on_refresh_may_leave_what_is_no_longer_allowed() -> None:
    async with connected(Strict, claims=claims(perms=["secret:read"])) as client:
        await client.ask("auth.refresh", {"token": issue_token({"sub": "ann"})})
        await arcly_channels.abroadcast_to_room("secret", "not heard")
        await arcly_channels.abroadcast_to_room("open", "heard")
        await client.expect("heard", None)


async def test_connection_does_not_take_fresh_tokens_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "MAX_REFRESHES", 2)
    token = {"token": issue_token({"sub": "ann"})}
    async with connected(claims=claims()) as client:
        answers = [await client.ask("auth.refresh", token) for _ in range(3)]
    assert [event for event, _ in answers] == ["auth.refreshed", "auth.refreshed", "error"]


# Being made to go

DISCONNECTIONS = [
    (arcly_channels.disconnect_user, arcly_channels.adisconnect_user, "ann", 4401),
    (arcly_channels.disconnect_token, arcly_channels.adisconnect_token, 7, 4401),
    (arcly_channels.disconnect_tenant, arcly_channels.adisconnect_tenant, "acme", 4403),
]


@pytest.mark.parametrize(("plain", "twin", "who", "code"), DISCONNECTIONS)
@pytest.mark.parametrize("way", ["loop", "thread", "async"])
async def test_disconnecting(plain: Any, twin: Any, who: Any, code: int, way: str) -> None:
    async with (
        connected(claims=claims(jti="7"), tenant=ACME) as ann,
        connected(claims=claims("bob", jti="8"), tenant=GLOBEX) as bob,
    ):
        if way == "async":
            count = await twin(who)
        else:
            count = plain(who) if way == "loop" else await asyncio.to_thread(plain, who)
        assert count == 1
        assert await ann.closed() == code
        assert (await bob.ask("whoami"))[0] == "you"


async def test_disconnecting_a_user_in_one_tenant() -> None:
    async with (
        connected(claims=claims(), tenant=ACME) as there,
        connected(claims=claims(), tenant=GLOBEX) as elsewhere,
    ):
        assert await arcly_channels.adisconnect_user("ann", tenant="acme") == 1
        assert await there.closed() == 4401
        assert (await elsewhere.ask("whoami"))[0] == "you"


@pytest.mark.parametrize("disconnect", [each[0] for each in DISCONNECTIONS])
@pytest.mark.parametrize("who", [None, "", True, 1.5])
def test_disconnecting_nobody_in_particular_is_a_mistake(disconnect: Any, who: Any) -> None:
    with pytest.raises(TypeError):
        disconnect(who)


@pytest.mark.parametrize("disconnect", [each[0] for each in DISCONNECTIONS])
def test_disconnecting_without_a_layer_of_ours_is_an_error(settings: Any, disconnect: Any) -> None:
    settings.CHANNEL_LAYERS = {}
    with pytest.raises(ImproperlyConfigured, match="no layer in CHANNEL_LAYERS is ours"):
        disconnect("x")


@pytest.mark.usefixtures("tenancy")
async def test_suspending_a_tenant_closes_its_sockets_and_no_others() -> None:
    async with connected(tenant=ACME) as acme, connected(tenant=GLOBEX) as globex:
        get_tenants().suspend("acme")
        assert await acme.closed() == 4403
        assert (await globex.ask("whoami"))[0] == "you"


@pytest.mark.usefixtures("tenancy")
async def test_a_tenant_suspended_during_the_handshake_is_noticed() -> None:
    class Slow(Open):
        async def authorize(self) -> None:
            get_tenants().suspend("acme")

    await Client(Slow, tenant=ACME).expect_refusal(4403)


@pytest.mark.usefixtures("tenancy")
async def test_a_tenant_suspended_while_the_socket_is_accepted_is_noticed() -> None:
    class Late(Open):
        async def accept(self, subprotocol: str | None = None, headers: Any = None) -> None:
            get_tenants().suspend("acme")
            await super().accept(subprotocol, headers)

    client = Client(Late, tenant=ACME)
    await client.connect()
    assert await client.closed() == 4403


@pytest.mark.parametrize(("plain", "twin", "who", "code"), DISCONNECTIONS)
async def test_who_is_made_to_go_during_the_handshake_is_refused(
    plain: Any, twin: Any, who: Any, code: int
) -> None:
    class Slow(Open):
        async def authorize(self) -> None:
            plain(who)

    refused = Client(Slow, claims=claims(jti="7"), tenant=ACME)
    await refused.expect_refusal(code)
    other = Client(Slow, claims=claims("bob", jti="8"), tenant=GLOBEX)
    await other.connect()
    await other.disconnect()


@pytest.mark.parametrize(("plain", "twin", "who", "code"), DISCONNECTIONS)
async def test_who_is_made_to_go_while_the_socket_is_accepted_is_closed(
    plain: Any, twin: Any, who: Any, code: int
) -> None:
    class Late(Open):
        async def accept(self, subprotocol: str | None = None, headers: Any = None) -> None:
            await twin(who)
            await super().accept(subprotocol, headers)

    client = Client(Late, claims=claims(jti="7"), tenant=ACME)
    await client.connect()
    assert await client.closed() == code


@pytest.mark.parametrize(("plain", "twin", "who", "code"), DISCONNECTIONS)
async def test_who_is_made_to_go_before_the_gateway_is_reached_is_refused(
    tenancy: Any, plain: Any, twin: Any, who: Any, code: int
) -> None:
    async def tenants() -> list[str]:
        await twin(who)  # The token was verified before, and the consumer is not there yet.
        return ["acme", "globex"]

    tenancy.ARCLY_CHANNELS = {**tenancy.ARCLY_CHANNELS, "TENANTS": tenants}
    token = issue_token({"sub": "ann", "jti": "7", "tenant": "acme"})
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"x-tenant", b"acme")]
    socket = GatewayCommunicator(IdentityMiddlewareStack(Open.as_asgi()), "/", headers)
    await socket.expect_refusal(code)


@pytest.mark.parametrize("way", ["call", "twin", "parcel"])
async def test_handshake_meets_whatever_closes_its_group(way: str) -> None:
    async def close(layer: LocalChannelLayer, group: str) -> None:
        if way == "call":
            layer.close_group_now(group, 4499)
        elif way == "twin":
            await layer.close_group(group, 4499)
        else:
            layer.on_parcel(Parcel(Kind.CLOSE, EVERYONE, [group, 4499, ""]))

    class Slow(Open):
        async def authorize(self) -> None:
            await close(self.channel_layer, user_group("ann"))

    await Client(Slow, claims=claims()).expect_refusal(4499)


async def test_closing_a_group_in_one_layer_is_nothing_to_another(settings: Any) -> None:
    elsewhere = LocalChannelLayer()

    class Slow(Open):
        async def authorize(self) -> None:
            elsewhere.close_group_now(user_group("ann"), 4499)

    async with connected(Slow, claims=claims()):
        pass


async def test_user_who_is_made_to_go_while_their_claims_are_made_is_refused(
    settings: Any,
) -> None:
    async def claims_of(user: Any) -> dict[str, Any]:
        await arcly_channels.adisconnect_user("ann")
        return claims()

    settings.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": claims_of}
    socket = GatewayCommunicator(IdentityMiddlewareStack(Open.as_asgi()), "/")
    socket.scope["user"] = SimpleNamespace(is_authenticated=True)
    await socket.expect_refusal(4401)


@pytest.mark.parametrize("disconnect", [each[0] for each in DISCONNECTIONS])
async def test_who_was_made_to_go_may_come_back_at_once(disconnect: Any) -> None:
    for who in ("ann", "7", "acme"):
        disconnect(who)
    async with connected(claims=claims(jti="7"), tenant=ACME):
        pass


async def test_a_token_revoked_while_it_is_judged_does_not_stay() -> None:
    class Slow(Open):
        async def authorize(self) -> None:
            if self.claims and self.claims.get("jti") == "new":
                await arcly_channels.adisconnect_token("new")

    async with connected(Slow, claims=claims(jti="old")) as client:
        await client.emit("auth.refresh", {"token": issue_token({"sub": "ann", "jti": "new"})})
        assert await client.closed() == 4401


async def test_a_token_that_expires_during_the_handshake_is_noticed() -> None:
    class Slow(Open):
        async def authorize(self) -> None:
            await asyncio.sleep(0.1)

    client = Client(Slow, ["arcly.v1"], claims=claims(exp=time.time() + 0.05))
    await client.expect_refusal(4401)
    assert client.bye["code"] == 4401


async def test_a_tenant_removed_during_the_handshake_is_noticed(tenancy: Any) -> None:
    served = ["acme", "globex"]
    options = {"TENANTS": lambda: tuple(served), "TENANT_CACHE_SECONDS": 0}
    tenancy.ARCLY_CHANNELS = {**tenancy.ARCLY_CHANNELS, **options}

    class Slow(Open):
        async def authorize(self) -> None:
            served.remove("acme")
            await get_tenants().arefresh()

    await get_tenants().arefresh()
    await Client(Slow, tenant=ACME).expect_refusal(4403)


# Isolation, and what is told


@pytest.mark.usefixtures("tenancy")
async def test_no_group_of_a_tenant_can_be_made_up() -> None:
    room = "secret"
    guesses = [
        "arcly.t.acme.secret", "arcly.lobby.acme", "arcly.lobby", "arcly.user.ann",
        "acme.secret", "acme_secret", "secret", "t.acme.secret", "arcly.r.secret",
    ]  # fmt: skip
    async with AsyncExitStack() as stack:
        acme = await stack.enter_async_context(connected(claims=claims(), tenant=ACME))
        globex = await stack.enter_async_context(connected(tenant=GLOBEX))
        await acme.ask("join", room)
        for guess in [*guesses, arcly_channels.group_name(room, "acme")]:
            await globex.ask("join", guess)
            await arcly_channels.abroadcast_to_room(guess, "stolen", tenant=GLOBEX)
            await globex.expect("stolen")
        for guess in guesses:
            await layer().group_send(guess, {"type": "gateway.event", "event": "forged"})
        await arcly_channels.abroadcast_to_room(room, "own", tenant=ACME)
        await acme.expect("own")
        assert (await globex.ask("whoami"))[0] == "you"


async def test_no_token_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers: list[Any] = []
    good = issue_token({"sub": "ann", "email": "ann@example.com"})
    tokens = [good, good[:-4], issue_token({"sub": "bob"}), issue_token({"sub": "ann", "exp": 1})]
    app = IdentityMiddlewareStack(ForUsers.as_asgi())
    for token in tokens:
        for subprotocols in (["bearer", token], ["arcly.v1", "bearer", token]):
            socket = WebsocketCommunicator(app, "/", subprotocols=subprotocols)
            answers.append(await socket.connect())
            await socket.disconnect()
    async with connected(claims=claims()) as client:
        answers += [await client.ask("auth.refresh", {"token": token}) for token in tokens]
        answers.append(await client.ask(good, {"token": good}))
    gc.collect()
    told = caplog.text + repr(answers[:-1])
    for part in {part for token in tokens for part in token.split(".")}:
        assert part not in told
    assert "ann@example.com" not in told

"""Which tenant a request is for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from arcly_channels.identity.handshake import Handshake
from arcly_channels.identity.strategies import (
    Strategy,
    claim,
    header,
    header_then_subdomain,
    subdomain,
)
from arcly_channels.identity.tenancy import Tenant, TenantRegistry, get_tenants, is_mismatched


def ask(strategy: Strategy, claims: Any = None, **headers: str) -> str | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return strategy(Handshake(headers=named, is_websocket=True), claims)


# Strategies


@pytest.mark.parametrize(
    ("host", "id"),
    [
        ("acme.example.com", "acme"),
        ("acme.example.com:8000", "acme"),
        ("ACME.Example.COM", "acme"),
        ("acme.example.com.", "acme"),
        ("acme.example.com.:443", "acme"),
        ("acme.example.com:", "acme"),
        ("example.com", None),
        (".example.com", None),
        ("acme..example.com", None),
        ("a.b.example.com", None),
        ("-a.example.com", None),
        ("acmeexample.com", None),
        ("acme.example.com.evil.org", None),
        ("acme.evil.org", None),
        ("acme.example.com:80,globex.example.com", None),
        ("acme.example.com, acme.example.com", None),
        ("acme.example.com:8e3", None),
        ("acme.example.com:\u0661", None),
        ("[::1]:8000", None),
        ("[::ffff:acme.example.com]", None),
        ("127.0.0.1", None),
        ("a" * 64 + ".example.com", None),
        ("", None),
        ("..", None),
        (":", None),
    ],
)
def test_subdomain(host: str, id: str | None) -> None:
    assert ask(subdomain("example.com"), host=host) == id


def test_without_a_host_there_is_no_subdomain() -> None:
    assert ask(subdomain("example.com")) is None


def test_the_base_domain_may_be_written_in_any_way() -> None:
    assert ask(subdomain(".Example.com."), host="acme.example.com") == "acme"


def test_header() -> None:
    assert ask(header("X-Tenant"), x_tenant=" acme ") == "acme"
    assert ask(header("X-Tenant"), x_tenant=" ") is None
    assert ask(header("X-Tenant")) is None


def test_a_header_comes_before_the_subdomain() -> None:
    strategy = header_then_subdomain("X-Tenant", "example.com")
    assert ask(strategy, x_tenant="acme", host="globex.example.com") == "acme"
    assert ask(strategy, host="globex.example.com") == "globex"


def test_claim() -> None:
    assert ask(claim(), {"tenant": "acme"}) == "acme"
    assert ask(claim("org"), {"org": "acme"}) == "acme"
    for claims in (None, {}, {"tenant": 1}, {"tenant": ""}, {"tenant": ["acme"]}):
        assert ask(claim(), claims) is None


# The registry


def test_a_known_tenant_is_resolved() -> None:
    tenants = TenantRegistry(["acme", {"id": "globex", "name": "Globex"}, Tenant("initech")])
    assert tenants.resolve("acme") == Tenant("acme")
    assert tenants.resolve("globex") == Tenant("globex", "Globex")
    assert tenants.resolve("initech") == Tenant("initech")


@pytest.mark.parametrize("id", [None, "", "gone", "acme,globex"])
def test_an_unknown_id_gets_the_fallback_if_there_is_one(id: str | None) -> None:
    assert TenantRegistry(["acme"]).resolve(id) is None
    assert TenantRegistry(["acme"], fallback="acme").resolve(id) == Tenant("acme")
    assert TenantRegistry(["acme"], fallback="gone").resolve(id) is None


def test_a_suspended_tenant_is_none_and_never_the_fallback() -> None:
    tenants = TenantRegistry(["acme", "globex"], fallback="globex")
    assert tenants.suspend("acme")
    assert tenants.resolve("acme") is None
    assert tenants.get("acme") == Tenant("acme", suspended=True)
    assert tenants.resume("acme")
    assert tenants.resolve("acme") == Tenant("acme")


def test_a_suspended_fallback_serves_nobody() -> None:
    tenants = TenantRegistry(["acme"], fallback="acme")
    tenants.suspend("acme")
    assert tenants.resolve("gone") is None


def test_upsert_adds_and_replaces() -> None:
    tenants = TenantRegistry()
    assert tenants.upsert("acme") == Tenant("acme")
    assert tenants.upsert(Tenant("acme", "Acme")) == tenants.resolve("acme")
    assert tenants.upsert("acme", suspended=True).suspended
    assert tenants.resolve("acme") is None


def test_changes_to_an_unknown_tenant_say_so() -> None:
    assert not TenantRegistry().suspend("gone")
    assert not TenantRegistry().resume("gone")


@pytest.mark.parametrize("id", ["", "a b", "a,b", "é", "x" * 101, "a\n", 1, None])
def test_an_unusable_id_is_refused(id: Any) -> None:
    with pytest.raises(ValueError, match="is no id of a tenant"):
        Tenant(id)


def test_suspension_is_told_after_it_is_in_force() -> None:
    told = []
    tenants = TenantRegistry(
        ["acme"], on_suspended=lambda id: told.append((id, tenants.resolve(id)))
    )
    tenants.suspend("acme")
    tenants.upsert("globex", suspended=True)
    tenants.suspend("gone")
    assert told == [("acme", None), ("globex", None)]


def test_concurrent_changes_are_not_lost() -> None:
    tenants = TenantRegistry()
    ids = [f"t{number}" for number in range(400)]
    threads = [
        threading.Thread(target=lambda part: [tenants.upsert(id) for id in part], args=(ids[n::4],))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(tenants.resolve(id) for id in ids)


def test_threads_that_ask_first_get_the_same_registry(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ARCLY_CHANNELS = {"TENANTS": ["acme"], "TENANT_STRATEGY": {"CLAIM": "tenant"}}
    make, start = TenantRegistry.__init__, threading.Barrier(4)

    def make_slowly(self: TenantRegistry, *args: Any, **options: Any) -> None:
        time.sleep(0.01)  # For the others to ask meanwhile.
        make(self, *args, **options)

    def ask() -> TenantRegistry:
        start.wait()
        return get_tenants()

    monkeypatch.setattr(TenantRegistry, "__init__", make_slowly)
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(ask) for _ in range(4)]
    assert len({id(future.result()) for future in futures}) == 1


# A source


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A source that counts how often it is asked."""

    def __init__(self, *tenants: Any) -> None:
        self.tenants: tuple[Any, ...] = tenants
        self.asked = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> Any:
        self.asked += 1
        self.meanwhile()
        return self.tenants


def test_the_answer_of_a_source_is_used_for_its_lifetime() -> None:
    clock, source = Clock(), Source("acme")
    tenants = TenantRegistry(source=source, cache_seconds=5, clock=clock)
    for now, asked in ((0.0, 1), (4.9, 1), (5.0, 2), (5.1, 2)):
        clock.now = 1000 + now
        tenants.refresh()
        assert source.asked == asked
    assert tenants.resolve("acme") == Tenant("acme")


async def test_requests_that_come_together_ask_once() -> None:
    asked = []

    async def source() -> list[str]:
        asked.append(1)
        await asyncio.sleep(0)
        return ["acme"]

    tenants = TenantRegistry(source=source)
    await asyncio.gather(*(tenants.arefresh() for _ in range(10)))
    assert len(asked) == 1
    assert tenants.resolve("acme") == Tenant("acme")


async def test_a_request_that_is_cancelled_stops_nobody_else() -> None:
    release = asyncio.Event()

    async def source() -> list[str]:
        await release.wait()
        return ["acme"]

    tenants = TenantRegistry(source=source)
    first = asyncio.ensure_future(tenants.arefresh())
    second = asyncio.ensure_future(tenants.arefresh())
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    await second
    assert tenants.resolve("acme") == Tenant("acme")


def test_a_plain_source_serves_async_code_and_the_other_way_round() -> None:
    async def source() -> list[str]:
        return ["acme"]

    sync_code = TenantRegistry(source=source)
    sync_code.refresh()
    async_code = TenantRegistry(source=Source("acme"))
    asyncio.run(async_code.arefresh())
    assert sync_code.resolve("acme") == async_code.resolve("acme") == Tenant("acme")


async def test_a_lazy_answer_is_read_outside_the_event_loop() -> None:
    read_in = []

    def source() -> Iterator[str]:
        read_in.append(threading.get_ident())
        yield "acme"

    tenants = TenantRegistry(source=source)
    await tenants.arefresh()
    assert tenants.resolve("acme") == Tenant("acme")
    assert read_in != [threading.get_ident()]


def test_what_a_source_says_is_suspended_or_gone_is_told() -> None:
    clock, source, told = Clock(), Source("acme", "globex", "initech"), list[str]()
    tenants = TenantRegistry(source=source, cache_seconds=5, clock=clock, on_suspended=told.append)
    tenants.refresh()
    source.tenants = ("acme", {"id": "globex", "suspended": True})
    clock.now += 5
    tenants.refresh()
    assert told == ["globex", "initech"]


def test_a_failure_to_tell_of_one_tenant_spares_no_other() -> None:
    clock, source, told = Clock(), Source("acme", "globex"), list[str]()

    def tell(id: str) -> None:
        told.append(id)
        raise TimeoutError(id)

    tenants = TenantRegistry(source=source, cache_seconds=5, clock=clock, on_suspended=tell)
    tenants.refresh()
    source.tenants = ()
    clock.now += 5
    with pytest.raises(TimeoutError):
        tenants.refresh()
    assert told == ["acme", "globex"]


def test_a_change_made_while_the_source_is_asked_holds() -> None:
    clock, source = Clock(), Source("acme")
    tenants = TenantRegistry(source=source, cache_seconds=5, clock=clock)
    tenants.refresh()
    clock.now += 5
    source.tenants = ("acme", "globex")

    source.meanwhile = lambda: tenants.suspend("acme")
    tenants.refresh()
    assert tenants.resolve("acme") is None
    source.meanwhile = lambda: None
    tenants.refresh()
    assert tenants.resolve("globex") == Tenant("globex")


def test_a_change_made_while_the_source_is_asked_hides_nothing_else() -> None:
    clock, source = Clock(), Source("acme", "globex")
    tenants = TenantRegistry(source=source, cache_seconds=5, clock=clock)
    source.meanwhile = lambda: tenants.upsert("initech")
    tenants.refresh()
    assert tenants.resolve("acme") == Tenant("acme")
    source.tenants = ("acme",)
    tenants.refresh()
    assert tenants.resolve("globex") is None
    assert tenants.resolve("initech") == Tenant("initech")
    source.meanwhile = lambda: None
    tenants.refresh()
    assert tenants.resolve("initech") is None


def test_a_failing_source_fails_the_request() -> None:
    def source() -> Any:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        TenantRegistry(source=source).refresh()


@pytest.mark.parametrize(
    ("claims", "tenant", "is_wrong"),
    [
        (None, None, False),
        (None, Tenant("acme"), False),
        ({}, Tenant("acme"), False),
        ({"tenant": None}, Tenant("acme"), False),
        ({"tenant": "acme"}, Tenant("acme"), False),
        ({"tenant": "acme"}, "acme", False),
        ({"tenant": "acme"}, Tenant("globex"), True),
        ({"tenant": "acme"}, None, True),
        ({"tenant": ""}, Tenant("acme"), True),
        ({"tenant": 1}, Tenant("1"), True),
    ],
)
def test_a_token_for_another_tenant_is_noticed(claims: Any, tenant: Any, is_wrong: bool) -> None:
    assert is_mismatched(claims, tenant) is is_wrong

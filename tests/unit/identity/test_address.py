"""Where a client comes from: what a proxy says is believed where it is trusted, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels.conf.limits import read_proxies
from arcly_channels.identity.address import origin_of

PROXIES = ["10.0.0.0/8", "2001:db8:1::/48"]


def origin(client: str | None, *forwarded: str, proxies: list[str] = PROXIES) -> str | None:
    scope: dict[str, Any] = {"type": "websocket", "client": client and (client, 5000)}
    scope["headers"] = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    return origin_of(scope, read_proxies(proxies))


@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1"])
def test_client_without_a_proxy_comes_from_its_own_address(address: str) -> None:
    assert origin(address) == "192.0.2.1"


def test_addresses_of_ipv6_count_by_network() -> None:
    assert origin("2001:db8:9:9::1") == origin("2001:db8:9:9:ffff::2") == "2001:db8:9:9::/64"
    assert origin("2001:db8:9:8::1") != origin("2001:db8:9:9::1")


def test_nobody_but_a_proxy_is_believed() -> None:
    assert origin("192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert origin("10.0.0.1", "198.51.100.7", proxies=[]) == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        (["10.9.9.9, 198.51.100.7,10.2.3.4"], "198.51.100.7"),
        (["198.51.100.7:4711"], "198.51.100.7"),
        (["[2001:db8:9:9::1]:4711"], "2001:db8:9:9::/64"),
        (["2001:db8:9:9::1, 2001:db8:1::5"], "2001:db8:9:9::/64"),
        (["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
        (["198.51.100.7, unknown"], "10.0.0.1"),
        (["198.51.100.7, unknown, 10.2.3.4"], "10.2.3.4"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["\xff"], "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_of_no_proxy_is_the_clients(
    forwarded: list[str], found: str
) -> None:
    assert origin("10.0.0.1", *forwarded) == found


def test_client_of_a_unix_socket_has_no_address() -> None:
    assert origin(None) is None
    assert origin(None, "198.51.100.7") is None


def test_proxy_behind_a_unix_socket_is_believed_where_it_is_trusted() -> None:
    assert origin(None, "1.1.1.1, 198.51.100.7", proxies=["unix"]) == "198.51.100.7"
    assert origin(None, proxies=["unix"]) is None


def test_what_is_no_address_is_none() -> None:
    assert origin("testclient", "198.51.100.7", proxies=["unix"]) is None

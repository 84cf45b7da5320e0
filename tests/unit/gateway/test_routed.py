"""Where gateways are found: at which addresses, with which parameters."""

from __future__ import annotations

from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

from arcly_channels import GatewayConsumer
from arcly_channels.gateway.routed import routed_gateways


class Lobby(GatewayConsumer):
    pass


lobby: Any = Lobby.as_asgi()
NUMBER = {"type": "integer", "minimum": 0}


class Wrapping:
    """Middleware that has what it wraps under two names."""

    def __init__(self, inner: Any) -> None:
        self.inner = self.app = inner

    async def __call__(self, *args: Any) -> None:
        pass


Wrapper: Any = Wrapping  # Which `path()` has no type for.


def text(pattern: str) -> dict[str, str]:
    return {"type": "string", "pattern": pattern}


@pytest.mark.parametrize(
    ("route", "address", "parameters"),
    [
        (path("", lobby), "/", {}),
        (path("ws/<int:id>/", lobby), "/ws/{id}/", {"id": NUMBER}),
        (path("ws/<room>/", lobby), "/ws/{room}/", {"room": text("^(?:[^/]+)$")}),
        (path("<uuid:id>", lobby), "/{id}", {"id": {"type": "string", "format": "uuid"}}),
        (re_path(r"^ws/chat/$", lobby), "/ws/chat/", {}),
        (re_path(r"ws/(?P<x>a(b|[(])\))/?$", lobby), "/ws/{x}", {"x": text(r"^(?:a(b|[(])\))$")}),
        (re_path(r"^ws/(\d+)/", lobby), "/ws/{_0}/", {"_0": {"type": "string"}}),
        (path("a/<int:id>/", URLRouter([path("b/", lobby)])), "/a/{id}/b/", {"id": NUMBER}),
        (re_path(r"^a/", URLRouter([re_path(r"^b/$", lobby)])), "/a/b/", {}),
        (path("a/", Wrapper(Wrapper(lobby))), "/a/", {}),
        (path("a/", Wrapper(URLRouter([path("b/", lobby)]))), "/a/b/", {}),
    ],
)
def test_gateway_is_found_at_its_address(
    route: Any, address: str, parameters: dict[str, Any]
) -> None:
    (found,) = routed_gateways(ProtocolTypeRouter({"websocket": Wrapper(URLRouter([route]))}))
    assert (found.gateway, found.address, found.parameters) == (Lobby, address, parameters)


def test_gateway_without_a_router_has_no_address() -> None:
    (found,) = routed_gateways(Wrapper(lobby))
    assert found.address is None


def test_middleware_on_the_way_is_named_from_the_outside() -> None:
    inner, outer = Wrapper(lobby), Wrapper(None)
    outer.inner = outer.app = URLRouter([path("", inner)])
    (found,) = routed_gateways(outer)
    assert [each for each in found.behind if isinstance(each, Wrapping)] == [outer, inner]


def test_middleware_that_is_around_itself_is_looked_at_once() -> None:
    wrapper = Wrapper(lobby)
    wrapper.app = wrapper
    assert len(routed_gateways(wrapper)) == 1

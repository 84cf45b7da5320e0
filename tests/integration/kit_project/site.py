"""The page and the gateway of the project: both count its users."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path

from arcly_channels import GatewayConsumer, subscribe


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{User.objects.count()} users")


class Users(GatewayConsumer):
    async def on_connect(self) -> None:
        await self.join_room("users")

    @subscribe("count")
    async def count(self, data: Any) -> int:
        return int(await User.objects.acount())

    @subscribe("count in a thread")
    def count_in_thread(self, data: Any) -> int:
        return int(User.objects.count())


urlpatterns = [path("", count)]

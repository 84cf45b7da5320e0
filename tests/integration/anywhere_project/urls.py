"""Views that publish, in each way there is."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse
from django.urls import path

from arcly_channels import abroadcast_to_room, broadcast_to_room


def plain(request: HttpRequest, room: str, number: int) -> HttpResponse:
    broadcast_to_room(room, "tick", number)
    return HttpResponse("sent")


def group_send(request: HttpRequest, room: str, number: int) -> HttpResponse:
    message = {"type": "gateway.event", "event": "tick", "data": number}
    async_to_sync(get_channel_layer().group_send)(room, message)
    return HttpResponse("sent")


async def asynchronous(request: HttpRequest, room: str, number: int) -> HttpResponse:
    await abroadcast_to_room(room, "tick", number)
    return HttpResponse("sent")


urlpatterns = [
    path(f"{view.__name__}/<room>/<int:number>", view) for view in (plain, group_send, asynchronous)
]

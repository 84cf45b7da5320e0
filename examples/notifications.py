"""Notifications: whoever is given a ticket is told, in all tabs, once it is in the database."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from arcly_channels import GatewayConsumer, broadcast_to_room


class Ticket(models.Model):
    title = models.CharField(max_length=100)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)

    def __str__(self) -> str:
        return self.title


@receiver(post_save, sender=Ticket)
def tell_assignee(instance: Ticket, **kwargs: Any) -> None:
    """Tell the assignee after the commit: what is rolled back has never been."""
    room, ticket = f"user {instance.assignee_id}", {"title": instance.title}

    def tell() -> None:
        broadcast_to_room(room, "ticket.assigned", ticket)

    transaction.on_commit(tell, robust=True)  # A Redis that is away fails no request.


class Notifications(GatewayConsumer):
    require_claims = True  # Those of a user who is logged in.

    async def on_connect(self) -> None:
        await self.join_room(f"user {self.scope['user'].pk}")

"""The tests of the examples: `python -m examples test examples`. They need no Redis."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from arcly_channels import EventRefused, RelayUnavailable
from arcly_channels.testing import GatewayCommunicator, GatewayTestMixin, capture_broadcasts
from examples import notifications
from examples.auction import Auction, Lot
from examples.celery import app
from examples.cursors import DOCUMENTS, Cursors
from examples.dashboard import Dashboard
from examples.notifications import Notifications, Ticket
from examples.progress import Progress

User = get_user_model()
GONE = RelayUnavailable("its Redis is away")
in_memory = override_settings(
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
)


class NotificationsTest(GatewayTestMixin, TransactionTestCase):
    def test_assignee_is_told_once_the_ticket_is_in_the_database(self) -> None:
        ann = User.objects.create(username="ann")
        with capture_broadcasts() as broadcasts:
            with transaction.atomic():
                Ticket.objects.create(title="Tea", assignee=ann)
                broadcasts.expect_nothing()
            broadcasts.expect("ticket.assigned", {"title": "Tea"}, room=f"user {ann.pk}")

    def test_ticket_is_saved_though_redis_is_away(self) -> None:
        away = mock.patch.object(notifications, "broadcast_to_room", side_effect=GONE)
        with away, self.assertLogs("django", "ERROR"):
            ticket = Ticket.objects.create(title="Tea", assignee=User.objects.create())
        self.assertTrue(Ticket.objects.filter(pk=ticket.pk).exists())

    async def test_users_are_in_rooms_of_their_own(self) -> None:
        ann = self.gateway_client(Notifications.as_asgi())
        await ann.connect(claims={"sub": "7"}, user=User(pk=7), subprotocol="arcly.v1")
        await ann.expect("gateway:joined", {"room": "user 7"})


@in_memory
class DashboardTest(GatewayTestMixin, SimpleTestCase):
    async def test_those_who_look_and_those_who_come_see_what_was_measured(self) -> None:
        first, second = (self.gateway_client(Dashboard.as_asgi()) for _ in range(2))
        await first.connect()
        await sync_to_async(call_command)("feed_dashboard", once=True)
        figures = await first.expect("figures")
        self.assertEqual(figures["clients"], 1)
        await second.connect()
        await second.expect("figures", figures)


class CursorsTest(GatewayTestMixin, SimpleTestCase):
    async def test_others_see_where_somebody_is(self) -> None:
        ann, bob = [await self.enter() for _ in range(2)]
        who = (await ann.expect("cursor.came"))["who"]
        await bob.emit("cursor.move", 5)
        await ann.expect("cursor.moved", {"who": who, "at": 5})
        await bob.expect_nothing()
        await bob.disconnect()
        await ann.expect("cursor.left", {"who": who})

    async def test_who_moves_too_often_is_told(self) -> None:
        ann = await self.enter()
        for at in range(40):  # Twenty pass, and twenty a second.
            await ann.emit("cursor.move", at)
        await ann.expect_error("rate_limited")

    async def enter(self) -> GatewayCommunicator:
        client = self.gateway_client(Cursors.as_asgi())
        await client.connect(subprotocol="arcly.v1")
        self.assertEqual(await client.request("document.open", "tea"), DOCUMENTS["tea"])
        await client.expect("gateway:joined", {"room": "document tea"})
        return client


class AuctionTest(GatewayTestMixin, TransactionTestCase):
    async def test_one_of_two_equal_bids_is_taken(self) -> None:
        ann, bob = await self.bidders("ann", "bob")
        answers = await asyncio.gather(
            *(each.request("bid", {"amount": 10}) for each in (ann, bob)), return_exceptions=True
        )
        (refusal,) = (each for each in answers if isinstance(each, EventRefused))
        self.assertEqual(refusal.code, "invalid_payload")
        price = await ann.expect("price")
        self.assertEqual(price["price"], 10)
        await bob.expect("price", price)

    async def test_bid_of_nothing_is_none(self) -> None:
        (ann,) = await self.bidders("ann")
        with self.assertRaises(EventRefused) as raised:
            await ann.request("bid", {"amount": 0})
        self.assertEqual(raised.exception.details[0]["path"], "data.amount")

    async def bidders(self, *names: str) -> list[GatewayCommunicator]:
        lot = await Lot.objects.acreate(title="A teapot")
        found = []
        for name in names:
            client = self.gateway_client(Auction.as_asgi())
            scope: Any = {"claims": {"sub": name}, "user": User(username=name)}
            scope["url_route"] = {"kwargs": {"pk": lot.pk}}
            await client.connect(subprotocol="arcly.v1", **scope)
            await client.expect("gateway:joined")
            await client.expect("price", {"price": 0, "bidder": ""})
            found.append(client)
        return found


@in_memory
class ProgressTest(GatewayTestMixin, SimpleTestCase):
    async def test_progress_can_be_looked_at_later(self) -> None:
        client = self.gateway_client(Progress.as_asgi())
        await client.connect(subprotocol="arcly.v1")
        app.conf.task_always_eager = True  # In this process, for want of a worker.
        self.addCleanup(setattr, app.conf, "task_always_eager", False)
        with capture_broadcasts() as told:
            task = await client.request("work.start", 2)
        self.assertEqual([each.data["done"] for each in told], [1, 2])
        await client.join(task)
        self.assertEqual(await client.request("work.look", task), told[-1].data)

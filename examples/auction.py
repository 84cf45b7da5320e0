"""An auction: bids have a type, and of two at once the database takes one."""

from __future__ import annotations

from django.db import models
from pydantic import BaseModel, Field

from arcly_channels import CloseCode, GatewayConsumer, InvalidPayload, Refused, subscribe


class Lot(models.Model):
    title = models.CharField(max_length=100)
    price = models.PositiveIntegerField(default=0)
    bidder = models.CharField(max_length=150, blank=True)


class Bid(BaseModel):
    amount: int = Field(gt=0, le=1_000_000)


class Price(BaseModel, from_attributes=True):
    price: int
    bidder: str


class Auction(GatewayConsumer):
    require_claims = True  # Those of a user who is logged in.
    sends = {"price": Price}

    async def authorize(self) -> None:
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        if not await Lot.objects.filter(pk=self.pk).aexists():
            raise Refused(CloseCode.FORBIDDEN, "there is no such lot")

    async def on_connect(self) -> None:
        await self.join_room(f"lot {self.pk}")
        lot = await Lot.objects.aget(pk=self.pk)  # After joining, so that no bid is missed.
        await self.emit("price", Price.model_validate(lot))

    @subscribe("bid", rate="5/s")
    async def bid(self, data: Bid) -> None:
        """Compare and set in one statement: so two bids at once are right, in any process."""
        new = Price(price=data.amount, bidder=self.scope["user"].username)
        lower = Lot.objects.filter(pk=self.pk, price__lt=new.price)
        if not await lower.aupdate(**new.model_dump()):
            raise InvalidPayload([{"path": "data.amount", "message": "Somebody bids as much."}])
        await self.broadcast_to_room(f"lot {self.pk}", "price", new)

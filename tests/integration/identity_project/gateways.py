"""The gateways of the project."""

from __future__ import annotations

from typing import Any

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.identity import Tenant


class Lobby(GatewayConsumer):
    """Says who it thinks its client is."""

    async def on_connect(self) -> None:
        await self.emit("hello", self.who())

    @subscribe("whoami")
    async def whoami(self, data: Any) -> None:
        await self.emit("you", self.who())

    @subscribe("pay", perms="orders:pay")
    async def pay(self, data: Any) -> None:
        await self.emit("paid")

    def who(self) -> dict[str, Any]:
        tenant = self.tenant.id if isinstance(self.tenant, Tenant) else None
        return {"sub": self.claims and self.claims["sub"], "tenant": tenant}


class Members(Lobby):
    require_claims = True


class Anywhere(Lobby):
    require_tenant = False

"""A dashboard: what `python -m examples feed_dashboard` measures, all that look at the page see."""

from __future__ import annotations

from django.core.cache import cache

from arcly_channels import GatewayConsumer

DASHBOARD = "dashboard"
"""The room, and the key by which the cache has what was measured last."""


class Dashboard(GatewayConsumer):
    async def on_connect(self) -> None:
        await self.join_room(DASHBOARD)
        figures = await cache.aget(DASHBOARD)  # After joining, so that nothing is missed.
        if figures is not None:
            await self.emit("figures", figures)

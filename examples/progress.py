"""Progress bars: a task, which `celery -A examples worker` runs, says how far it is."""

from __future__ import annotations

import time
from typing import Annotated, Any
from uuid import UUID

from django.core.cache import cache
from pydantic import Field

from arcly_channels import GatewayConsumer, broadcast_to_room, subscribe
from examples.celery import app

TASKS = "tasks"
"""The namespace of the rooms, each of which is called as the task that it is of."""


@app.task(bind=True)  # type: ignore[untyped-decorator]  # Celery has no types.
def work(self: Any, steps: int) -> None:
    for done in range(1, steps + 1):
        time.sleep(0.1)  # The work itself.
        progress = {"done": done, "steps": steps}
        cache.set(self.request.id, progress, 3600)
        broadcast_to_room(self.request.id, "progress", progress, namespace=TASKS)


class Progress(GatewayConsumer):
    room_namespace = TASKS

    async def may_join(self, room: str) -> None:
        """Let in whoever knows the id of a task, which nobody can guess."""

    @subscribe("work.start", rate="1/s", burst=3)
    def start(self, steps: Annotated[int, Field(ge=1, le=100)]) -> str:
        """Reply with the id of a new task. No `async def`, as Celery waits for its broker."""
        task: str = work.delay(steps).id
        return task

    @subscribe("work.look")
    async def look(self, task: UUID) -> Any:
        return await cache.aget(str(task))

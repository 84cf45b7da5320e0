"""A slow database query, made the way Channels' documentation says to make one."""

from __future__ import annotations

import time

from channels.db import database_sync_to_async
from django.db import connection


def _query(seconds: float) -> None:
    connection.ensure_connection()
    connection.connection.create_function("pause", 1, time.sleep)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pause(%s)", [seconds])


async def slow_query(seconds: float) -> None:
    """Wait for the query in Django's one thread for such calls, like any ORM call of a consumer."""
    await database_sync_to_async(_query)(seconds)

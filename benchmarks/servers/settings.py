"""The Django settings of the benchmarked servers: both layers, and a database in memory.

Keep-alive frames would be counted as the benchmark's own, so they are off unless
`BENCH_KEEPALIVE` is set.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

SECRET_KEY = "benchmarks"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["channels", *(["arcly_channels"] if find_spec("arcly_channels") else [])]

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"},
    # The default capacity of 100 would drop frames, and then there is nothing to compare.
    "stock": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1_000_000}},
}
ARCLY_CHANNELS = {} if "BENCH_KEEPALIVE" in os.environ else {"PING_INTERVAL": 0, "IDLE_TIMEOUT": 0}

"""The Django settings of the benchmarked servers: both layers, and a database in memory.

Keep-alive frames would be counted as the benchmark's own, so they are off unless
`BENCH_KEEPALIVE` is set. What clients send is counted as always, but there are none that send too
much, unless `BENCH_LIMITS` is set.
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
ARCLY_CHANNELS: dict[str, Any] = {"JWT": {"KEYS": ["benchmarks" * 4]}}
if "BENCH_KEEPALIVE" not in os.environ:
    ARCLY_CHANNELS |= {"PING_INTERVAL": 0, "IDLE_TIMEOUT": 0}
if "BENCH_LIMITS" not in os.environ:
    ARCLY_CHANNELS |= {"RATE_LIMIT": {"EVENTS": 1e6, "BYTES": 1e10, "ERRORS": 10**6}}

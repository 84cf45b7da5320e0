"""The Django settings of the benchmarked servers: both layers, and a database in memory.

The layers are those of one process, unless `BENCH_REDIS` is the URL of a Redis and `BENCH_LAYER`
the name of a layer that goes over it.

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

# The default capacity of 100 would drop frames, and then there is nothing to compare.
CAPACITY = 1_000_000
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"},
    "stock": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": CAPACITY}},
}
OVER_REDIS = {
    "relay": ("default", "arcly_channels.layers.RedisChannelLayer"),
    "core": ("stock", "channels_redis.core.RedisChannelLayer"),
    "pubsub": ("stock", "channels_redis.pubsub.RedisPubSubChannelLayer"),
}
"""The alias of each, and its class."""
if url := os.environ.get("BENCH_REDIS"):
    alias, backend = OVER_REDIS[os.environ["BENCH_LAYER"]]
    CHANNEL_LAYERS[alias] = {
        "BACKEND": backend,
        "CONFIG": {"hosts": [url], "capacity": CAPACITY},
    }
ARCLY_CHANNELS: dict[str, Any] = {"JWT": {"KEYS": ["benchmarks" * 4]}}
if "BENCH_KEEPALIVE" not in os.environ:
    ARCLY_CHANNELS |= {"PING_INTERVAL": 0, "IDLE_TIMEOUT": 0}
if "BENCH_LIMITS" not in os.environ:
    ARCLY_CHANNELS |= {"RATE_LIMIT": {"EVENTS": 1e6, "BYTES": 1e10, "ERRORS": 10**6}}

"""The settings of the demo, with a key for those who watch it."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403  # All of them but one.
from demo_project.settings import ARCLY_CHANNELS as OF_THE_DEMO

KEY = "a-key-for-the-tests-of-gateway_top"
ARCLY_CHANNELS = {**OF_THE_DEMO, "WATCH_KEY": KEY}

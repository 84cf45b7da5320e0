"""The same for Django's test cases, whose tests are `async def`."""

from __future__ import annotations

import unittest
from contextlib import ExitStack
from typing import Any

from asgiref.sync import iscoroutinefunction

from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing.clients import Clients
from arcly_channels.testing.clock import Clock
from arcly_channels.testing.isolation import isolated_layers


class GatewayTestMixin(unittest.TestCase):
    """Goes before `SimpleTestCase`, `TransactionTestCase` or any other case.

    Each test has channel layers of its own, and clients that are disconnected at its end. A `setUp`
    of your own calls `super().setUp()`.
    """

    gateway_layer: LocalChannelLayer
    """The default channel layer of this test."""
    gateway_clock: Clock
    """Makes time pass."""
    gateway_client: Clients
    """Makes communicators."""

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803  # unittest's name.
        super().__init__(methodName)
        self.gateway_client = Clients()
        test: Any = getattr(self, methodName, None)
        if iscoroutinefunction(test):  # Django makes it sync; its event loop ends with it.
            setattr(self, methodName, self.gateway_client.closing(test))

    def setUp(self) -> None:
        """Have channel layers and a clock of its own."""
        super().setUp()
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.gateway_clock = stack.enter_context(Clock())
        self.gateway_layer = stack.enter_context(isolated_layers())

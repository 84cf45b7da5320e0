"""For the tests of a project: clients of its gateways, without a server or with one."""

from arcly_channels.testing.broadcasts import Broadcast, Broadcasts, capture_broadcasts
from arcly_channels.testing.clients import Clients
from arcly_channels.testing.clock import Clock
from arcly_channels.testing.communicator import GatewayCommunicator
from arcly_channels.testing.isolation import isolated_layers
from arcly_channels.testing.live import LiveGatewayTestCase, LiveServer
from arcly_channels.testing.testcases import GatewayTestMixin

__all__ = [
    "Broadcast",
    "Broadcasts",
    "Clients",
    "Clock",
    "GatewayCommunicator",
    "GatewayTestMixin",
    "LiveGatewayTestCase",
    "LiveServer",
    "capture_broadcasts",
    "isolated_layers",
]

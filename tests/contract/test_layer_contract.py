"""The layers of this package keep the contract of layers."""

from arcly_channels.testing.contract import *  # noqa: F403

"""The models, each of which is beside its gateway: Django looks for them here."""

from __future__ import annotations

from examples.auction import Lot
from examples.notifications import Ticket

__all__ = ["Lot", "Ticket"]

"""What ann and bob can make in Django's admin."""

from __future__ import annotations

from django.contrib import admin

from examples.models import Lot, Ticket

admin.site.register([Lot, Ticket])

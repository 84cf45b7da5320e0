"""The Django application: system checks, the layers, sessions that end, and metrics."""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import AppConfig


class ArclyChannelsConfig(AppConfig):
    """Put "arcly_channels" into INSTALLED_APPS."""

    name = "arcly_channels"
    verbose_name = "Arcly Channels"

    def ready(self) -> None:
        from arcly_channels import checks  # noqa: F401  # Registers them.
        from arcly_channels.gateway.disconnect import follow_users
        from arcly_channels.layers.configured import make_layers

        make_layers()
        follow_users()

        if find_spec("prometheus_client") is not None:
            from arcly_channels import metrics

            metrics.register()

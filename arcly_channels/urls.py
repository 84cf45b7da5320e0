"""To be included by a project: `path("", include("arcly_channels.urls"))`."""

from __future__ import annotations

from django.urls import path

from arcly_channels import views

app_name = "arcly_channels"
urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("gateway-top", views.gateway_top, name="gateway-top"),
]

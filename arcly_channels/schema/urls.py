"""To be included by a project: `path("gateways/", include("arcly_channels.schema.urls"))`."""

from __future__ import annotations

from django.urls import path

from arcly_channels.schema import views

app_name = "arcly_channels_schema"
urlpatterns = [
    path("", views.page, name="page"),
    path("asyncapi.json", views.asyncapi, name="asyncapi"),
]

"""The pages of the demo, and its operations: `/admin/`, `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from demo_project.chat import views
from demo_project.slow_client.views import slow_client

urlpatterns = [
    path("", views.chat, name="chat"),
    path("enter/", views.enter, name="enter"),
    path("moderate/<action>/", views.moderate, name="moderate"),
    path("slow-client/", slow_client, name="slow-client"),
    path("admin/", admin.site.urls),  # Connections, with a button to disconnect somebody.
    path("", include("django_prometheus.urls")),
    path("", include("arcly_channels.urls")),
    path("gateways/", include("arcly_channels.schema.urls")),  # What they take and send.
    *staticfiles_urlpatterns(),  # Of the admin, which Daphne does not serve; only with DEBUG.
]

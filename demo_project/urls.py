"""The pages of the demo, its metrics at `/metrics`, and its health at `/healthz` and `/readyz`."""

from __future__ import annotations

from django.urls import include, path

from demo_project.chat import views

urlpatterns = [
    path("", views.chat, name="chat"),
    path("enter/", views.enter, name="enter"),
    path("moderate/<action>/", views.moderate, name="moderate"),
    path("", include("django_prometheus.urls")),
    path("", include("arcly_channels.urls")),
]

"""The pages of the demo, and its metrics at `/metrics`."""

from __future__ import annotations

from django.urls import include, path

from demo_project.chat import views

urlpatterns = [
    path("", views.chat, name="chat"),
    path("enter/", views.enter, name="enter"),
    path("moderate/<action>/", views.moderate, name="moderate"),
    path("", include("django_prometheus.urls")),
]

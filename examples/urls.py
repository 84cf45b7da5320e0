"""The pages of the examples, and Django's admin, where ann and bob log in."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.urls import path
from django.views.generic import DetailView, TemplateView

from examples.auction import Lot

auction = DetailView.as_view(model=Lot, template_name="auction.html")
notifications = TemplateView.as_view(template_name="notifications.html")

urlpatterns = [
    path("", TemplateView.as_view(template_name="index.html")),
    path("admin/", admin.site.urls),
    path("auction/<int:pk>/", staff_member_required(auction)),
    path("cursors/", TemplateView.as_view(template_name="cursors.html")),
    path("dashboard/", TemplateView.as_view(template_name="dashboard.html")),
    path("notifications/", staff_member_required(notifications)),
    path("progress/", TemplateView.as_view(template_name="progress.html")),
]

"""The page of the slow client."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from demo_project.pages import show
from demo_project.slow_client.load import PER_SECOND, SECONDS, SIZE
from demo_project.slow_client.stalled import CLIENTS


@require_safe
def slow_client(request: HttpRequest) -> HttpResponse:
    """Show the page. It connects to both servers, of which the other may be missing."""
    host = request.get_host().removesuffix(f":{request.get_port()}")
    port = settings.STOCK_PORT
    stock = f"ws://{host}:{port}" if port else ""
    context = {
        "stock": stock,
        "clients": CLIENTS,
        "kilobytes": SIZE // 1024,
        "per_second": PER_SECOND,
        "seconds": SECONDS,
    }
    return show(request, "slow_client/page.html", context, connects_to=stock)

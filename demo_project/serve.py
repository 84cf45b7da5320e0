"""The demo, and beside it the same on stock Channels, which the page of the slow client shows.

`python -m demo_project.serve PORT`; `make demo` calls it. What it starts ends with it.
"""

from __future__ import annotations

import sys

from demo_project.programs import (
    daphne,
    free_port,
    interruptible,
    migrate,
    require_free,
    running,
    tell,
    wait_for,
    welcome,
)


def main() -> None:
    with interruptible():
        serve(int(sys.argv[1]))


def serve(port: int) -> None:
    """Run both servers until this is interrupted, or the demo ends by itself."""
    require_free(port, "demo")
    beside = free_port()
    stock = daphne("demo_project.stock.asgi:application", "--port", str(beside))
    demo = daphne("demo_project.asgi:application", "--port", str(port))
    stock_settings = {"DJANGO_SETTINGS_MODULE": "demo_project.stock.settings"}
    with running(stock, environment=stock_settings) as (other,):
        migrate()
        wait_for(other, beside)
        tell(welcome(port))
        with running(demo, environment={"DEMO_STOCK_PORT": str(beside)}) as (server,):
            server.wait()


if __name__ == "__main__":
    main()

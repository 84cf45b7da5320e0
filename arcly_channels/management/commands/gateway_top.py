"""`manage.py gateway_top URL`: what goes on in a running server, in the terminal."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arcly_channels.conf.settings import get_settings
from arcly_channels.management.watching import Overview, Remote, Unwatchable, lines, printable

try:
    import curses
except ImportError:  # On Windows.
    curses = None  # type: ignore[assignment]

KEY = "ARCLY_WATCH_KEY"
"""The variable of the environment for the server's key, which `ps` would show as an argument."""

SHORTEST_INTERVAL = 0.1


class Command(BaseCommand):
    help = "Show connections, rooms, rates and the slowest clients of a running server."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "url", help="where arcly_channels.urls is included, as in http://localhost:8000/"
        )
        parser.add_argument("--once", action="store_true", help="show it once, as plain lines")
        parser.add_argument(
            "--interval", type=float, default=2.0, help="seconds between two looks (default: 2)"
        )
        parser.add_argument(
            "--clients", type=int, default=20, help="how many clients to show (default: 20)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Show it until Ctrl-C; raise `CommandError` if there is nothing to see at the start."""
        if options["interval"] < SHORTEST_INTERVAL or options["clients"] < 0:
            raise CommandError(f"--interval is {SHORTEST_INTERVAL} at least, and --clients 0")
        key = os.environ.get(KEY) or get_settings().WATCH_KEY
        try:
            remote = Remote(options["url"], key, options["clients"])
            first = remote.look()
        except Unwatchable as problem:
            raise CommandError(str(problem)) from None
        display = Display(remote, first)
        with suppress(KeyboardInterrupt):
            if curses is not None and self.stdout.isatty() and not options["once"]:
                curses.wrapper(_show_on_screen, display, options["interval"])
                return
            self._write(display.shown)
            while not options["once"]:
                time.sleep(options["interval"])
                self._write(["", *display.look()])

    def _write(self, shown: list[str]) -> None:
        for line in shown:
            self.stdout.write(line)
        self.stdout.flush()


class Display:
    """Looks again and again, and says so when there is nothing to see for a while."""

    def __init__(self, remote: Remote, first: Overview) -> None:
        self._remote = remote
        self._last = first
        self.shown = list(lines(first, None))
        """What there was to see at the last look."""

    def look(self) -> list[str]:
        """Return what there is to see now."""
        try:
            now = self._remote.look()
        except Unwatchable as problem:
            self.shown = [printable(str(problem))]
        else:
            self.shown = list(lines(now, self._last))
            self._last = now
        return self.shown


def _show_on_screen(screen: Any, display: Display, interval: float) -> None:
    """Show it on a screen of its own until Ctrl-C or q."""
    with suppress(curses.error):  # Of a terminal that cannot.
        curses.curs_set(0)
    screen.timeout(round(1000 * interval))
    while True:
        screen.erase()
        height, width = screen.getmaxyx()
        for row, line in enumerate(display.shown[: height - 1]):
            screen.addnstr(row, 0, line, width - 1)
        screen.refresh()
        pressed = screen.getch()
        if pressed in (ord("q"), ord("Q")):
            return
        if pressed == -1:  # Nothing was, for as long as the interval.
            display.look()

"""Programs that the demo starts, side by side, and ends by their process ids."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
START_DEADLINE = 30  # In seconds.
END_DEADLINE = 20  # Longer than DRAIN_DEADLINE.


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C, and what else asks this program to end, end what is inside in good order."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Or what it started would stay.
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def running(
    *commands: list[str], environment: dict[str, str] | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run programs side by side. At the end all are asked to end, and waited for."""
    programs: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            programs.append(
                subprocess.Popen(  # noqa: S603  # The commands are the demo's own.
                    command,
                    cwd=HERE.parent,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,  # Ctrl-C is for this program only, which tells them.
                )
            )
        yield programs
    finally:
        for program in programs:
            program.terminate()
        for program in programs:
            try:
                program.wait(END_DEADLINE)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def wait_for(program: subprocess.Popen[bytes], address: Path | int) -> None:
    """Return once the program listens: at a socket file, or at a port of this machine."""
    deadline = time.monotonic() + START_DEADLINE
    while not is_listening(address):
        if program.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{program.args!r} does not listen.")
        time.sleep(0.05)


def is_listening(address: Path | int) -> bool:
    is_port = isinstance(address, int)
    with (
        socket.socket(socket.AF_INET if is_port else socket.AF_UNIX) as connection,
        suppress(OSError),
    ):
        connection.connect(("127.0.0.1", address) if is_port else str(address))
        return True
    return False


def daphne(application: str, *where: str) -> list[str]:
    """Return what starts a server of an application."""
    return [sys.executable, "-m", "daphne", *where, application]


def migrate() -> None:
    """Make the database of the demo, or bring it up to date."""
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    if subprocess.run(command, cwd=HERE.parent, check=False).returncode:  # noqa: S603  # Ours.
        sys.exit("The database of the demo cannot be made.")


# What may be missing, or taken


def find(program: str) -> str:
    """Return the path of a program, or end and say how to get it: by its namesake in Debian."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Where nginx is, and few PATHs go.
    found = shutil.which(program, path=path)
    if found is None:
        sys.exit(f"{program} is missing: sudo apt install {program}")
    return found


def require_free(port: int, command: str) -> None:
    """End, and say what to do, where nothing of ours can listen at a port."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            advice = f"choose another: make {command} PORT=8001"
            sys.exit(f"Port {port} is taken or not for you; {advice}")


def free_port() -> int:
    """Return a port of this machine at which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def welcome(port: int) -> str:
    """Return what there is at a port, and who may come in."""
    return (HERE / "welcome.txt").read_text().replace("PORT", str(port))

"""The demo in two processes: two Daphnes are one chat over Redis, and nginx is in front of them.

`python -m demo_project.cluster PORT`; `make demo-cluster` calls it. It uses the Redis at
DEMO_REDIS_URL, or on this machine; where none answers it starts one. What it starts ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

HERE = Path(__file__).resolve().parent
START_DEADLINE = 30  # In seconds.
END_DEADLINE = 20  # Longer than DRAIN_DEADLINE.

NGINX = """
daemon off;
master_process off;  # One process, which needs no rights and changes no user.
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}
"""

WELCOME = """
Two servers are one chat, over {redis}: processes {one} and {two}.
Which one a page is on: point at its word "Connected"; or look for the header X-Server.
End one of them, by `kill {one}`, and its people come back to the other.
"""


def main() -> None:
    port = int(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Or what it started would stay.
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), TemporaryDirectory(prefix="arcly-demo-") as directory:
        serve(port, Path(directory))


def serve(port: int, directory: Path) -> None:
    """Run the demo until it is interrupted; then the servers end first, and can say goodbye."""
    require_free(port)
    proxy = proxy_command(port, directory)
    daphnes = [daphne_command(directory / f"chat-{number}") for number in (1, 2)]
    with (
        redis_server(directory) as redis,
        ExitStack() as after_the_servers,
        running(*daphnes, environment={"DEMO_REDIS_URL": redis}) as servers,
    ):
        for number, server in enumerate(servers, 1):
            wait_for(server, directory / f"chat-{number}" / "daphne.sock")
        one, two = (server.pid for server in servers)
        shown = redis.rpartition("@")[2]  # Without a password.
        tell(WELCOME.format(redis=shown, one=one, two=two))
        tell((HERE / "welcome.txt").read_text().replace("PORT", str(port)))
        (nginx,) = after_the_servers.enter_context(running(proxy))
        nginx.wait()


# The programs


def daphne_command(directory: Path) -> list[str]:
    directory.mkdir()
    daphne = [sys.executable, "-m", "daphne", "--unix-socket", str(directory / "daphne.sock")]
    return [*daphne, "demo_project.asgi:application"]


def proxy_command(port: int, directory: Path) -> list[str]:
    """Write the files of nginx, and return what starts it: `nginx.conf` with its paths in here."""
    site = (HERE / "nginx.conf").read_text()
    site = site.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/run/", f"{directory}/")
    (directory / "site.conf").write_text(site)
    (directory / "nginx.conf").write_text(NGINX)
    return [find("nginx"), "-e", "stderr", "-p", f"{directory}/", "-c", "nginx.conf"]


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Give the URL of the Redis that answers, or else of one that is started here."""
    url = os.environ.get("DEMO_REDIS_URL", "redis://127.0.0.1:6379")
    if answers(url):
        yield url
        return
    path = directory / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--logfile", "redis.log"]
    with running([find("redis-server"), "--dir", str(directory), *options]) as (redis,):
        wait_for(redis, path)
        yield f"unix://{path}"


# Running them


@contextmanager
def running(
    *commands: list[str], environment: dict[str, str] | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run programs side by side. At the end all are asked to end, and waited for."""
    programs: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            programs.append(
                subprocess.Popen(  # noqa: S603  # The commands are of this file.
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


def wait_for(program: subprocess.Popen[bytes], path: Path) -> None:
    """Return once the program listens at a socket file."""
    deadline = time.monotonic() + START_DEADLINE
    while not is_listening(path):
        if program.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{program.args!r} does not listen.")
        time.sleep(0.05)


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.connect(str(path))
        return True
    return False


def answers(url: str) -> bool:
    once = Retry(NoBackoff(), 0)
    try:
        with Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=once) as redis:
            return bool(redis.ping())
    except (RedisError, OSError):
        return False


# What may be missing


def find(program: str) -> str:
    """Return the path of a program, or end and say how to get it: by its namesake in Debian."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Where nginx is, and few PATHs go.
    found = shutil.which(program, path=path)
    if found is None:
        sys.exit(f"{program} is missing: sudo apt install {program}")
    return found


def require_free(port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            advice = "choose another: make demo-cluster PORT=8001"
            sys.exit(f"Port {port} is taken or not for you; {advice}")


def tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The demo in two processes: two Daphnes are one chat over Redis, and nginx is in front of them.

`python -m demo_project.cluster PORT`; `make demo-cluster` calls it. It uses the Redis at
DEMO_REDIS_URL, or on this machine; where none answers it starts one. What it starts ends with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from demo_project.programs import (
    daphne,
    find,
    interruptible,
    migrate,
    require_free,
    running,
    tell,
    wait_for,
    welcome,
)

HERE = Path(__file__).resolve().parent

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
    with interruptible(), TemporaryDirectory(prefix="arcly-demo-") as directory:
        serve(int(sys.argv[1]), Path(directory))


def serve(port: int, directory: Path) -> None:
    """Run the demo until it is interrupted; then the servers end first, and can say goodbye."""
    require_free(port, "demo-cluster")
    migrate()
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
        tell(welcome(port))
        (nginx,) = after_the_servers.enter_context(running(proxy))
        nginx.wait()


# The programs


def daphne_command(directory: Path) -> list[str]:
    directory.mkdir()
    return daphne("demo_project.asgi:application", "--unix-socket", str(directory / "daphne.sock"))


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


def answers(url: str) -> bool:
    once = Retry(NoBackoff(), 0)
    try:
        with Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=once) as redis:
            return bool(redis.ping())
    except (RedisError, OSError):
        return False


if __name__ == "__main__":
    main()

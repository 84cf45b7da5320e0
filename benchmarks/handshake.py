"""What does a valid token add to a handshake?

Daphne in a child process, one gateway behind `IdentityMiddlewareStack`, raw sockets as clients.
Handshakes with a token (HS256, `Authorization: Bearer`) and without one take turns in blocks; the
first frame of each connection says whose claims the gateway has. The figure is the median over the
pairs of blocks of the time with over the time without, by the clock and by the server's own CPU
time, which does not hide behind a slow client. The target is at most 1.3.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "handshake.json"
SECRET = "benchmark-" + "b" * 32
LIMIT = 1.3
CONCURRENCY = 16
PACKAGES = ("django", "channels", "daphne", "PyJWT")


# The server


def serve() -> None:
    """Run Daphne until it is ended, after printing its port."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="benchmark-only",
        INSTALLED_APPS=["channels", "arcly_channels"],
        CHANNEL_LAYERS={"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}},
        ARCLY_CHANNELS={"JWT": {"KEYS": [SECRET]}},
    )
    django.setup()
    from daphne.server import Server

    from arcly_channels import GatewayConsumer
    from arcly_channels.identity import IdentityMiddlewareStack

    class Gateway(GatewayConsumer):
        async def on_connect(self) -> None:
            await self.emit("hello", self.claims and self.claims["sub"])

    server: Any = Server(
        IdentityMiddlewareStack(Gateway.as_asgi()),
        endpoints=["tcp:port=0:interface=127.0.0.1"],
        ready_callable=lambda: print(server.listening_addresses[0][1], flush=True),
        signal_handlers=True,
        verbosity=0,
    )
    server.run()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The clients


def request(token: str | None) -> bytes:
    lines = [
        "GET / HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def shake_hands(port: int, opening: bytes, expected: bytes) -> None:
    """Connect, check what the gateway says of its client, and hang up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = writer.get_extra_info("socket")
    # Hang up with a reset: twenty thousand closed ports would have to wait their turn otherwise.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.write(opening)
    head = await reader.readuntil(b"\r\n\r\n")
    frame = await reader.readuntil(b"}")
    if not head.startswith(b"HTTP/1.1 101") or not frame.endswith(expected):
        raise RuntimeError(f"not the handshake that was to be measured: {head!r} {frame!r}")
    writer.transport.abort()


async def block(port: int, opening: bytes, expected: bytes, count: int) -> None:
    async def worker(part: int) -> None:
        for _ in range(part):
            await shake_hands(port, opening, expected)

    parts = [count // CONCURRENCY + (index < count % CONCURRENCY) for index in range(CONCURRENCY)]
    await asyncio.wait_for(asyncio.gather(*map(worker, parts)), 300)


async def measure(pid: int, port: int, blocks: int, size: int) -> dict[str, list[dict[str, float]]]:
    import jwt

    claims = {"sub": "ann", "role": "user", "email": "ann@example.com", "type": "access"}
    times = {"jti": "0" * 32, "iat": int(time.time()), "exp": int(time.time()) + 3600}
    token = jwt.encode({**claims, **times}, SECRET, "HS256")
    kinds = {
        "without": (request(None), b'"data":null}'),
        "with": (request(token), b'"data":"ann"}'),
    }
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for opening, expected in kinds.values():
        await block(port, opening, expected, size)  # To warm up.
    for index in range(blocks):
        for kind in sorted(kinds, reverse=bool(index % 2)):
            started, cpu = time.perf_counter(), cpu_seconds(pid)
            await block(port, *kinds[kind], size)
            used = {"clock": time.perf_counter() - started, "cpu": cpu_seconds(pid) - cpu}
            found[kind].append(used)
    return found


# The answer


def answer(found: dict[str, list[dict[str, float]]], size: int) -> dict[str, Any]:
    pairs = list(zip(found["with"], found["without"], strict=True))
    report: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"cpus": os.cpu_count(), "arch": platform.machine(), "os": platform.system()},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "handshakes_of_each_kind": len(pairs) * size,
        "limit": LIMIT,
    }
    for measure in ("clock", "cpu"):
        ratios = [w[measure] / (wo[measure] or 1e-9) for w, wo in pairs]
        report[measure] = {
            "ratio": round(statistics.median(ratios), 3),
            "spread": [round(min(ratios), 3), round(max(ratios), 3)],
            **{
                f"ms_{kind}": round(
                    1000 * statistics.median(each[measure] for each in blocks) / size, 4
                )
                for kind, blocks in found.items()
            },
        }
    report["is_met"] = max(report["clock"]["ratio"], report["cpu"]["ratio"]) <= LIMIT
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny run that proves nothing")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    blocks, size = (2, 40) if options.quick else (10, 1000)
    command = [sys.executable, __file__, "--serve"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline()) if server.stdout else 0
            found = asyncio.run(measure(server.pid, port, blocks, size))
        finally:
            server.terminate()
    report = answer(found, size)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0 if report["is_met"] or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())

"""Processes that have a layer and no server, and do what they are told: see `servers.talker`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from .harness import CORES
from .peers import LAYERS, missing_layer, python_of
from .results import Result


class Talker:
    """One of them; `layer` is one of `LAYERS`."""

    def __init__(self, layer: str, redis: str, core: int, log: IO[bytes]) -> None:
        self.layer = layer
        self.name = LAYERS[layer]
        self._log = log
        self._process = subprocess.Popen(
            [python_of(layer), "-m", "benchmarks.servers.talker", *[str(core)] * (len(CORES) > 1)],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"BENCH_REDIS": redis, "BENCH_LAYER": layer},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    def tell(self, command: str, **data: Any) -> None:
        """Begin a command; `hear` is its end."""
        if self._process.stdin is None:
            raise RuntimeError("it has no standard input")
        self._process.stdin.write(json.dumps([command, data]) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._log.seek(0)
            said = self._log.read()[-4000:].decode(errors="replace")
            raise RuntimeError(f"a process with {self.name} ended:\n{said}")
        return json.loads(line)

    def ask(self, command: str, **data: Any) -> Any:
        self.tell(command, **data)
        return self.hear()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def talker(layer: str, redis: str, core: int) -> Iterator[Talker]:
    """A process that runs inside the `with`."""
    with ExitStack() as stack:
        started = Talker(layer, redis, core, stack.enter_context(TemporaryFile()))
        stack.callback(started.stop)
        yield started


def available_layers(layers: Sequence[str], result: Result) -> list[str]:
    """The layers that can be had here; the result says why the others cannot."""
    for layer in layers:
        if reason := missing_layer(layer):
            result.skip(LAYERS[layer], reason)
    return [layer for layer in layers if not missing_layer(layer)]

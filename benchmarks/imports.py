"""What does importing this cost, beside importing the layer and the consumers of Channels?

Each sample is the CPU time of the statements in a process of its own, from compiled files; those
at the same index ran one after the other. The package by itself is what a process has that only
names it in INSTALLED_APPS; its names are imported when somebody asks for them.
"""

from __future__ import annotations

import os
import subprocess
import sys

from .cli import main
from .harness import CLIENT_CORE, pin
from .results import Result

STOCK = "Channels: layer and consumers"
PACKAGE = "arcly_channels by itself"
SENDER = "broadcast_to_room"
EVERYTHING = "all its names, and a layer"
STATEMENTS = {
    STOCK: "import channels.layers, channels.generic.websocket",
    PACKAGE: "import arcly_channels",
    SENDER: "from arcly_channels import broadcast_to_room",
    EVERYTHING: "from arcly_channels import *; from arcly_channels.layers import LocalChannelLayer",
}
BAR = 1 / 1.25
TIMED = "import time; before = time.process_time(); {}; print(time.process_time() - before)"


def sample(statements: str) -> float:
    """Run the statements in a new process; milliseconds."""
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", TIMED.format(statements)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True)
    return float(done.stdout) * 1000


def run(quick: bool) -> Result:
    samples = 1 if quick else 51
    result = Result("imports", __doc__ or "", samples=samples, statements=STATEMENTS)
    taken = result.measure("import in a new process", "ms of CPU", "lower")
    pin(CLIENT_CORE)
    for statements in STATEMENTS.values():
        sample(statements)  # So that all is compiled, and in the cache of files.
    for _ in range(samples):
        for name, statements in STATEMENTS.items():
            taken.add(name, sample(statements))
    result.compare(taken, PACKAGE, STOCK, bar=BAR)
    result.compare(taken, SENDER, STOCK)
    result.compare(taken, EVERYTHING, STOCK)
    return result


if __name__ == "__main__":
    main(run)

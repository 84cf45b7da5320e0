"""A PostgreSQL server as a child process: on a unix socket in a directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers import skip_for_want_of

DEADLINE = 60.0
OWNER = "postgres"
"""Who runs it where that would be root, which PostgreSQL does not allow."""


@contextmanager
def postgres() -> Iterator[Mapping[str, str]]:
    """Run a server, and give the variables by which its clients find it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(programs[-1]) if programs else None)
    if initdb is None:
        skip_for_want_of("postgresql")
    control = str(Path(initdb).with_name("pg_ctl"))
    with TemporaryDirectory(prefix="arcly-") as made:
        if os.geteuid() == 0:
            shutil.chown(made, OWNER)
        data, log = f"{made}/data", f"{made}/log"
        _run(initdb, "-D", data, "-A", "trust", "-U", OWNER, "-E", "UTF8", "--no-sync")
        options = f"-k {made} -c listen_addresses='' -c fsync=off"
        _run(control, "-D", data, "-l", log, "-o", options, "-w", "start")
        try:
            yield {"PGHOST": made, "PGUSER": OWNER, "PGDATABASE": OWNER}
        finally:
            _run(control, "-D", data, "-m", "immediate", "-w", "stop")


def _run(*command: str) -> None:
    user = ("runuser", "-u", OWNER, "--") if os.geteuid() == 0 else ()
    subprocess.run(
        [*user, *command], check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=DEADLINE
    )

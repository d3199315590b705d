"""A real Dask cluster for tests: a scheduler and workers, each a process, on loopback."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """`address` for `--on`; the workers' processes, in the order in which they were asked for."""

    address: str
    workers: tuple[subprocess.Popen[bytes], ...]


@contextmanager
def cluster(environments: Sequence[dict[str, str]]) -> Iterator[Cluster]:
    """A worker with one thread for each of these additions to the environment."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "scheduler.json")
        common = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "0"}

        def start(*words: str, **more: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return subprocess.Popen(command, cwd=folder, env=common | more, **quiet)

        own = ("--host", "127.0.0.1")
        running = [start("scheduler", *own, "--port", "0", "--scheduler-file", str(place))]
        try:
            address = _address(place, running[0])
            one = ("--nthreads", "1", "--no-nanny", "--local-directory", folder, "--death-timeout", "60")
            workers = [start("worker", address, *own, *one, **more) for more in environments]
            running += workers
            _wait_for_workers(address, len(workers))
            yield Cluster(address.replace("tcp://", "dask://"), tuple(workers))
        finally:
            for process in reversed(running):
                process.kill()
                process.wait()


def _address(place: Path, scheduler: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and scheduler.poll() is None:
        try:
            return str(json.loads(place.read_text())["address"])
        except (OSError, ValueError):
            time.sleep(0.05)
    raise AssertionError("the scheduler did not start")


def _wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=PATIENCE_S)

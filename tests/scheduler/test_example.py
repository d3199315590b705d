"""The example of a scheduler without a station runs as a user starts it."""

import os
import subprocess
import sys

from tests import ROOT


def test_the_example_holds_its_level() -> None:
    """The example ends with exit code 0, which means that the tank's level was reached, and prints its statistics."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "scheduler_without_station.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "level 1." in done.stdout
    assert "cycles" in done.stdout
    assert "wake-up: p50" in done.stdout
    assert "SCHED_FIFO 80" in done.stdout

"""Two pseudo-terminals joined by socat, as the two ends of a serial line."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import need
from tests.waiting import wait_for


@contextmanager
def joined_terminals() -> Iterator[tuple[str, str]]:
    """Their paths, which are short: what one side writes the other reads."""
    with tempfile.TemporaryDirectory(prefix="rt-", dir="/tmp") as folder:
        ends = Path(folder, "master"), Path(folder, "device")
        command = [need.program("socat"), *[f"pty,raw,echo=0,link={end}" for end in ends]]
        with subprocess.Popen(command) as joint:
            try:
                wait_for(lambda: all(end.exists() for end in ends))
                yield str(ends[0]), str(ends[1])
            finally:
                joint.kill()

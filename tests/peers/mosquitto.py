"""Eclipse Mosquitto, a broker that we did not write, on a port of this computer."""

import os
import pwd
import subprocess
from pathlib import Path

from tests import need
from tests.waiting import free_port, is_open, wait_for


class Mosquitto:
    """A broker that can be stopped, started again at the same port, and frozen.

    Args:
        folder: for its files.
        lines: of its configuration; without any everybody may do everything.
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._conf = folder / "mosquitto.conf"
        who = pwd.getpwuid(os.getuid()).pw_name  # else root becomes another, who cannot read its files
        text = [
            f"listener {self.port} 127.0.0.1",
            f"user {who}",
            "max_keepalive 65535",
            *(lines or ["allow_anonymous true"]),
        ]
        self._conf.write_text("\n".join(text) + "\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it said."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([need.program("mosquitto"), "-c", self._conf], stdout=log, stderr=log)
        wait_for(lambda: self._process.poll() is not None or is_open(self.port))
        assert self._process.poll() is None, f"mosquitto does not listen: {self.log}"

    def stop(self) -> None:
        """It is gone, without a word to its clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

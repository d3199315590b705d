"""A simulated bus in a process of its own, for who must not wait for this one's interpreter: a master that holds it while it waits.

with BusProcess("veth1", ["mirror", "mirror:8"]) as bus:
    bus.order({"do": "power", "slave": 1, "on": False})
"""

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rt_native import isolated

_PATIENCE_S = 10.0


class BusProcess:
    """`python -m fieldbus.ethercat.simulated`, with its orders. It is on the wire from `__enter__` on."""

    def __init__(self, interface: str, slaves: Sequence[str], second: str | None = None, *more: str) -> None:
        words = ["--interface", interface, "--slaves", ",".join(slaves)]
        words += ["--second", second] if second is not None else []
        self._command = isolated.command("fieldbus.ethercat.simulated", *words, *more, bound=signal.SIGTERM)
        self._process: subprocess.Popen[str] | None = None

    def order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an order: see `orders`.

        Raises:
            ValueError: It is none, or does not fit.
            OSError: The process is gone.
        """
        assert self._process and self._process.stdin
        self._process.stdin.write(json.dumps(dict(order)) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process and self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise OSError(f"the simulated bus has ended: {' '.join(self._command)}")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise ValueError(answer["error"])
        return answer

    def __enter__(self) -> "BusProcess":
        """Start it, and wait until it is on the wire.

        Raises:
            ValueError: It says why it is not.
        """
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=isolated.environment()
        )
        try:
            self._answer()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Off the wire."""
        self._end()

    def _end(self) -> None:
        assert self._process and self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

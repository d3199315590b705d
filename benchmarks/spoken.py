"""Processes that benchmarks ask."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from rt_native.isolated import bound_program


class Spoken:
    """A process that answers each line on its standard input by a line of JSON."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            bound_program(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.first = self._line()

    def ask(self, line: str) -> dict[str, Any]:
        """Say a line, give the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(5)

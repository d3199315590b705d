"""What of a link's changes of state is worth a line in the log. Pure: states and times in, lines out.

up -> down: cut                      told
down -> connecting -> down ...       not told: an attempt that failed changes nothing
connecting -> up                     told: up again after 6 attempts, 3.2 s
"""

import logging
from collections import deque

from fieldbus.link.state import State

MOST_LINES = 6
WITHIN_S = 10.0
"""Of a link that comes and goes, so many lines in so much time."""


class ChangeLog:
    """Decides line by line; `change` gives (level, text), or None when there is nothing to tell."""

    def __init__(self) -> None:
        self._told: State = "stopped"
        self._since_s = 0.0
        self._attempts = 0
        self._lines: deque[float] = deque(maxlen=MOST_LINES)
        self._left_out = 0

    def change(self, state: State, reason: str, now_s: float) -> tuple[int, str] | None:
        """The link enters `state` now."""
        if state == "connecting":
            self._attempts += 1
            return None
        if state == self._told:
            return None
        line = self._line(state, reason, now_s)
        if state == "up":
            self._attempts = 0
        if self._told in ("up", "stopped"):
            self._since_s = now_s
        self._told = state
        return self._limited(line, now_s)

    def _line(self, state: State, reason: str, now_s: float) -> tuple[int, str]:
        if state in ("down", "degraded"):
            return logging.WARNING, f"{state}: {reason}"
        if state == "stopped" or self._told == "stopped":
            return logging.INFO, state
        attempts = "" if self._told == "degraded" else f"{self._attempts} attempt{'s' * (self._attempts != 1)}, "
        return logging.WARNING, f"up again after {attempts}{now_s - self._since_s:.1f} s"

    def _limited(self, line: tuple[int, str], now_s: float) -> tuple[int, str] | None:
        if len(self._lines) == MOST_LINES and now_s - self._lines[0] < WITHIN_S:
            self._left_out += 1
            return None
        self._lines.append(now_s)
        if not self._left_out:
            return line
        level, text = line
        text, self._left_out = f"{text} (it comes and goes: {self._left_out} changes were not told)", 0
        return level, text

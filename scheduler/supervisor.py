"""Watches tasks from outside: one that no longer ticks loses its outputs, which become safe."""

import math
import threading
from collections.abc import Sequence

from scheduler.runner import TaskRunner
from scheduler.status import State

INTERVAL_S = 0.05
HANG_S = 1.0
HANG_PERIODS = 20


class Supervisor:
    """A thread of normal priority that looks at every task 20 times a second.

    A task hangs when no tick has come for `HANG_S`, or `HANG_PERIODS` periods if that is longer: inside its model or
    its user's step, or because the machine gave its thread no time at all. The time is counted in the supervisor's own
    looks, so a process that was stopped as a whole and goes on is not taken for one that hangs.
    """

    def __init__(self, runners: Sequence[TaskRunner], interval_s: float = INTERVAL_S, hang_s: float = HANG_S) -> None:
        self._runners, self._interval_s = tuple(runners), interval_s
        self._limits = {r: math.ceil(max(hang_s, HANG_PERIODS * r.task.period_s) / interval_s) for r in self._runners}
        self._seen = dict.fromkeys(self._runners, (0, 0))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._main, name="rt-supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cease to watch."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():  # the system may have given none
            self._thread.join(HANG_S)

    def _main(self) -> None:
        while not self._stop.wait(self._interval_s):
            for runner in self._runners:
                self.look(runner)

    def look(self, runner: TaskRunner) -> None:
        """Look at a task once; if it has not ticked for too many looks, take its outputs, and those of its thread's others."""
        tick, looks = self._seen[runner]
        if runner.state != State.RUNNING or runner.tick_ns != tick:
            self._seen[runner] = (runner.tick_ns, 0)
            return
        self._seen[runner] = (tick, looks + 1)
        if looks + 1 >= self._limits[runner]:
            runner.thread.revoke()

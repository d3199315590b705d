"""How far a measurement is: a live line on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from station.commands.shared.explaining import say
from station.terms.durations import format_duration, long_words

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.latency.measure import Progress

LIVE_S: Final = 1.0
"""Between two pictures of the line: it must not disturb what is measured."""
LOG_S: Final = 60.0


class Shown:
    """A context manager; give `show` to a `Measurement`."""

    def __init__(self, console: Terminal, seconds: float) -> None:
        self._console, self._seconds = console, seconds
        self._every_s = LIVE_S if console.is_terminal else max(LOG_S, seconds / 100)
        self._next_s = time.monotonic() + (0.0 if console.is_terminal else self._every_s)
        self._last = ExitStack()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + self._seconds))
        say(
            self._console,
            f"measures for {long_words(self._seconds)}, until {until}; Ctrl-C ends it early and reports what there is",
        )
        if self._console.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
            self._bar = self._last.enter_context(
                Progress(*columns, console=self._console, transient=True, auto_refresh=False)
            )
            self._task = self._bar.add_task("starting", total=self._seconds, left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._last.close()

    def show(self, progress: Progress) -> None:
        """Tell, if the last time is long enough ago."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._every_s
        longest = (
            f"longest {format_duration(progress.longest_ns, 3)} ({progress.longest_of})" if progress.longest_ns else ""
        )
        left = f"{long_words(max(progress.seconds - progress.passed_s, 0.0))} left"
        if self._bar is None:
            say(
                self._console,
                f"{long_words(progress.passed_s)} of {long_words(progress.seconds)}: {longest or progress.doing}; {left}",
            )
            return
        told = "  ".join(filter(None, (progress.doing, longest)))
        self._bar.update(self._task, completed=progress.passed_s, description=told, left=left)
        self._bar.refresh()

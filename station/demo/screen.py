"""What a person sees of the demo: acts, ticks and crosses as they happen; on a terminal also a bar and live numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from station.demo.checks import Check
from station.demo.facts import Look

INDENT: Final = 3


class Screen:
    """Prints the story; `expected_s` is how long it usually takes, for the bar."""

    def __init__(self, console: Console, expected_s: float) -> None:
        self._console, self._expected_s = console, expected_s
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._acts = 0

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar and live numbers below what is printed; nothing of it without a terminal."""
        columns = (BarColumn(24), TimeElapsedColumn(), TextColumn("{task.description}", style="dim"))
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as bar:
            self._progress, self._bar = bar, bar.add_task("", total=self._expected_s)
            try:
                yield
            finally:
                self._progress = None

    def look(self, look: Look) -> None:
        """Show the newest numbers."""
        self.line(one_line(look))

    def line(self, text: str) -> None:
        """Show this beside the bar."""
        if self._progress is not None:
            elapsed_s = self._progress.tasks[0].elapsed or 0.0
            self._progress.update(self._bar, completed=min(elapsed_s, self._expected_s), description=text)

    def title(self, text: str) -> None:
        """What this is about."""
        self._print(Text(text, style="bold"), 0)

    def act(self, title: str) -> None:
        """Begin a new act."""
        self._acts += 1
        self._print(Text(f"\n{self._acts}. {title}", style="bold"), 0)

    def say(self, text: str, style: str = "") -> None:
        """A line of the story."""
        self._print(Text(text, style=style))

    def whole(self, text: str) -> None:
        """A line with a path or a command to copy: never broken, however narrow the terminal is."""
        self._print(Text(text), whole=True)

    def show(self, check: Check) -> None:
        """A claim that was checked: a tick or a cross, and the numbers."""
        mark, style = ("✓", "green") if check.ok else ("✗", "red")
        self._print(Text.assemble((f"{mark} {check.claim}", style), (f": {check.evidence}", "dim" if check.ok else "")))

    def _print(self, text: Text, indent: int = INDENT, *, whole: bool = False) -> None:
        """On a terminal long lines go on below their beginning; elsewhere they stay whole."""
        if self._console.is_terminal and not whole:
            self._console.print(Padding(text, (0, 0, 0, indent)))
        else:
            self._console.print(Text(" " * indent) + text, soft_wrap=True)


def one_line(look: Look) -> str:
    """Station and plant in one line: errors of the axes, the link's state, missed ticks, the detector's score."""
    errors = "  ".join(f"{name} {error_m * 1000:+5.1f} mm" for name, error_m in look.plant.errors_m.items())
    links = ", ".join(f"{link.name} {link.state}" for link in look.station.links)
    return f"off the reference {errors}  {links}  missed {look.missed}  anomaly {look.plant.anomaly_score:.1f}"

"""How far compiling is: a bar on a terminal, else a line now and then."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

Progress = Callable[[str, int, int], None]
"""Called with (library name, functions done, functions in all: 0 while that is not known)."""
UNDONE: Final = -1
"""Functions in all, of what has ended before all were done."""
LINE_S = 15.0
"""How often a line tells how far compiling is, where no bar can be drawn."""


@cache
def terminal_progress(where: str) -> Progress:
    """Progress bars on standard error, also of several libraries at once; lines where that is no terminal."""
    from rt_native.terminal import Terminal

    console = Terminal(stderr=True)
    return bar(console, where) if console.is_terminal else lines(console.print, where)


def bar(console: Any, where: str) -> Progress:
    """A bar for each library; those that are done stay until all are."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Bar(*columns, console=console)
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if total == UNDONE:
            if tasks.pop(name, None) is None:
                return
        else:
            if name not in tasks:
                bar.start()
                tasks[name] = bar.add_task(f"Compiling '{name}' for {where} (once)", total=total or None)
            bar.update(tasks[name], completed=done, total=total or None)
        if done == total > 0:
            tasks.pop(name)
        if not tasks:
            bar.stop()
            for id_ in bar.task_ids:  # what is compiled later is a list of its own
                bar.remove_task(id_)

    return show


def lines(say: Callable[[str], object], where: str, every_s: float = LINE_S) -> Progress:
    """A line at the start of a library, one every `every_s`, and one at its end."""
    begun: dict[str, float] = {}
    said: dict[str, float] = {}

    def show(name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if total == UNDONE:
            begun.pop(name, None)
            return
        if name not in begun:
            begun[name] = said[name] = now
            say(f"Compiling the native library '{name}' for {where} (once) ...")
        if total and (done == total or now - said[name] >= every_s):
            said[name] = now
            say(f"  {done} of {total} after {now - begun[name]:.0f} s")
        if done == total > 0:
            del begun[name]

    return show

"""What is being done, shown on a screen while it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt_native.terminal import Terminal


@contextmanager
def progress(errors: Terminal) -> Iterator[tuple[Callable[[str], object], Callable[[], object]]]:
    """(what is being done, shown while it is; ends that)."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("")
        yield (lambda text: bar.update(task, description=text)), bar.stop

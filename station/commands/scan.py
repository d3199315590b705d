"""The commands `scan ...`: what a device has that nobody has described yet. One for each file in `station/scans`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from rt_native.found import modules
from station import scans
from station.commands.shared.explaining import explained

ORDER = 165
scan = typer.Typer(
    help="Ask a device what it has, and propose links and tags. Nothing is written to it.", no_args_is_help=True
)


def _explained(kind: Callable[..., None]) -> Callable[..., None]:
    @wraps(kind)
    def command(**options: Any) -> None:
        from rt_native.terminal import Terminal

        with explained(Terminal(stderr=True)):
            kind(**options)

    return command


for _module in modules(scans.__name__, scans.__path__):
    _own = _module.__name__.rpartition(".")[2]
    scan.command(_own.replace("_", "-"))(_explained(getattr(_module, _own)))

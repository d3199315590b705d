"""The command `watch`: values of a running station's tags, again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.show.tags import TagView

ORDER = 35
LEAST_EVERY_S = 0.05
HEAD_LINES = 5
"""Of a screen: the table's heading, and what is said below it."""


def watch(
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG...", help="Tags, or patterns (tank.*); by default all.")
    ] = None,
    station: StationOption = None,
    every: Annotated[float, typer.Option(min=LEAST_EVERY_S, help="Seconds from one look to the next.")] = 0.5,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so long; by default at Ctrl-C.")] = None,
    socket: SocketOption = None,
) -> None:
    """Follow the values of a running station's tags: unit, raw bytes, quality, age, least and greatest value seen.

    On a terminal a table; elsewhere a line for each change.
    """
    from rt_native.terminal import Terminal

    patterns = list(tags or ())
    if station is None and patterns and patterns[0].endswith(".toml"):
        station = patterns.pop(0)  # as `status` takes it
    console = Terminal()
    try:
        with explained(Terminal(stderr=True)):
            place = control_socket(station, socket)
            (_table if console.is_terminal else _lines)(console, _looks(place, patterns, every, seconds))
    except KeyboardInterrupt:  # how it is meant to end
        pass


def _looks(place: Path, patterns: list[str], every_s: float, seconds: float | None) -> Iterator[tuple[TagView, ...]]:
    """The tags now, and again every `every_s`."""
    from station.errors import RefusedError
    from station.running.asking import fetch_tags

    due_s = time.monotonic()
    end_s = float("inf") if seconds is None else due_s + seconds
    while True:
        try:
            yield fetch_tags(place, patterns)
        except RefusedError as error:
            raise typer.BadParameter(str(error), param_hint="TAG") from error
        due_s = max(due_s + every_s, time.monotonic())
        if due_s > end_s:
            return
        time.sleep(max(0.0, due_s - time.monotonic()))


def _table(console: Terminal, looks: Iterator[tuple[TagView, ...]]) -> None:
    from rich.live import Live

    from station.show.watched import Watched

    watched, first = Watched(), next(looks)  # what is wrong is said before the table begins
    with Live(console=console, auto_refresh=False) as live:
        for seen in chain((first,), looks):
            watched.see(seen)
            live.update(watched.table(max(1, console.height - HEAD_LINES)), refresh=True)


def _lines(console: Terminal, looks: Iterator[tuple[TagView, ...]]) -> None:
    from station.show.watched import Watched

    watched = Watched()
    for seen in looks:
        watched.see(seen)
        for line in watched.lines(datetime.now()):
            say(console, line)
        console.file.flush()

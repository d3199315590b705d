"""The command `kernels`: this machine's native libraries, and the steps of a station, built ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say

ORDER = 150


def kernels(
    station: Annotated[
        Path | None, typer.Argument(metavar="STATION", help="A station file, whose own steps are built too.")
    ] = None,
) -> None:
    """Build this machine's native libraries now, with a progress bar, and show where they are."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from rt_native.library import cache_folder
        from station.running.libraries import libraries

        for library in libraries():
            words = "ready" if library.is_built() else "built"
            paths = library.build().values()
            size = sum(path.stat().st_size for path in paths) / 1024
            say(Terminal(), f"{library.name:<10} {words}  {size:,.0f} KiB in {len(paths)} files  {library.target}")
        if station is not None:
            _build_steps(station)
        say(Terminal(), f"in {cache_folder()}")


def _build_steps(station: Path) -> None:
    """Wire the station, and start nothing: what it compiles is compiled then, and what cannot run is found."""
    from rt_native.terminal import Terminal
    from station.file.reading import read_station
    from station.wiring.parts import build

    steps = [task.step.name for task in build(read_station(station)).tasks if task.step is not None]
    say(Terminal(), f"{station}  ready  {', '.join(steps) or 'no steps of its own'}")

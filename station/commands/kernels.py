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
    native: Annotated[
        bool,
        typer.Option(
            "--native",
            help="Compile for this very machine also what came with the package, for a level of machines; from then on that is what "
            "runs. Needs the extra `kernels`.",
        ),
    ] = False,
) -> None:
    """Build this machine's native libraries now, with a progress bar, where none came with the package; show where they are."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from rt_native.cache import cache_folder
        from rt_native.shipped import FOLDER
        from station.running.libraries import libraries

        places = {}
        for library in libraries():
            if not native and (found := library.shipped()):
                say(Terminal(), f"{library.name:<10} shipped  {len(library.modules)} modules  {found.level.name}")
                places[f"shipped in {FOLDER}"] = True
                continue
            words = "ready" if library.is_compiled() else "built"
            paths = library.build(native=native).values()
            size = sum(path.stat().st_size for path in paths) / 1024
            say(Terminal(), f"{library.name:<10} {words}  {size:,.0f} KiB in {len(paths)} files  {library.target}")
            places[f"in {cache_folder()}"] = True
        if station is not None:
            _build_steps(station)
        for place in places:
            say(Terminal(), place)


def _build_steps(station: Path) -> None:
    """Wire the station, and start nothing: what it compiles is compiled then, and what cannot run is found."""
    from rt_native.terminal import Terminal
    from station.file.reading import read_station
    from station.wiring.parts import build

    steps = [task.step.name for task in build(read_station(station)).tasks if task.step is not None]
    say(Terminal(), f"{station}  ready  {', '.join(steps) or 'no steps of its own'}")

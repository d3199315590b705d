"""The command `recordings`: the files of a station's recorder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import DEFAULT_FILE, JsonOption, StationFileArgument

if TYPE_CHECKING:
    from rt_native.terminal import Sheet
    from station.recorder.shelf import Kept

ORDER = 49


def recordings(station: StationFileArgument = Path(DEFAULT_FILE), as_json: JsonOption = False) -> None:
    """List what a station's recorder has kept, oldest first. The station may run or not."""
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        from station.file.reading import read_station
        from station.recorder.shelf import Shelf
        from station.terms.lengths import format_size

        file = read_station(station)
        table = file.config.recorder
        if table is None:
            raise typer.BadParameter("it records nothing: it has no [recorder]", param_hint="STATION")
        shelf = Shelf(file.beside(table.folder), file.config.station.name)
        kept = shelf.kept()
    if as_json:
        print_json([one.to_json() for one in kept])
        return
    if kept:
        console.print(_sheet(kept))
    size = sum(one.size for one in kept)
    words = f"{len(kept)} file{'s' if len(kept) != 1 else ''}, {format_size(size)} of {format_size(table.quota)}"
    say(console, f"{shelf.folder}: {words}; `rt-engine recording info FILE` says what is in one", "dim")


def _sheet(kept: list[Kept]) -> Sheet:
    from rt_native.terminal import Column, Sheet
    from station.terms.lengths import format_size

    sheet = Sheet(
        (
            Column("number", right=True, rank=3),
            Column("begun"),
            Column("why", rank=2),
            Column("size", right=True),
            Column("file"),
        )
    )
    for one in kept:
        begun = one.begun.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        sheet.add(str(one.number), begun, one.why, format_size(one.size), one.path.name)
    return sheet

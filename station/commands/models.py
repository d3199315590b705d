"""The command `models`: the versions of a station's models, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import DEFAULT_FILE, JsonOption, StationFileArgument

if TYPE_CHECKING:
    from rt_native.terminal import Sheet
    from station.store.looking import Looked

ORDER = 44
_DIGITS = 12


def models(station: StationFileArgument = Path(DEFAULT_FILE), as_json: JsonOption = False) -> None:
    """Show every version of a station's models: its state, since when, by whom, why. The station may run or not."""
    from rt_native.terminal import Terminal

    console, errors = Terminal(), Terminal(stderr=True)
    with explained(errors):
        from station.file.reading import read_station
        from station.machine.claims import holder
        from station.running.finding import identity
        from station.store.looking import look, to_json, why_words

        file = read_station(station)
        if not file.config.station.store:
            raise typer.BadParameter('it keeps no versions: [station] store = ""', param_hint="STATION")
        runs = holder("station", identity(station)) is not None
        looked = look(file.beside(file.config.station.store), runs)
    if as_json:
        print_json([to_json(row) for row in looked.rows])
        return
    console.print(_sheet(looked))
    for row in looked.rows:
        if why := why_words(row, runs):
            say(console, f"{row.version.slot} {row.version.number or '?'}: {why}", "dim")
    for note in looked.notes:
        say(errors, f"warning: {note}", "yellow")


def _sheet(looked: Looked) -> Sheet:
    from rt_native.terminal import Column, Sheet
    from station.store.looking import state_words

    sheet = Sheet(
        (
            Column("model"),
            Column("version", right=True),
            Column("SHA-256"),
            Column("state"),
            Column("since", rank=1),
            Column("by", rank=2, folds=True),
            Column("file", rank=3, folds=True),
        ),
        caption="" if looked.rows else "no model has been kept yet",
    )
    for row in looked.rows:
        version = row.version
        number = str(version.number) if version.number else "?"
        style = "green" if row.role == "committed" else "red" if row.barred else ""
        sheet.add(
            version.slot,
            number,
            version.sha256[:_DIGITS],
            state_words(row),
            row.since.replace("T", " ").replace("+00:00", "Z"),
            row.who,
            version.name,
            style=style,
        )
    return sheet

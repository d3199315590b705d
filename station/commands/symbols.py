"""The command `symbols`: what PLC clients see of a station, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import check_outputs, explained, say

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.servers import Columns
    from station.show.symbols import Row

ORDER = 140
RANKS = {"symbol": 0, "access": 1, "type": 1, "unit": 3}
"""Heading -> how soon it goes where the terminal is narrow; where a value lies goes between type and unit."""


def symbols(
    station: Annotated[Path, typer.Argument(metavar="STATION", help="The station file.")] = Path("station.toml"),
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the list as CSV.")] = None,
    name: Annotated[str, typer.Option(metavar="PATTERN", help='Only such names, for example "Tags.*".')] = "*",
) -> None:
    """List everything that PLC clients can read and write: ADS group and offset, Modbus register, type, unit, access."""
    from rt_native.terminal import Terminal

    console, errors = Terminal(), Terminal(stderr=True)
    check_outputs(station, files={"--csv": csv})
    with explained(errors):
        from fnmatch import fnmatchcase

        from station.show.symbols import of_station, to_csv

        listed = of_station(station)
        found = [row for row in listed.rows if fnmatchcase(row["symbol"].lower(), name.lower())]
        if not found:
            raise typer.BadParameter(f'no name is like "{name}"; "*" stands for any part', param_hint="--name")
        if csv is not None:
            csv.write_text(to_csv(found), encoding="utf-8")
            say(console, f"{csv}: {len(found)} values")
            return
        for line in listed.remarks:
            say(errors, line, "yellow")
        _print(console, found, listed.columns)
        for line in listed.servers:
            say(console, line)


def _print(console: Terminal, found: list[Row], columns: tuple[Columns, ...]) -> None:
    from rt_native.terminal import Column, Sheet

    plain = ("symbol", "type", "unit", "access")
    shown = [one for one in columns if any(row[name] for row in found for name in one.names)]
    headings = (*plain, *(heading for one in shown for heading in one.headings))
    sheet = Sheet([Column(heading, rank=RANKS.get(heading, 2)) for heading in headings])
    for row in found:
        cells = [row[heading] for heading in plain]
        cells += [cell for one in shown for cell in one.cells(tuple(row[name] for name in one.names))]
        sheet.add(*cells, style="bold" if row["access"] == "write" else "")
    console.print(sheet)
    say(console, f"{len(found)} values", "dim")

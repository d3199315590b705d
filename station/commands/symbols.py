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
LEAST_WIDTH = 250
"""A narrower terminal breaks the lines: names that are cut into pieces could be neither found nor copied."""


def symbols(
    station: Annotated[Path, typer.Argument(metavar="STATION", help="The station file.")] = Path("station.toml"),
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the list as CSV.")] = None,
    name: Annotated[str, typer.Option(metavar="PATTERN", help='Only such names, for example "Tags.*".')] = "*",
) -> None:
    """List everything that PLC clients can read and write: ADS group and offset, Modbus register, type, unit, access."""
    from rt_native.terminal import Terminal

    console, errors = Terminal(width=max(Terminal().width, LEAST_WIDTH)), Terminal(stderr=True)
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
    from rich.table import Table
    from rich.text import Text

    plain = ("symbol", "type", "unit", "access")
    shown = [one for one in columns if any(row[name] for row in found for name in one.names)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in (*plain, *(heading for one in shown for heading in one.headings)):
        table.add_column(heading, no_wrap=True)
    for row in found:
        cells = [row[heading] for heading in plain]
        cells += [cell for one in shown for cell in one.cells(tuple(row[name] for name in one.names))]
        table.add_row(*map(Text, cells), style="bold" if row["access"] == "write" else "")
    console.print(table)
    say(console, f"{len(found)} values", "dim")

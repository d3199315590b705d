"""The command `sbom`: the bill of materials of a station, in CycloneDX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import DEFAULT_FILE, StationFileArgument

ORDER = 132


def sbom(
    station: StationFileArgument = Path(DEFAULT_FILE),
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Writes it there; by default it is printed.")
    ] = None,
) -> None:
    """Print the bill of materials of a station (CycloneDX 1.6): packages, and every version of its models. It may run or not."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from rt_native.files import write_whole
        from station.bom.document import rendered
        from station.bom.station import of_station
        from station.errors import StationError
        from station.file.reading import read_station

        bill = of_station(read_station(station))
        if output is None:
            print_json(bill)
            return
        data = rendered(bill)
        try:
            write_whole(output, data)
        except OSError as error:
            raise StationError(f"{output} cannot be written: {error.strerror}") from error
        say(Terminal(), f"{output}   {len(data):,} bytes")

"""The commands `export ...`: what other programs take over, as files. They import what they need when they run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from station.explaining import explained, say

export = typer.Typer(help="Write files for PLC and C++ programs.", no_args_is_help=True)

OutputOption = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder; made if it is not there.")]


class Flavour(StrEnum):
    """Which Structured Text."""

    twincat = "twincat"
    portable = "portable"


ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="NAME", help="Which [servers.NAME] the blocks call, if there are several."),
]


@export.command("st")
def structured_text(
    source: Annotated[Path, typer.Argument(metavar="STATION", help="The station file.")],
    output: OutputOption,
    flavour: Annotated[
        Flavour, typer.Option(help="twincat: over ADS. portable: over Modbus, for any IEC 61131-3 compiler.")
    ] = Flavour.portable,
    server: ServerOption = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this model; may be given several times.")
    ] = None,
) -> None:
    """Structured Text for a PLC: blocks that call the models of a station."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        from plc_bindings.st.write import write
        from station.exporting import structured_text_files

        texts = structured_text_files(source, flavour.value, server, model or ())
        try:
            paths = write(texts, output)
        except OSError as error:
            raise typer.BadParameter(f"{error}; choose another folder", param_hint="--output") from error
        for path in paths:
            say(Console(), str(path))

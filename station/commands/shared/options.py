"""Arguments and options that several commands have, and which running station they mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = "station.toml"

StationFileArgument = Annotated[Path, typer.Argument(metavar="STATION", help="The station file.")]
StationOption = Annotated[
    str | None,
    typer.Option(
        "--station",
        "-s",
        metavar="NAME|FILE",
        help="Which station: its name or its file; by default station.toml here, else the only one that runs.",
    ),
]
SocketOption = Annotated[Path | None, typer.Option(help="Control socket; by default that of the station's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The model: .onnx, or .rtp where it is only run.")]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="INPUT=SIZES",
        help="Shape of an input that the file leaves open: x=1,3,224,224. Repeat it for others.",
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--input", metavar="DATA.npz", help="Arrays by input name; by default random ones.")
]


_SHAPE = re.compile(r"(?P<name>.+)=(?P<sizes>\d+([,x]\d+)*)?")


def parse_shapes(words: list[str] | None) -> dict[str, tuple[int, ...]]:
    """["x=1,3,224,224"] (or x=1x3x224x224) -> {"x": (1, 3, 224, 224)}.

    Raises:
        typer.BadParameter: a word is not of that form, or names an input again.
    """
    found: dict[str, tuple[int, ...]] = {}
    for word in words or ():
        match = _SHAPE.fullmatch(word)
        if match is None:
            why = f'"{word}" is no shape; write INPUT=SIZE,SIZE,...: x=1,3,224,224'
        elif match["name"] in found:
            why = f"it is given twice for input '{match['name']}'"
        else:
            found[match["name"]] = tuple(map(int, re.split("[,x]", match["sizes"]))) if match["sizes"] else ()
            continue
        raise typer.BadParameter(why, param_hint="--shape")
    return found


def control_socket(station: str | None, socket: Path | None) -> Path:
    """The control socket meant by the options: given, of a station's file or name, or of the only station there is."""
    from station.errors import NotRunningError
    from station.file.reading import read_name
    from station.running.control import only_socket, socket_path

    if socket is not None:
        return socket
    try:
        if station is None and not Path(DEFAULT_FILE).exists():
            return only_socket()
        station = station or DEFAULT_FILE
        return socket_path(read_name(Path(station)) if station.endswith(".toml") else station)
    except OSError as error:  # no folder for sockets can be made, so no station has one there
        raise NotRunningError(f"no station runs: {error}; is XDG_RUNTIME_DIR right?") from error

"""Arguments and options that several commands have, and which running station they mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt_engine.binding import Binding

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
WhichArgument = Annotated[str | None, typer.Argument(metavar="[NAME|FILE]", help="The same as --station.")]
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
ValueOption = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="INPUT=VALUE",
        help="An input that always has this value, and is no input any more: sr=16000, or numbers with commas. Repeat it for others.",
    ),
]
BoundOption = Annotated[
    list[str] | None,
    typer.Option(
        "--bound",
        metavar="NAME=LENGTH",
        help="The most that a length can be that is known at run time only, by the name of a tensor, node or dimension: boxes=100.",
    ),
]
StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="OUTPUT=INPUT", help="An output that is an input of the next run: h_out=h_in"),
]
DataOption = Annotated[
    Path | None, typer.Option("--input", metavar="DATA.npz", help="Arrays by input name; by default random ones.")
]
ModelsOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FOLDER", help="Where models lie that are not in the recording, or a station's store."),
]
StepsOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where the steps of your own lie that the tasks have.")
]
RunStepsOption = Annotated[
    bool, typer.Option("--run-steps", help="Run the steps, which are code, that came with the recording.")
]


_SHAPE = re.compile(r"(?P<name>.+)=(?P<sizes>\d+([,x]\d+)*)?")


def parse_binding(
    shapes: list[str] | None = None,
    values: list[str] | None = None,
    bounds: list[str] | None = None,
    states: list[str] | None = None,
) -> Binding:
    """What the options --shape, --value, --bound and --state say, as one.

    Raises:
        typer.BadParameter: a word is not of its form, or names something again.
    """
    from rt_engine.binding import Binding

    return Binding(parse_shapes(shapes), parse_states(states), parse_values(values), parse_bounds(bounds))


def parse_values(words: list[str] | None) -> dict[str, Any]:
    """["sr=16000", "w=1,2.5"] -> {"sr": 16000, "w": [1, 2.5]}.

    Raises:
        typer.BadParameter: a word is not of that form, or names an input again.
    """
    found: dict[str, Any] = {}
    for name, text in _pairs(words, "--value", "value", "INPUT=VALUE: sr=16000"):
        items = [_plain(item.strip()) for item in text.split(",")]
        found[name] = items if "," in text else items[0]
    return found


def parse_bounds(words: list[str] | None) -> dict[str, int]:
    """["boxes=100"] -> {"boxes": 100}.

    Raises:
        typer.BadParameter: a word is not of that form, or names something again.
    """
    found: dict[str, int] = {}
    for name, text in _pairs(words, "--bound", "bound", "NAME=LENGTH: boxes=100"):
        if not text.isdecimal() or int(text) < 1:
            raise typer.BadParameter(f'"{text}" is no length; write a whole number from 1 on', param_hint="--bound")
        found[name] = int(text)
    return found


def _pairs(words: list[str] | None, option: str, what: str, form: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for word in words or ():
        name, equals, text = word.rpartition("=")
        if not (equals and name and text):
            raise typer.BadParameter(f'"{word}" is no {what}; write {form}', param_hint=option)
        if name in found:
            raise typer.BadParameter(f"it is given twice for '{name}'", param_hint=option)
        found[name] = text
    return list(found.items())


def _plain(text: str) -> bool | int | float | str:
    """A word of the command line: true, false, a number, else a name."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


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


def parse_states(words: list[str] | None) -> dict[str, str]:
    """["h_out=h_in"] -> {"h_out": "h_in"}.

    Raises:
        typer.BadParameter: a word is not of that form.
    """
    pairs = [word.partition("=") for word in words or ()]
    for word, (output, equals, name) in zip(words or (), pairs, strict=True):
        if not (equals and output and name):
            raise typer.BadParameter(f'"{word}" is no state; write OUTPUT=INPUT: h_out=h_in', param_hint="--state")
    return {output: name for output, _, name in pairs}


def control_socket(station: str | None, socket: Path | None) -> Path:
    """Where the station meant by the options answers: given, by its file or name, or the only one that runs.

    A station in another network namespace, which is not seen from here, is asked at its path.
    """
    from station.errors import NotRunningError
    from station.running.finding import only_place, place_of_file, place_of_name
    from station.running.places import socket_path

    if socket is not None:
        return socket
    if station is None and not Path(DEFAULT_FILE).exists():
        return only_place()
    station = station or DEFAULT_FILE
    is_file = station.endswith(".toml")
    found = place_of_file(Path(station)) if is_file else place_of_name(station)
    if found is not None:
        return found
    try:
        return socket_path(_name_in(Path(station)) if is_file else station)
    except OSError as error:  # no folder for sockets can be made, so no station has one there
        raise NotRunningError(f"no station runs: {error}; is XDG_RUNTIME_DIR right?") from error


def _name_in(file: Path) -> str:
    from station.file.reading import read_name  # half a second: asked for only where no station of this file is seen

    return read_name(file)

"""The command `new`: a first station, which runs at once."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import ShapeOption, parse_shapes

if TYPE_CHECKING:
    from station.commands.shared.first_station import Start

ORDER = 65


def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to put it; made if it is not there.")] = Path(
        "my-station"
    ),
    controller: Annotated[
        str | None, typer.Option(metavar="TYPE", help="What controls: pid (by default), two-point or ramp.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Or a model, .onnx or .rtp: a tag for each of its tensors.")
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="The real device: modbus-tcp, modbus-rtu, ads; written as a comment."),
    ] = None,
    shape: ShapeOption = None,
) -> None:
    """Make a first station: station.toml and a simulated device. It passes `check` and runs at once."""
    from rt_native.terminal import Terminal
    from station.commands.shared.first_station import station_text
    from station.links import link_tables, type_of

    links = {type_of(table): table for table in link_tables() if table.first != ("", "")}
    if link is not None and link not in links:
        raise typer.BadParameter(f'"{link}" is none of {", ".join(links)}', param_hint="--link")
    shapes = parse_shapes(shape)
    if shapes and model is None:
        raise typer.BadParameter("a shape is one of a model's; give --model", param_hint="--shape")
    path, plant = folder / "station.toml", folder / "plant.py"
    if there := next((file for file in (path, plant) if file.exists()), None):
        raise typer.BadParameter(f"{there} is there already; name another folder", param_hint="FOLDER")
    with explained(Terminal(stderr=True)):
        start = _start(controller, model, folder, shapes)
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", folder.resolve().name)
        name = name if re.match(r"[A-Za-z_]", name) else f"station-{name}"
        text = station_text(name, start, links.get(link or ""))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            plant.write_text(start.plant, encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"{folder} cannot be written: {error.strerror}", param_hint="FOLDER") from error
    run = f"rt-engine run {shlex.quote(str(path))}"
    say(Terminal(), f"{path}   the station\n{plant}   a device to try it with\n\nnext: {run}")


def _start(controller: str | None, model: Path | None, folder: Path, shapes: dict[str, tuple[int, ...]]) -> Start:
    """What the options ask for."""
    from station.commands.shared.first_station import CONTROLLERS, start_with

    if model is None:
        if (wanted := controller or "pid") not in CONTROLLERS:
            raise typer.BadParameter(f'"{wanted}" is none of {", ".join(CONTROLLERS)}', param_hint="--controller")
        return CONTROLLERS[wanted]
    if controller is not None:
        raise typer.BadParameter("either a model or a controller", param_hint="--controller")
    import rt_engine

    loaded = rt_engine.load(model, shapes or None)
    try:
        return start_with(loaded, os.path.relpath(model.resolve(), folder.resolve()), shapes)
    except ValueError as error:
        raise typer.BadParameter(f"{model}: {error}", param_hint="--model") from error
